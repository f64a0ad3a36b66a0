"""The words between pilot and payload, and how they are read (event-service 4.3 to 4.6). Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

READY = "Ready for events"
NO_MORE = "No more events"
#: What a peer that must get a reply to everything (REQ) gets where nothing is to be said.
ACKNOWLEDGED = "ACK"
#: A longer message is dropped, counted and logged (4.3).
MAX_MESSAGE_BYTES = 1024 * 1024
TEXT_CHARS = 250

_PAIR = re.compile(r"([A-Za-z_]\w*):(.*)", re.ASCII | re.DOTALL)
_ERROR = re.compile(r"(ERR_[A-Z_]+) ([0-9A-Za-z._-]+): ?(.+)", re.ASCII | re.DOTALL)
_ERROR_NAME = re.compile(r"ERR[A-Z_]*", re.ASCII)
#: The id in a range that is quoted back: Python's repr (also of Python 2) or JSON.
_QUOTED_ID = re.compile(r"""eventRangeID\\?['"]?\s*:\s*u?\\?['"]([0-9A-Za-z._-]+)""", re.ASCII)
_RANGE_ID = re.compile(r"[0-9A-Za-z._-]+", re.ASCII)
_PARSE = "ERR_ATHENAMP_PARSE"


@dataclass(frozen=True, slots=True)
class Ready:
    """One worker wants one range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A range is done: its files as the payload names them, seconds of CPU and wall; `other` as it was sent."""

    range_id: str
    paths: tuple[str, ...]
    cpu_s: float = 0.0
    wall_s: float = 0.0
    other: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeError:
    """A range failed; `fatal` ends the whole job."""

    range_id: str
    name: str
    text: str
    fatal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Text that nothing follows from; `broken` when it meant a range but names none."""

    text: str
    broken: bool = False


Message: TypeAlias = Ready | Output | RangeError | Unusable


def read_message(text: str) -> Message:
    """Return what a payload's message means; never raises."""
    if READY in text:
        return Ready()
    text = text.strip()
    if text.startswith("ERR"):
        return _error(text)
    if text.startswith("["):  # a prefetcher hands a range back: nothing of this pilot's
        return Unusable(text=text[:TEXT_CHARS])
    elements = [element.strip() for element in text.split(",")]
    if text.startswith("/") or any(_key(element) == "ID" for element in elements):
        return _output(text, elements)
    return Unusable(text=text[:TEXT_CHARS])


def range_message(data: Mapping[str, Any]) -> str:
    """Return the message that hands one range out: a JSON list of one object."""
    return json.dumps([dict(data)])


def _key(element: str) -> str:
    match = None if element.startswith("/") else _PAIR.fullmatch(element)
    return match[1].upper() if match else ""


def _output(text: str, elements: list[str]) -> Message:
    keys = [_key(element) for element in elements]
    first = next((number for number, key in enumerate(keys) if key), len(elements))
    paths = [element for element in elements[:first] if element]
    found = {key: element.partition(":")[2].strip() for key, element in zip(keys, elements, strict=True) if key}
    range_id = found.get("ID", "")
    if not range_id and len(paths) > 1:  # the older form: the last one without a key is the id
        range_id = paths.pop()
    if not _RANGE_ID.fullmatch(range_id):
        return Unusable(text=text[:TEXT_CHARS], broken=True)
    other = tuple(f"{key}:{value}" for key, value in found.items() if key not in ("ID", "CPU", "WALL"))
    return Output(
        range_id=range_id,
        paths=tuple(paths),
        cpu_s=_seconds(found.get("CPU", "")),
        wall_s=_seconds(found.get("WALL", "")),
        other=other,
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0.0 <= value < 1e9 else 0.0


def _error(text: str) -> Message:
    name = _ERROR_NAME.match(text)
    if _PARSE in text:
        match = _QUOTED_ID.search(text)
        range_id, said = (match[1], text.rpartition(": ")[2]) if match else ("", "")
    else:
        general = _ERROR.fullmatch(text)
        range_id, said = (general[2], general[3]) if general else ("", "")
    if name is None or not range_id:
        return Unusable(text=text[:TEXT_CHARS], broken=True)
    return RangeError(range_id=range_id, name=name[0], text=f"{name[0]}: {said}"[:TEXT_CHARS], fatal="FATAL" in name[0])
