"""A model of the PanDA server: the first final update wins, what comes later is told `alreadydone` (protocol 12)."""

import json
from dataclasses import dataclass, field
from typing import Any

from sim_faults import Faults
from sim_plans import FIRST_ID, STORAGES, definition, whole_definition

from errors.codes import ErrorCode
from ipc.results import (
    IdentityChecked,
    JobAcquired,
    JobStatusTold,
    NoJob,
    ProxyFetched,
    QueueFetched,
    RangesAcquired,
    RangesReported,
    UpdateAnswered,
)
from ipc.schema import Failed
from ipc.tasks import (
    AcquireJob,
    AcquireRanges,
    AskJobStatus,
    CheckIdentity,
    FetchProxy,
    FetchQueue,
    ReportRanges,
    SendUpdate,
)

#: What the reporter asks.
Question = (
    FetchQueue | AcquireJob | AcquireRanges | ReportRanges | SendUpdate | CheckIdentity | FetchProxy | AskJobStatus
)
#: What the reporter brings to the supervisor: a result, or a failure (its lease is filled in by the reporter).
Answer = Any


@dataclass(slots=True)
class ServerJob:
    """A job as the server sees it."""

    job_id: int
    key: str
    text: str
    kind: str
    accepted: list[dict[str, Any]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    closed: bool = False  # ended by the server itself
    bad: bool = False  # this attempt is not wanted any more
    killed: bool = False
    reduced_only: bool = False
    told_final: bool = False  # the pilot's final update reached it at least once

    @property
    def settled(self) -> bool:
        """Tell whether the server needs no (further) final update."""
        return bool(self.accepted) or self.closed or self.bad


class Server:
    """Hands out jobs and takes updates; `down_until` is when it answers again."""

    def __init__(self, faults: Faults, jobs: int, queue: str, *, whole: bool = False) -> None:
        self.faults = faults
        self.jobs: dict[int, ServerJob] = {}
        self.left = jobs
        self.queue = queue
        self.define = whole_definition if whole else definition
        self.worker_words: list[str] = []
        self.down_until = 0.0
        self.down_for_good = False
        self.last_given: ServerJob | None = None

    def is_down(self, t: float) -> bool:
        """Tell whether nobody answers; a pilot may begin an outage by asking."""
        if self.down_for_good or t < self.down_until:
            return True
        if self.faults.hit("server down for good"):
            self.down_for_good = True
        elif self.faults.hit("server down"):
            self.down_until = t + self.faults.rng.choice((2.0, 20.0, 120.0, 400.0))
        return t < self.down_until or self.down_for_good

    def handle(self, task: Question) -> Answer:
        """Do the work of a request that arrived."""
        if isinstance(task, CheckIdentity):
            return IdentityChecked()
        if isinstance(task, FetchProxy):
            return ProxyFetched(present=not self.faults.hit("no proxy to give"))
        if isinstance(task, AskJobStatus):
            return self._status(task.job_id)
        if isinstance(task, FetchQueue):
            return self._describe()
        if isinstance(task, AcquireRanges):
            return RangesAcquired(ranges="[]" if self.faults.hit("no event ranges") else "[{}]")
        if isinstance(task, ReportRanges):
            return RangesReported(results=("stored",))
        if isinstance(task, AcquireJob):
            return self._hand_out()
        if task.call == "update_worker_status":
            self.worker_words.append(json.loads(task.body)["status"])
            return UpdateAnswered(stored=not self.faults.hit("not stored"))
        return self._update(json.loads(task.body), final=task.final)

    def _describe(self) -> Answer:
        if self.faults.hit("queue data away"):
            return failure(ErrorCode.QUEUEDATA, "no source answers", retry=self.faults.rng.random() < 0.5)
        if self.faults.hit("queue data bad"):
            return QueueFetched(queue_text='{"state": "ACTIVE", "status": "offline"}', storage_text=STORAGES)
        return QueueFetched(queue_text=self.queue, storage_text=STORAGES)

    def _hand_out(self) -> Answer:
        if self.last_given is not None and not self.last_given.settled and self.faults.hit("job given twice"):
            return JobAcquired(definition=self.last_given.text)
        if self.faults.hit("source at its end"):
            return NoJob(reason="the file is read to its end", end=True)
        if self.left <= 0 or self.faults.hit("no job"):
            return NoJob(reason="no jobs in PanDA", end=self.faults.calm)
        if self.faults.hit("nameless definition"):
            return JobAcquired(definition=self.define(1, "nameless"))
        self.left -= 1
        job_id = FIRST_ID + len(self.jobs)
        kind = (
            "broken"
            if self.faults.hit("broken definition")
            else self.faults.rng.choice(("full", "full", "bare", "fed"))
        )
        if kind == "fed" and self.define is whole_definition:
            kind = "full"  # the queue of these runs has no storages
        job = ServerJob(job_id, f"{job_id}.{job_id % 3}", self.define(job_id, kind), kind)
        job.reduced_only = self.faults.hit("full report refused")
        self.jobs[job_id] = self.last_given = job
        return JobAcquired(definition=job.text)

    def _status(self, job_id: int) -> Answer:
        if self.faults.hit("no word on the job"):
            return failure(ErrorCode.COMMUNICATIONFAILURE, "the server does not say", retry=False)
        job = self.jobs[job_id]
        attempt_nr = job_id % 3
        if job.bad:
            return JobStatusTold(status="activated", attempt_nr=attempt_nr + 1)
        if job.accepted:
            return JobStatusTold(status=self.faults.rng.choice(("holding", "finished", "")), attempt_nr=attempt_nr)
        if not job.settled and self.faults.hit("closed by the server"):
            job.closed = True
        return JobStatusTold(status="failed" if job.closed else "running", attempt_nr=attempt_nr)

    def _update(self, body: dict[str, Any], *, final: bool) -> Answer:
        job = self.jobs[body["job_id"]]
        if self.faults.hit("not stored"):
            return UpdateAnswered(stored=False, message="the database is busy")
        if (job.reduced_only and "pilot_timing" in body) or self.faults.hit("update refused"):
            return failure(ErrorCode.COMMUNICATIONFAILURE, "Type error", retry=False)
        if not job.settled and self.faults.hit("closed by the server"):
            job.closed = True
        if not job.settled and self.faults.hit("bad attempt number"):
            job.bad = True
        if not job.settled and not final and self.faults.hit("tobekilled"):
            job.killed = True
        job.told_final |= final
        if job.bad:
            return UpdateAnswered(stored=True, command="badattemptnr")
        if job.accepted or job.closed:
            return UpdateAnswered(stored=True, command="alreadydone")
        job.words.append(body["job_status"])
        job.codes.append(abs(body.get("pilot_error_code", 0)))
        if final:
            job.accepted.append(body)
            return UpdateAnswered(stored=True, command="NULL")
        return UpdateAnswered(stored=True, command=self._command(job))

    def _command(self, job: ServerJob) -> str:
        if job.killed:
            return self.faults.rng.choice(("tobekilled", "debug,tobekilled"))
        if self.faults.hit("command nocleanup"):
            return "nocleanup"
        if self.faults.hit("command unknown"):
            return "turn around"
        if self.faults.hit("command debug"):
            words = ("debug", "debugoff", "debug,tail payload.stdout", "ls; id", "debug,gdb --pid %", "softkill")
            return self.faults.rng.choice(words)
        return self.faults.rng.choice(("NULL", ""))


def failure(code: int, diag: str, *, retry: bool) -> Failed:
    """Return a failure without its lease."""
    return Failed(lease="", code=int(code), diag=diag, retry=retry)
