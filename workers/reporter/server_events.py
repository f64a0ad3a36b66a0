"""Event ranges over the bus's tasks: got, kept, reported, and looked up when a report's answer says nothing (7.2, 7.3).

The servers of today end a report in HTTP 500 although they stored it. So what became of its ranges is asked for then,
in the same conversation; only a report of which nobody can tell anything counts as failed.
"""

import json
import logging
import re
from pathlib import Path
from typing import Any

from errors.codes import ErrorCode
from host.files import read_bounded, write_atomic
from ipc.results import RangesAcquired, RangesReported
from ipc.tasks import AcquireRanges, ReportRanges
from settings.settings import Settings
from workers.reporter.calls import Call
from workers.reporter.calls_events import EventReport, acquire_ranges, get_range_statuses, update_ranges
from workers.reporter.exchange import (
    MAX_ANSWER_BYTES,
    Answer,
    Conversation,
    Failure,
    LocalCall,
    Lost,
    Outcome,
    Reply,
    Request,
)
from workers.reporter.server_either import Either, ServerEither
from workers.reporter.server_legacy import ServerLegacy

_LOG = logging.getLogger("reporter")
_RANGE_ID = re.compile(r"[0-9A-Za-z._-]{1,200}", re.ASCII)
_WORDS = {True: "stored", False: "refused", None: "passed"}
#: States in which the server has the end of a range that was reported (event-service 1.2).
_STORED = frozenset({"finished", "done", "failed", "fatal", "merged", "corrupted"})


class EventServer:
    """Conversations about event ranges in the dialect of one server."""

    def __init__(self, settings: Settings, server: ServerEither | ServerLegacy) -> None:
        """Take the server, whose dialect others may have found out."""
        self._settings = settings
        self._server = server

    def acquire(self, task: AcquireRanges) -> Conversation:
        """Ask for ranges; the answer is on disk before it is told (`kept_ranges`)."""
        return self._either(_Acquire(self._settings, task, "v1"), _Acquire(self._settings, task, "legacy"))

    def report(self, task: ReportRanges) -> Conversation:
        """Report ranges."""
        return self._either(_Report(self._settings, task, "v1"), _Report(self._settings, task, "legacy"))

    def _either(self, v1: Conversation, legacy: Conversation) -> Conversation:
        server = self._server
        return legacy if isinstance(server, ServerLegacy) else Either(server.choice, v1, legacy)


class NoEventServer:
    """What stands for the server where there is none."""

    def acquire(self, task: AcquireRanges) -> Conversation:
        """Say that there are no ranges to be had."""
        del task
        return _Known(_NOWHERE)

    def report(self, task: ReportRanges) -> Conversation:
        """Say that there is nobody to report to."""
        del task
        return _Known(_NOWHERE)


_NOWHERE = Failure(
    text="there is no server to ask for event ranges", code=int(ErrorCode.COMMUNICATIONFAILURE), retry=False
)


def event_server(settings: Settings, server: ServerEither | ServerLegacy) -> EventServer | NoEventServer:
    """Return who is asked for event ranges."""
    alone = settings.job_file or not settings.update_server or settings.handover.updates_to_files
    return NoEventServer() if alone else EventServer(settings, server)


def kept_ranges(task: AcquireRanges) -> RangesAcquired | None:
    """Return the answer that is on disk, None when there is none."""
    text = read_bounded(Path(task.keep_at), MAX_ANSWER_BYTES)
    return RangesAcquired(ranges=text) if text else None


class _Known:
    """A conversation whose outcome is known before it began."""

    what = "event ranges"
    limit_s = 0.0

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    def begin(self) -> Request | Outcome:
        return self._outcome

    def heard(self, reply: Reply) -> Request | Outcome:
        del reply
        return self._outcome


class _Acquire:
    """The request for ranges; its answer is kept before anybody hears of it, as it comes once."""

    what = "event ranges"

    def __init__(self, settings: Settings, task: AcquireRanges, dialect: str) -> None:
        self.limit_s = settings.http_timeout_s
        self._task = task
        self._call: Call[tuple[dict[str, Any], ...]] = acquire_ranges(
            settings,
            job_id=task.job_id,
            jobset_id=task.jobset_id,
            task_id=task.task_id,
            n_ranges=task.n_ranges,
            dialect=dialect,
        )
        self._text = ""

    def begin(self) -> Request | Outcome:
        return self._call.request

    def heard(self, reply: Reply) -> Request | Outcome:
        if self._text:
            if isinstance(reply, Lost):
                _LOG.warning("event ranges cannot be kept in %s: %s", self._task.keep_at, reply.text)
            return RangesAcquired(ranges=self._text)
        ranges = self._call.read(reply)
        if isinstance(ranges, Failure):
            return ranges
        odd = [each for each in ranges if not _RANGE_ID.fullmatch(each["eventRangeID"])]
        if odd:
            return Failure(text=f"not the id of an event range: {odd[0]['eventRangeID'][:80]!r}", retry=True)
        self._text = json.dumps(ranges)
        return LocalCall(run=self._keep)

    def _keep(self) -> bytes:
        write_atomic(Path(self._task.keep_at), self._text, mode=0o600)
        return b""


class _Report:
    """A report, and where its answer says nothing the look at what became of it (v1 alone has that)."""

    what = "event report"

    def __init__(self, settings: Settings, task: ReportRanges, dialect: str) -> None:
        self.limit_s = settings.http_timeout_s
        self._task = task
        self._call = update_ranges(settings, json.loads(task.entries), version=task.version, dialect=dialect)
        self._look = get_range_statuses(settings, {task.job_id: task.task_id}) if dialect == "v1" else None
        self._looking = False

    def begin(self) -> Request | Outcome:
        return self._call.request

    def heard(self, reply: Reply) -> Request | Outcome:
        if self._looking:
            return self._looked(reply)
        report = self._call.read(reply)
        if isinstance(report, Failure):
            return report
        if report.certain:
            return self._outcome(report)
        if self._look is None:
            return _unknown(reply)
        self._looking = True
        return self._look.request

    def _outcome(self, report: EventReport) -> Outcome:
        results = tuple(_WORDS[result] for result in report.results)
        return RangesReported(results=results, command=report.commands.get(self._task.job_id, ""))

    def _looked(self, reply: Reply) -> Outcome:
        found = self._look.read(reply) if self._look is not None else _unknown(reply)
        if isinstance(found, Failure):
            return Failure(text=f"nobody knows whether the report was stored: {found.text}", retry=True)
        states = found.get(str(self._task.job_id), {})
        stored = [_state(states.get(each)) in _STORED for each in self._task.ids]
        if not all(stored):
            return Failure(text=f"{stored.count(False)} of {len(stored)} event ranges are not stored", retry=True)
        return RangesReported(results=("stored",) * len(stored))


def _unknown(reply: Reply) -> Failure:
    status = reply.status if isinstance(reply, Answer) else reply.text
    return Failure(text=f"nobody knows whether the report was stored (HTTP {status})", retry=True)


def _state(entry: Any) -> str:
    return str(entry.get("status", "")) if isinstance(entry, dict) else ""
