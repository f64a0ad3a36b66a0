"""The payloads: facts on disk and in the process table, which outlive runners and supervisors."""

from dataclasses import dataclass, field
from typing import Any

from errors.codes import ErrorCode
from ipc.results import PayloadEnded


class TwiceError(AssertionError):
    """A payload was started twice."""


@dataclass(slots=True)
class Payload:
    """One job's payload. `claimed`, `never` and `exit` are files in the control directory."""

    control_dir: str
    claimed: bool = False
    never: bool = False
    running: bool = False
    shim_alive: bool = False
    starts: int = 0
    ended_well: int = 0
    exit: PayloadEnded | None = None
    waiting: list[tuple[Any, str]] = field(default_factory=list)

    def claim(self) -> bool:
        """Make the claim; False when it was there already."""
        if self.claimed:
            return False
        self.claimed = True
        return True

    def start(self) -> None:
        """Start it: the shim does so once, after its claim.

        Raises:
            TwiceError: it was started before.
        """
        self.starts += 1
        if self.starts > 1:
            raise TwiceError(f"the payload of {self.control_dir} was started twice")
        self.running = self.shim_alive = True

    def end(self, result: PayloadEnded) -> None:
        """End it; the shim, if it lives, writes the exit."""
        if not self.running:
            return
        self.running = False
        if self.shim_alive:
            self.exit = result
            self.ended_well += result.error_code == 0
        self.shim_alive = False

    def verdict(self) -> PayloadEnded | None:
        """Return what a runner can say of it now, None while it runs or nothing was ever started."""
        if self.exit is not None:
            return self.exit
        if not self.claimed or self.running:
            return None
        return lost("it was ended before it started" if self.never else "its shim is gone")


def well() -> PayloadEnded:
    """Return the result of a payload that did what it should."""
    return PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag="", cpu_time_s=3)


def failed(exit_code: int) -> PayloadEnded:
    """Return the result of a payload that failed."""
    code = int(ErrorCode.PAYLOADEXECUTIONFAILURE)
    return PayloadEnded(exit_code=exit_code, signal=0, error_code=code, error_diag="it failed")


def killed() -> PayloadEnded:
    """Return the result of a payload that was killed."""
    code = int(ErrorCode.PAYLOADSIGSEGV)
    return PayloadEnded(exit_code=137, signal=9, error_code=code, error_diag="killed")


def lost(why: str) -> PayloadEnded:
    """Return the result of a payload whose exit nobody will ever know."""
    return PayloadEnded(exit_code=0, signal=0, error_code=int(ErrorCode.PAYLOADLOST), error_diag=why)
