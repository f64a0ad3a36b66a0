"""The event ranges of one job and the rules for their reports (event-service 1.2, 2; panda-protocol.md 7.1 to 7.3)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

READY, SENT = "ready", "sent"
_FINAL = frozenset({"finished", "failed", "fatal"})
_PASSED = frozenset({"running", "transferring"})
_ID = re.compile(r"\d+-(\d+)-\d+-\d+-\d+", re.ASCII)
_MOST = 100_000
#: States of a job in which it gets ranges, and in which reports of them are taken.
_MAY_ASK = frozenset({"sent", "starting", "running"})
_MAY_REPORT = _MAY_ASK | {"transferring"}


@dataclass(slots=True)
class EventRange:
    """One range: its state, how often it was handed out and finished, and what was said of its end."""

    state: str = READY
    handed: int = 0
    reports: int = 0
    error_code: int | None = None
    error_diag: str | None = None
    zip_lfn: str | None = None


@dataclass(slots=True)
class EventTable:
    """The ranges of a job, made when they are first asked for.

    Attributes:
        count: How many there are.
        span: Events in each.
        ranges: By id.
        zips: By name, as they were reported.
    """

    count: int = 8
    span: int = 1
    ranges: dict[str, EventRange] = field(default_factory=dict)
    zips: dict[str, dict[str, Any]] = field(default_factory=dict)

    def acquire(self, job_id: int, task_id: int, n_ranges: int, job_state: str) -> list[dict[str, Any]]:
        """Hand out the next ranges; none of a job that is over or unknown."""
        if job_state not in _MAY_ASK:
            return []
        self._fill(job_id, task_id)
        free = [name for name, each in self.ranges.items() if each.state == READY][: max(n_ranges, 0)]
        for name in free:
            self.ranges[name].state = SENT
            self.ranges[name].handed += 1
        return [self._describe(name) for name in free]

    def free(self, job_id: int, task_id: int, job_state: str) -> int:
        """Return how many ranges are left."""
        if job_state not in _MAY_ASK:
            return 0
        self._fill(job_id, task_id)
        return sum(each.state == READY for each in self.ranges.values())

    def report(self, entry: Mapping[str, Any], archive: Mapping[str, Any] | None, job_state: str) -> bool | None:
        """Take the report of one range: stored, refused, or (None) passed over."""
        status = entry.get("eventStatus")
        if status in _PASSED:
            return None
        known = self.ranges.get(str(entry.get("eventRangeID")))
        if known is None or status not in _FINAL or job_state not in _MAY_REPORT or known.state == READY:
            return False
        if archive is not None:
            if not isinstance(archive.get("lfn"), str) or not isinstance(archive.get("objstoreID"), int):
                return False
            self.zips[archive["lfn"]] = dict(archive)
        known.reports += 1
        if known.state == SENT:
            known.state = status
            known.error_code, known.error_diag = entry.get("errorCode"), entry.get("errorDiag")
            known.zip_lfn = archive["lfn"] if archive is not None else None
        return True

    def _fill(self, job_id: int, task_id: int) -> None:
        if not self.ranges:
            self.ranges = {f"{task_id}-{job_id}-1-{number}-1": EventRange() for number in range(self.count)}

    def _describe(self, name: str) -> dict[str, Any]:
        first = int(name.split("-")[3]) * self.span + 1
        return {
            "eventRangeID": name,
            "startEvent": first,
            "lastEvent": first + self.span - 1,
            "LFN": "EVNT.pool.root",
            "GUID": "BEA4C016-E37E-0841-A448-8D664E8CD570",
            "scope": "sandbox.test",
        }


def job_of_range(entry: Any) -> int | None:
    """Return the PandaID in the id of a range, None for an id that is not five numbers."""
    name = entry.get("eventRangeID") if isinstance(entry, dict) else None
    match = _ID.fullmatch(name) if isinstance(name, str) else None
    return int(match[1]) if match else None


def flattened(chunks: Any, version: int) -> list[tuple[Any, Mapping[str, Any] | None]]:
    """Return the entries of a report with the archive of each, None for one without.

    Raises:
        ValueError: It is not of the form that the version has.
    """
    if not isinstance(chunks, list):
        raise ValueError("not a list of event ranges")  # noqa: TRY004 - what the caller makes of it
    if version == 0:
        chunks = [{"eventRanges": chunks}]
    if not all(isinstance(chunk, dict) and isinstance(chunk.get("eventRanges"), list) for chunk in chunks):
        raise ValueError("not a list of chunks of event ranges")
    return [(entry, chunk.get("zipFile")) for chunk in chunks for entry in chunk["eventRanges"]][:_MOST]
