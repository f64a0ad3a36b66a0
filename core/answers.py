"""What the workers say of their leases: done, failed, observed; each kind of task has its row in two tables."""

import logging
from collections.abc import Callable
from dataclasses import replace

from core import feeding, identity, payload_proxy, pilot_secrets, recovered
from core.actions import EndPayload
from core.hunt import acquired, hunt_failed, limit_passed, no_job, queue_again, queue_fetched
from core.life import end_if_idle, fail, forget, job_of, move, put_job
from core.node import describe_node, described, description_failed
from core.obeying import inspect_failed, inspected, obey
from core.outbox import delivery_failed, drop_row, row_of
from core.pulse import accepted
from core.state import Turn
from core.stopping import excused, stop_payload
from core.tasks import close_task, put_off
from core.traces import attempted, sending_failed, sent
from errors.codes import ErrorCode
from ipc.observations import Attempted, ChannelOpen, EventsCounted, LimitExceeded, PayloadStarted, Usage, Wanted
from ipc.results import (
    EventsFed,
    IdentityChecked,
    Inspected,
    JobAcquired,
    JobStatusTold,
    LogTransferred,
    NodeDescribed,
    NoJob,
    PayloadEnded,
    ProxyFetched,
    QueueFetched,
    RangesAcquired,
    RangesReported,
    Result,
    Staged,
    TracesSent,
    UpdateAnswered,
)
from ipc.schema import Done, Failed, Observed
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
    TransferLog,
    Watch,
)
from jobs.ledger import TaskRecord
from jobs.states import MAY_HAVE_PAYLOAD, JobEvent, JobState


def done(turn: Turn, task: TaskRecord, message: Done) -> None:
    """Take a result; one of another kind than the task's is treated as the task's failure."""
    kind, handler = _ON_DONE[type(task.task)]
    if not isinstance(message.result, kind):
        failed(turn, task, ErrorCode.INTERNALPILOTPROBLEM, f"a {type(message.result).__name__} came back", retry=False)
        return
    close_task(turn, task.key)
    handler(turn, task, message.result)


def observed(turn: Turn, task: TaskRecord, message: Observed) -> None:
    """Take a fact about work under way."""
    job = job_of(turn, task.job_key)
    fact = message.observation
    if job is None:
        return
    if isinstance(fact, PayloadStarted):
        stamps = replace(job.stamps, started=job.stamps.started or fact.started_wall)
        if job.state in (JobState.STARTING, JobState.RUNNING):
            move(turn, job.key, JobEvent.PAYLOAD_STARTED, payload_pid=fact.pid, stamps=stamps)
    elif isinstance(fact, Usage):
        put_job(turn, replace(job, usage=fact))
    elif isinstance(fact, Wanted | ChannelOpen | EventsCounted):
        feeding.noticed(turn, task, fact)
    elif isinstance(fact, LimitExceeded) and fact.code == ErrorCode.KILLPAYLOAD:
        stop_payload(turn, job.key)
    elif isinstance(fact, Attempted):
        attempted(turn, job.key, fact)
    elif isinstance(fact, LimitExceeded):
        limit_passed(turn, fact.code)
        fail(turn, job.key, fact.code, fact.diag)


def failed_message(turn: Turn, task: TaskRecord, message: Failed) -> None:
    """Take a failure as a worker tells it."""
    failed(turn, task, message.code, message.diag, retry=message.retry)


def failed(turn: Turn, task: TaskRecord, code: int, diag: str, *, retry: bool) -> None:
    """Do what follows from a task's failure: again later, or on without it, or the job fails."""
    if isinstance(task.task, SendUpdate):
        close_task(turn, task.key)
        row = row_of(turn, task)
        if row is not None:
            delivery_failed(turn, row, f"{code} {diag}", retry=retry)
        return
    tuning = turn.settings.tuning
    retry = retry and not isinstance(task.task, feeding.WISHES)
    if isinstance(task.task, FetchQueue) and retry and queue_again(turn, task, f"{code} {diag}"):
        return
    if retry and not isinstance(task.task, AcquireJob | FetchQueue) and task.failures + 1 < tuning.task_attempts:
        turn.say(logging.WARNING, f"task={task.key} failed and is tried again: {code} {diag}")
        put_off(turn, task, tuning.task_retry_s)
        return
    close_task(turn, task.key)
    _ON_FAILED[type(task.task)](turn, task, code, diag)


# ---------------------------------------------------------------- results
def _prepared(turn: Turn, task: TaskRecord, _result: Result) -> None:
    move(turn, task.job_key, JobEvent.PREPARED)


def _staged_in(turn: Turn, task: TaskRecord, _result: Result) -> None:
    move(turn, task.job_key, JobEvent.STAGED_IN)


def _payload_ended(turn: Turn, task: TaskRecord, result: Result) -> None:
    if not isinstance(result, PayloadEnded):
        return
    job = turn.ledger.jobs[task.job_key]
    result = excused(job, result)
    put_job(
        turn,
        replace(
            job,
            trans_exit_code=result.exit_code,
            exe_error_code=result.exe_error_code,
            exe_error_diag=result.exe_error_diag,
            job_report=result.job_report,
            log_extract=result.log_extract,
            cpu_time_s=result.cpu_time_s,
            events_read=result.events_read,
            events_written=result.events_written,
            outputs_waived=result.outputs_waived,
        ),
    )
    if result.error_code:
        fail(turn, job.key, result.error_code, result.error_diag)
    else:
        move(turn, job.key, JobEvent.PAYLOAD_ENDED)


def _payload_killed(turn: Turn, task: TaskRecord, _result: Result) -> None:
    end_if_idle(turn, task.job_key)


def _staged_out(turn: Turn, task: TaskRecord, result: Result) -> None:
    if isinstance(result, Staged):
        move(turn, task.job_key, JobEvent.STAGED_OUT, outputs=result.files)


def _log_transferred(turn: Turn, task: TaskRecord, result: Result) -> None:
    if isinstance(result, LogTransferred):
        move(turn, task.job_key, JobEvent.LOG_SETTLED, log=(result.file,))


def _cleaned(turn: Turn, task: TaskRecord, _result: Result) -> None:
    forget(turn, task.job_key)


def _answered(turn: Turn, task: TaskRecord, result: Result) -> None:
    row = row_of(turn, task)
    if not isinstance(result, UpdateAnswered) or row is None:
        return
    if not result.stored:
        delivery_failed(turn, row, result.message, retry=True)
        return
    drop_row(turn, row, "delivered")
    accepted(turn, row.job_key)
    job = job_of(turn, row.job_key)
    if job is None:
        return
    if row.final:
        if job.state in (JobState.REPORTING, JobState.HOLDING):
            move(turn, job.key, JobEvent.REPORTED)
        return
    if result.pilot_secrets:
        pilot_secrets.take(turn, job.key, result.pilot_secrets)
    obey(turn, job.key, result.command)


def _ignored(_turn: Turn, _task: TaskRecord, _result: Result) -> None:
    """Nothing follows."""


def _job_or_none(turn: Turn, task: TaskRecord, result: Result) -> None:
    if isinstance(result, JobAcquired):
        acquired(turn, task, result.definition)
    elif isinstance(result, NoJob):
        no_job(turn, result)


def _queue(turn: Turn, _task: TaskRecord, result: Result) -> None:
    if isinstance(result, QueueFetched):
        queue_fetched(turn, result)
        describe_node(turn)


_ON_DONE: dict[type, tuple[type | tuple[type, ...], Callable[[Turn, TaskRecord, Result], None]]] = {
    FetchQueue: (QueueFetched, _queue),
    DescribeNode: (NodeDescribed, described),
    AcquireJob: ((JobAcquired, NoJob), _job_or_none),
    SendUpdate: (UpdateAnswered, _answered),
    CheckIdentity: (IdentityChecked, identity.checked),
    SendTraces: (TracesSent, sent),
    FetchProxy: (ProxyFetched, payload_proxy.fetched),
    AskJobStatus: (JobStatusTold, recovered.told),
    PrepareJob: (object, _prepared),
    StageIn: (Staged, _staged_in),
    StageOut: (Staged, _staged_out),
    TransferLog: (LogTransferred, _log_transferred),
    CleanUp: (object, _cleaned),
    RunPayload: (PayloadEnded, _payload_ended),
    FeedEvents: (EventsFed, feeding.fed),
    AcquireRanges: (RangesAcquired, feeding.granted),
    ReportRanges: (RangesReported, feeding.granted),
    StageTar: (Staged, feeding.granted),
    KillPayload: (object, _payload_killed),
    Watch: (object, _ignored),
    Inspect: (Inspected, inspected),
    Pulse: (object, _ignored),
}


# ---------------------------------------------------------------- failures that are not tried again
def _job_fails(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    fail(turn, task.job_key, code, diag)


def _kill_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """The runner could not end the payload: the supervisor does it itself, and the job goes on to its report."""
    turn.say(logging.ERROR, f"task={task.key} failed ({code} {diag}); the supervisor ends the payload itself")
    if isinstance(task.task, KillPayload):
        turn.do(EndPayload(task.task.control_dir))
    end_if_idle(turn, task.job_key)


def _run_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    fail(turn, task.job_key, code, diag)


def _log_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """A log that cannot be brought fails a job that was well (its report would not be complete), never blocks it."""
    fail(turn, task.job_key, code, diag)
    job = job_of(turn, task.job_key)
    if job is not None and job.state is JobState.TRANSFERRING_LOG:
        move(turn, job.key, JobEvent.LOG_SETTLED, log_diag=diag)


def _watch_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    job = job_of(turn, task.job_key)
    turn.say(logging.WARNING, f"task={task.key} failed: {code} {diag}")
    if job is not None and job.state in MAY_HAVE_PAYLOAD:
        fail(turn, job.key, code, diag)


def _pulse_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    turn.say(logging.WARNING, f"task={task.key} failed: {code} {diag}")


def _clean_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    turn.say(logging.WARNING, f"the files of job {task.job_key} could not be removed: {code} {diag}")
    forget(turn, task.job_key)


_ON_FAILED: dict[type, Callable[[Turn, TaskRecord, int, str], None]] = {
    FetchQueue: hunt_failed,
    DescribeNode: description_failed,
    AcquireJob: hunt_failed,
    CheckIdentity: identity.check_failed,
    SendTraces: sending_failed,
    FetchProxy: payload_proxy.fetch_failed,
    AskJobStatus: recovered.not_told,
    PrepareJob: _job_fails,
    StageIn: _job_fails,
    StageOut: _job_fails,
    RunPayload: _run_failed,
    FeedEvents: feeding.feeding_failed,
    AcquireRanges: feeding.refused,
    ReportRanges: feeding.refused,
    StageTar: feeding.refused,
    TransferLog: _log_failed,
    KillPayload: _kill_failed,
    CleanUp: _clean_failed,
    Watch: _watch_failed,
    Inspect: inspect_failed,
    Pulse: _pulse_failed,
}
