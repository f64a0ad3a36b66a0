"""Jobs from definition files, updates into the files of Harvester and ARC (panda-protocol 5, 6)."""

import threading
from pathlib import Path

from errors.codes import ErrorCode
from host.clock import now
from ipc.results import JobAcquired, NoJob, UpdateAnswered
from ipc.tasks import AcquireJob, SendUpdate
from settings.settings import Settings
from slot.job_files import take_job
from slot.life import first_body, touch_heartbeat
from slot.turnover import Turnover
from slot.updates import write_update
from workers.reporter.exchange import Conversation, Failure, LocalCall, Lost, Outcome, Reply
from workers.reporter.files import add_update
from workers.reporter.foreign_json import write_object
from workers.reporter.server_v1 import Exchange

#: The worker's own work, under no lease of the supervisor's.
BEAT_LEASE = "worker-heartbeat"
_SLACK_S = 30.0


class HandoverSource:
    """Jobs that Harvester, ARC or the wrapper put into files."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._turnover = Turnover()

    def acquire(self, task: AcquireJob) -> Conversation:
        """Wait for a definition file, within the time of one try; what was handed over already is taken at once."""
        settings = self._settings
        only_here = task.handed_over_only or bool(task.number and not settings.handover.more_jobs)
        wait_s = 0.0 if only_here else settings.tuning.job_file_wait_s
        return Exchange(
            what="job file",
            limit_s=wait_s + _SLACK_S,
            ask=lambda: LocalCall(run=lambda: self._take(task, wait_s)),
            read=_last_job_in if only_here else _job_in,
        )

    def _take(self, task: AcquireJob, wait_s: float) -> bytes:
        settings = self._settings
        definition = take_job(settings.handover, Path(settings.home), task, wait_s, self._turnover)
        if definition and settings.handover.updates_to_files:
            # What the job before left must not stand for this one.
            self._turnover.reset()
            first = SendUpdate(sequence=0, call="update_job", body=write_object(first_body(settings, definition)))
            write_update(settings, first, now().wall)
        return definition.encode()


def _job_in(reply: Reply) -> Outcome:
    if isinstance(reply, Lost):
        return Failure(text=f"job file: {reply.text}", code=reply.code, retry=reply.code != ErrorCode.BADJOBDEFINITION)
    if not reply.body:
        return NoJob(reason="no job file")
    return JobAcquired(definition=reply.body.decode())


def _last_job_in(reply: Reply) -> Outcome:
    outcome = _job_in(reply)
    return NoJob(reason="every job that was handed over was run", end=True) if isinstance(outcome, NoJob) else outcome


class HandoverSink:
    """Updates into the files that Harvester or ARC read."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._newest = 0

    def deliver(self, task: SendUpdate) -> Conversation:
        """Write one update; one that was overtaken while its thread hung changes nothing any more."""
        return Exchange(
            what=f"files of update {task.sequence}",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: LocalCall(run=lambda: self._write(task)),
            read=_stored,
        )

    def _write(self, task: SendUpdate) -> bytes:
        with self._lock:
            if task.sequence < self._newest:
                return b""
            self._newest = task.sequence
            write_update(self._settings, task, now().wall)
            if self._settings.report_file:
                add_update(Path(self._settings.report_file), task)
        return b""


def _stored(reply: Reply) -> Outcome:
    if isinstance(reply, Lost):
        return Failure(text=f"files of an update: {reply.text}", code=reply.code, retry=True)
    return UpdateAnswered(stored=True)


class WorkerBeat:
    """Renews worker_heartbeat.json while Harvester waits for it."""

    def __init__(self, settings: Settings, mono: float) -> None:
        """Plan the first beat; the pilot's begin made the file."""
        self._settings = settings
        self._wanted = settings.handover.harvester
        self._next_at = mono + settings.tuning.worker_heartbeat_s

    def due(self, mono: float) -> Conversation | None:
        """Return the conversation that renews the file when its time has come."""
        if not self._wanted or mono < self._next_at:
            return None
        self._next_at = mono + self._settings.tuning.worker_heartbeat_s
        return Exchange(
            what="worker heartbeat",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: LocalCall(run=self._touch),
            read=lambda _reply: UpdateAnswered(stored=True),
        )

    def next_deadline(self) -> float | None:
        """Return when the next beat is due, None for never."""
        return self._next_at if self._wanted else None

    def _touch(self) -> bytes:
        touch_heartbeat(self._settings)
        return b""
