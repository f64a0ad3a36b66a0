"""Tasks and their leases: opened, issued, taken back, accepted (fencing: only the valid lease counts, DESIGN 1)."""

from dataclasses import replace

from core.actions import Send
from core.state import Phase, Turn
from ipc.schema import Assign, Cancel
from ipc.tasks import (
    AcquireJob,
    AcquireRanges,
    AskJobStatus,
    CheckIdentity,
    CleanUp,
    DescribeNode,
    FeedEvents,
    FetchProxy,
    FetchQueue,
    Inspect,
    KillPayload,
    PrepareJob,
    Pulse,
    ReportRanges,
    RunPayload,
    SendTraces,
    SendUpdate,
    StageIn,
    StageOut,
    StageTar,
    Task,
    TransferLog,
    Watch,
)
from jobs.ledger import TaskRecord

#: The task that asks the server how a recovered job stands, and what waits for its answer: never a payload.
STATUS = "status"
_WAITS = (PrepareJob, StageIn, StageOut, TransferLog, SendUpdate)

#: Which role a task belongs to.
ROLE_OF: dict[type, str] = {
    FetchQueue: "reporter",
    DescribeNode: "reporter",
    AcquireJob: "reporter",
    SendUpdate: "reporter",
    CheckIdentity: "reporter",
    SendTraces: "reporter",
    FetchProxy: "reporter",
    AskJobStatus: "reporter",
    AcquireRanges: "reporter",
    ReportRanges: "reporter",
    StageIn: "stager",
    StageOut: "stager",
    StageTar: "stager",
    TransferLog: "stager",
    CleanUp: "stager",
    PrepareJob: "runner",
    RunPayload: "runner",
    FeedEvents: "runner",
    KillPayload: "runner",
    Watch: "monitor",
    Inspect: "monitor",
    Pulse: "monitor",
}


def open_task(turn: Turn, name: str, task: Task, job_key: str = "") -> None:
    """Open a task under the key "<job>:<name>"; one that is open under that key already stays as it is."""
    key = f"{job_key}:{name}"
    if key not in turn.ledger.tasks:
        record = TaskRecord(key=key, role=ROLE_OF[type(task)], job_key=job_key, task=task)
        turn.change_ledger(tasks={**turn.ledger.tasks, key: record})


def is_open(turn: Turn, name: str, job_key: str = "") -> bool:
    """Tell whether the task is open."""
    return f"{job_key}:{name}" in turn.ledger.tasks


def close_task(turn: Turn, key: str) -> None:
    """Forget a task; whatever is still said under its lease changes nothing."""
    turn.change_ledger(tasks={k: task for k, task in turn.ledger.tasks.items() if k != key})


def cancel_task(turn: Turn, key: str, reason: str) -> None:
    """Forget a task and tell the worker that holds its lease to stop the work."""
    task = turn.ledger.tasks.get(key)
    if task is None:
        return
    if task.issued:
        turn.do(Send(task.role, task.issued, Cancel(lease=task.lease, reason=reason)))
    close_task(turn, key)


def cancel_job_tasks(turn: Turn, job_key: str, reason: str, keep: tuple[type, ...] = ()) -> None:
    """Cancel all open tasks of a job but those of the kinds to `keep`; updates have a life of their own."""
    for key, task in list(turn.ledger.tasks.items()):
        if task.job_key == job_key and not isinstance(task.task, (SendUpdate, *keep)):
            cancel_task(turn, key, reason)


def held_by(turn: Turn, role: str, incarnation: int, lease: str) -> TaskRecord | None:
    """Return the task of a valid lease; None for one that was taken back (fencing)."""
    task = turn.ledger.tasks.get(lease.split("/", 1)[0])
    if task is None or task.lease != lease or task.issued != incarnation or task.role != role:
        return None
    return task


def issue_due(turn: Turn) -> None:
    """Give each open task whose time has come to its role's worker, if that is ready."""
    for key, task in list(turn.ledger.tasks.items()):
        worker = turn.pilot.workers[task.role]
        if task.issued or worker.phase is not Phase.RUNNING or task.not_before_at > turn.now.mono:
            continue
        if _waits(turn, task):
            continue
        # Numbered over all tasks: one that is closed and opened again under its key must not get its old lease back.
        number = turn.ledger.sequence + 1
        leased = replace(task, attempt=number, issued=worker.incarnation, issued_at=turn.now.mono)
        turn.change_ledger(sequence=number, tasks={**turn.ledger.tasks, key: leased})
        turn.do(Send(task.role, worker.incarnation, Assign(lease=leased.lease, task=leased.task)))


def _waits(turn: Turn, task: TaskRecord) -> bool:
    """Tell whether a recovered job's task waits for the server's word on the job."""
    awaited = turn.now.mono < turn.pilot.status_until_at and turn.ledger.ending is None
    return awaited and isinstance(task.task, _WAITS) and is_open(turn, STATUS, task.job_key)


def put_off(turn: Turn, task: TaskRecord, delay_s: float) -> None:
    """Take a lease back and let the task be issued again after `delay_s`."""
    later = replace(task, issued=0, failures=task.failures + 1, not_before_at=turn.now.mono + delay_s)
    turn.change_ledger(tasks={**turn.ledger.tasks, task.key: later})
