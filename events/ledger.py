"""The ledger of ranges: one JSON object a line, only ever appended to; its replay is the whole state (section 6). Pure.

Fields: `t` (epoch seconds), `id`, `ev`, and what belongs to the event. Entries without a range (`ev` "end": the supply
is over, "drain": no more are handed out, "told": `No more events` was said) have the id "".
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Entry = dict[str, Any]

FETCHED, SENT, OUTPUT, ERROR = "fetched", "sent", "output", "error"
#: Why a job with events is drained by its server's order.
SOFTKILL = "softkill"
TARRED, STAGED, REPORTED, REJECTED, REMOVED = "tarred", "staged", "reported", "rejected", "removed"
_OF_RANGES = frozenset({FETCHED, SENT, OUTPUT, ERROR, TARRED, STAGED, REPORTED, REJECTED, REMOVED})


@dataclass(slots=True, kw_only=True)
class Range:
    """One range and its last event.

    Attributes:
        data: The range as the server gave it.
        event: The last event.
        peer: Who got it, as text.
        paths, size_bytes: Its files.
        tar: The archive that it is in, or was to be in.
        code, text, fatal: Why it failed; code 0 when it did not.
        accepted: The server took its end.
    """

    data: dict[str, Any]
    event: str = FETCHED
    peer: str = ""
    paths: tuple[str, ...] = ()
    size_bytes: int = 0
    tar: str = ""
    code: int = 0
    text: str = ""
    fatal: bool = False
    accepted: bool = False

    @property
    def id(self) -> str:
        """Return its name."""
        return str(self.data["eventRangeID"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Tar:
    """An archive that is on its storage; the checksum is "adler32:<8 hex digits>"."""

    lfn: str
    endpoint: str
    size_bytes: int
    checksum: str


@dataclass(slots=True)
class Ledger:
    """All ranges in the order in which they came.

    Attributes:
        batches: How many answers with ranges came.
        supply_over: No more will come; `supply_error` says why if that is a failure.
        drain: Why nothing is handed out any more, "" while something is.
        told: A payload heard `No more events`.
        tars: Names of archives in use or used before.
        stored: Archives that are on their storage.
        members: How many ranges are in each archive.
    """

    ranges: dict[str, Range] = field(default_factory=dict)
    batches: int = 0
    supply_over: bool = False
    supply_error: str = ""
    drain: str = ""
    told: bool = False
    tars: set[str] = field(default_factory=set)
    stored: dict[str, Tar] = field(default_factory=dict)
    members: Counter[str] = field(default_factory=Counter)
    _by_event: dict[str, dict[str, Range]] = field(default_factory=lambda: {event: {} for event in _OF_RANGES})

    def in_state(self, *events: str) -> Iterator[Range]:
        """Give the ranges whose last event is one of these."""
        return (each for event in events for each in self._by_event[event].values())

    def apply(self, entry: Entry) -> None:
        """Take one entry in; entries of ranges that were never fetched are passed over."""
        event = entry["ev"]
        if event not in _OF_RANGES:
            if event == "end":
                self.supply_over, self.supply_error = True, entry.get("text", "")
            self.told = self.told or event == "told"
            if event == "drain":
                self.drain = self.drain or entry["text"]
            return
        if event == FETCHED:
            if entry["id"] not in self.ranges:
                new = Range(data=entry["range"])
                self.ranges[entry["id"]] = self._by_event[FETCHED][entry["id"]] = new
            self.batches = max(self.batches, entry["batch"])
            return
        known = self.ranges.get(entry["id"])
        if known is not None:
            self._apply(known, event, entry)

    def _apply(self, known: Range, event: str, entry: Entry) -> None:
        del self._by_event[known.event][known.id]
        known.event = event
        self._by_event[event][known.id] = known
        if event == SENT:
            known.peer = entry["peer"]
        elif event == OUTPUT:
            known.paths, known.size_bytes, known.tar = tuple(entry["paths"]), entry["size"], ""
        elif event == ERROR:
            known.code, known.text, known.fatal = entry["code"], entry["text"], entry.get("fatal", False)
        elif event == TARRED:
            known.tar = entry["tar"]
            self.tars.add(known.tar)
            self.members[known.tar] += 1
        elif event == STAGED:
            self.stored[known.tar] = Tar(
                lfn=known.tar, endpoint=entry["endpoint"], size_bytes=entry["size"], checksum=entry["checksum"]
            )
        elif event == REPORTED:
            known.accepted = True


def line_of(entry: Entry) -> str:
    """Return an entry as its line."""
    return json.dumps(entry, separators=(",", ":")) + "\n"


def read_entries(text: str) -> list[Entry]:
    """Return the entries of a ledger; a line that a death tore is left out."""
    return [entry for entry in map(_entry, text.splitlines()) if entry is not None]


def replay(entries: Iterable[Entry]) -> Ledger:
    """Return the state that these entries make."""
    ledger = Ledger()
    for entry in entries:
        ledger.apply(entry)
    return ledger


def _entry(line: str) -> Entry | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) and isinstance(value.get("ev"), str) else None
