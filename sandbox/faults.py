"""The fault switches: which answers go wrong, how, and how often."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Kind -> whether the request's work is done before the fault strikes.
KINDS: Mapping[str, bool] = {
    "http_403": False,  # refused token
    "http_404": False,  # no such path
    "forbidden": False,  # 403 of a server that does not know the method
    "http_500": False,  # text of an exception
    "http_503": False,  # a balancer without servers behind it
    "http_500_after": True,  # the work was done, then something broke
    "drop_before": False,  # connection aborted
    "drop_after": True,  # the work was done, then connection aborted: the client cannot know
    "silence": False,  # nothing for `seconds`, then connection aborted
    "late": True,  # the work is done at once, the right answer comes after `seconds`
    "slow": True,  # the right answer, byte by byte, in `seconds` in all
    "garbage": False,  # 200 with an HTML page, as from a proxy in between
    "truncated": True,  # the answer's JSON cut in the middle, well-formed HTTP
    "cut": True,  # connection aborted in the middle of the answer's body
    "wrong_types": True,  # the answer's members with other types
    "empty": False,  # 200 without a body
    "timed_out": False,  # 200 that says StatusCode 10: the database took too long, nothing was stored
}
DEFAULT_SECONDS: Mapping[str, float] = {"silence": 3600.0, "late": 1.0, "slow": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault switch.

    Attributes:
        call: Name of the call, or `*` for all.
        kind: A key of `KINDS`.
        times: How many requests it hits; None = all until cleared.
        only_final: Only updates whose state is finished or failed.
        skip: Number of matching requests let through first.
        seconds: Time of `silence`, `late` and `slow`.
    """

    call: str
    kind: str
    times: int | None = 1
    only_final: bool = False
    skip: int = 0
    seconds: float = 1.0

    @property
    def after_work(self) -> bool:
        """Whether the request's work is done all the same."""
        return KINDS[self.kind]

    def matches(self, call: str, final: bool) -> bool:
        """Tell whether it is meant for this request."""
        return self.call in {"*", call} and (final or not self.only_final)


def read_fault(raw: Mapping[str, Any]) -> Fault:
    """Read a fault from its JSON object; without `times` it strikes once, with null always.

    Raises:
        ValueError: Unknown key or kind, or a wrong type.
    """
    unknown = set(raw) - {"call", "kind", "times", "only_final", "skip", "seconds"}
    if unknown:
        raise ValueError(f"unknown keys of a fault: {sorted(unknown)}")
    kind, times = str(raw.get("kind")), raw.get("times", 1)
    if kind not in KINDS:
        raise ValueError(f"unknown kind of fault {kind!r}: one of {sorted(KINDS)}")
    if times is not None and type(times) is not int:
        raise ValueError(f"times has to be an integer or null, got {times!r}")
    seconds = raw.get("seconds")
    return Fault(
        call=str(raw.get("call", "*")),
        kind=kind,
        times=times,
        only_final=bool(raw.get("only_final", False)),
        skip=int(raw.get("skip", 0)),
        seconds=float(DEFAULT_SECONDS.get(kind, 0.0) if seconds is None else seconds),
    )


class FaultBoard:
    """The faults now set; the oldest one that matches strikes."""

    def __init__(self) -> None:
        self._armed: list[tuple[Fault, int, int]] = []  # fault, still to skip, strikes so far

    def set(self, fault: Fault) -> None:
        """Arm one more fault."""
        self._armed.append((fault, fault.skip, 0))

    def clear(self) -> None:
        """Disarm all."""
        self._armed.clear()

    def take(self, call: str, final: bool) -> Fault | None:
        """Return the fault that strikes this request, and count it."""
        for place, (fault, skip, strikes) in enumerate(self._armed):
            if not fault.matches(call, final):
                continue
            if skip > 0:
                self._armed[place] = (fault, skip - 1, strikes)
                continue
            if fault.times is not None and strikes + 1 >= fault.times:
                del self._armed[place]
            else:
                self._armed[place] = (fault, 0, strikes + 1)
            return fault
        return None

    def describe(self) -> list[dict[str, Any]]:
        """Return what is armed, with the strikes so far."""
        return [{**asdict(fault), "strikes": strikes} for fault, _skip, strikes in self._armed]
