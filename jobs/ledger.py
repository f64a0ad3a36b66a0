"""The durable part of the supervisor's state: what the journal holds, no more and no less.

Times named `_at` are monotonic seconds: they mean something only while this boot lasts, and `reopened` drops them.
"""

import hashlib
from dataclasses import dataclass, field, replace

from ipc.tasks import SendUpdate, Task, Watch
from jobs.record import Dossier, JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task and its lease. `issued` is the incarnation that holds the lease, 0 while nobody does."""

    key: str
    role: str
    job_key: str
    task: Task
    attempt: int = 0
    failures: int = 0
    deaths: int = 0
    issued: int = 0
    not_before_at: float = 0.0
    issued_at: float = 0.0

    @property
    def lease(self) -> str:
        """Return the id that a result must carry to count."""
        return f"{self.key}/{self.attempt}/{self.issued}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the outbox: a call to deliver. `refused`: the sink will never take this body as it is."""

    sequence: int
    job_key: str
    call: str
    body: str
    final: bool = False
    attempts: int = 0
    refused: bool = False
    first_try_at: float = 0.0
    next_try_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why the pilot ends, and by when: one first cause starts one deadline (pitfall P07).

    `error_code` is what a job under way is failed with (0: it is left to end by itself).
    """

    exit_code: int
    error_code: int
    text: str
    deadline_at: float
    signal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hunt:
    """How the search for jobs goes.

    `taken` is the fingerprint of the last definition that was dealt with, `settled` holds the keys of the last jobs
    that ended here: a pilot that is given one of them again does not run it a second time (H052). A later pilot in the
    same place may be meant to.
    """

    queue_text: str = ""
    storage_text: str = ""
    began_wall: float = 0.0
    asked: int = 0
    failures: int = 0
    jobs_taken: int = 0
    pause_until_at: float = 0.0
    over: str = ""
    exit_code: int = 0
    last_task_id: int = 0
    taken: str = ""
    worker_word: str = ""
    settled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """All that must survive: jobs under way, their dossiers, open tasks, the outbox, the end, the hunt."""

    generation: int = 0
    sequence: int = 0
    began_wall: float = 0.0
    jobs: dict[str, JobRecord] = field(default_factory=dict)
    dossiers: dict[str, Dossier] = field(default_factory=dict)
    tasks: dict[str, TaskRecord] = field(default_factory=dict)
    outbox: dict[int, Row] = field(default_factory=dict)
    ending: Ending | None = None
    hunt: Hunt = Hunt()


def fingerprint(definition: str) -> str:
    """Return what a definition is known by, once it was dealt with."""
    return hashlib.sha256(definition.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def reopened(ledger: Ledger) -> Ledger:
    """Return the ledger as a new supervisor begins with it: next generation, no lease held, nothing put off."""
    return replace(
        ledger,
        generation=ledger.generation + 1,
        tasks={key: replace(task, issued=0, not_before_at=0.0, issued_at=0.0) for key, task in ledger.tasks.items()},
        outbox={sequence: replace(row, first_try_at=0.0, next_try_at=0.0) for sequence, row in ledger.outbox.items()},
        jobs={
            key: replace(job, next_heartbeat=0.0, accepted_at=0.0, proxy_check_at=0.0)
            for key, job in ledger.jobs.items()
        },
        hunt=replace(ledger.hunt, pause_until_at=0.0),
    )


def inherited(ledger: Ledger) -> Ledger:
    """Return what a new pilot takes over of a dead one's ledger: its jobs and what belongs to them.

    How the other one hunted for jobs, when it began and why it ended is its own story.
    """
    fresh = reopened(ledger)
    return replace(
        fresh,
        began_wall=0.0,
        ending=None,
        # What was dealt with stays dealt with: its file may still lie there.
        hunt=Hunt(taken=ledger.hunt.taken),
        # Deliveries are opened again from the outbox; tasks without a job belonged to the hunt.
        tasks={
            key: _in_another_slot(task)
            for key, task in fresh.tasks.items()
            if task.job_key in fresh.jobs and not isinstance(task.task, SendUpdate)
        },
        outbox={sequence: row for sequence, row in fresh.outbox.items() if row.job_key in fresh.jobs},
    )


def _in_another_slot(task: TaskRecord) -> TaskRecord:
    """Return the task without the end of the slot that it was made for."""
    return replace(task, task=replace(task.task, until_wall=0.0)) if isinstance(task.task, Watch) else task
