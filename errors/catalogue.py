"""What the catalogue says about a code, a signal or an exit status (spec: error-codes.json, behaviour.md 4).

The JSON file is read at the first question, not at import.
"""

import json
import pkgutil
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from errors.codes import ErrorCode
from errors.texts import MAX_DIAGNOSTICS, one_line

_GENERAL_EXIT = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One code of the catalogue.

    Attributes:
        code: the number the server is told.
        name: the name of the `ErrorCode` member.
        text: the standard text that opens each diagnostics line.
        retryable: the server may try a failed user job again; such a code is reported with a minus sign.
        origin: the pilot that brought the code in; "bulkhead" for our own.
        phases: where in a job's life it is met.
    """

    code: int
    name: str
    text: str
    retryable: bool
    origin: str
    phases: tuple[str, ...]


@cache
def load() -> Mapping[str, Any]:
    """Return the whole catalogue, read once. Callers must not change what is inside."""
    data = pkgutil.get_data("errors", "catalogue.json")
    if data is None:
        raise FileNotFoundError("errors/catalogue.json")
    return MappingProxyType(json.loads(data))


@cache
def _entries() -> Mapping[int, Entry]:
    return {
        raw["code"]: Entry(
            code=raw["code"],
            name=raw["name"],
            text=raw["text"],
            retryable=raw["retryable"],
            origin=raw["origin"],
            phases=tuple(raw["phase"]),
        )
        for raw in load()["codes"]
    }


def describe(code: int) -> Entry:
    """Return the entry of a code; the sign is ignored, an unknown number gives an entry that says so."""
    known = _entries().get(abs(code))
    return known or Entry(code, f"CODE{abs(code)}", f"Unlisted pilot error {code}", False, "unknown", ())


def diagnostics(code: int, detail: object = "") -> str:
    """Return the line for `pilotErrorDiag`: standard text, colon, detail.

    Date-times and control characters are removed and blanks are squeezed, so equal failures read equal.

    Returns:
        At most 256 characters; a long detail loses its end.
    """
    text = describe(code).text
    cleaned = one_line(detail)
    if cleaned.startswith(text):  # the text of one of our own exceptions, on its second way through
        cleaned = cleaned.removeprefix(text).lstrip(": ")
    return f"{text}: {cleaned}"[:MAX_DIAGNOSTICS].rstrip() if cleaned else text[:MAX_DIAGNOSTICS]


def is_recoverable(code: int) -> bool:
    """Say whether a user job that fails with this code is reported with the negative code (protocol 3.1)."""
    return describe(code).retryable


def _signal_name(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("SIG") else f"SIG{upper}"


def signal_code(name: str, *, classic: bool = False) -> int:
    """Return the pilot error code for a signal that ends the pilot.

    Args:
        name: "SIGTERM" or "TERM"; a signal that is not in the table gives 1200.
        classic: number SIGUSR1 and SIGBUS as older pilots do (1207 and 1206).
    """
    table = load()["signals"]
    row = table.get(_signal_name(name), table["default"])
    return int(row["classic" if classic else "code"])


def signal_exit(name: str) -> int:
    """Return the exit status of a process that ended because of this signal: 128+n, or 137 for an unknown name."""
    table = load()["signals"]
    upper = _signal_name(name)
    if upper in table:
        return int(table[upper]["exit"])
    try:
        return 128 + signal.Signals[upper].value
    except KeyError:
        return int(table["default"]["exit"])


def process_exit_code(code: int, *, classic: bool = False) -> int:
    """Return the exit status of the pilot process for the pilot error that ended it (behaviour.md 4).

    Args:
        code: pilot error code; 0 is success, -1 is "site offline", other negative codes count as positive.
        classic: the codes of SIGUSR1 and SIGBUS are numbered as older pilots do.

    Returns:
        0, 64 to 83, 128+n for a signal, or 1 for every other error.
    """
    if code == ErrorCode.UNKNOWNERROR:
        return 0
    table = load()["process_exits"]
    row = table.get(str(code)) or table.get(str(abs(code)))
    if row is None:
        return _GENERAL_EXIT
    return int(row.get("classic", row["exit"]) if classic else row["exit"])
