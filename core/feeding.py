"""A job that is fed with events: the feeder's wishes become tasks of other roles, their outcomes go back to it.

The feeder is a task of the runner's that goes on beside the payload and beyond it, until all that the payload made is
stored and told. It may die at any point; what it needs it asks for again then, under the same name. So an answer that
finds nobody to take it is dropped.
"""

import logging
from dataclasses import replace

from core.actions import Send
from core.life import begin_payload, end_if_idle, fail, job_of, move, put_job, settle_events
from core.state import Turn
from core.tasks import is_open, open_task
from errors.codes import ErrorCode
from ipc.observations import ChannelOpen, EventsCounted, Observation, Wanted
from ipc.results import EventsFed, RangesAcquired, RangesReported, Result, Staged
from ipc.schema import Heed
from ipc.tasks import AcquireRanges, FeedEvents, ReportRanges, StageTar
from jobs.ledger import TaskRecord
from jobs.record import JobRecord
from jobs.states import JobEvent, JobState

#: What a feeder may want of others.
WISHES = (AcquireRanges, ReportRanges, StageTar)
_PREFIX = "feed-"
_RUNS = (JobState.STARTING, JobState.RUNNING)


def noticed(turn: Turn, task: TaskRecord, fact: Observation) -> None:
    """Take what a feeder says while it works."""
    job = job_of(turn, task.job_key)
    if job is None or not isinstance(task.task, FeedEvents):
        return
    if isinstance(fact, Wanted):
        open_task(turn, f"{_PREFIX}{fact.name}", fact.task, job.key)
    elif isinstance(fact, EventsCounted):
        put_job(turn, replace(job, n_events=max(job.n_events, fact.n_events)))
    elif isinstance(fact, ChannelOpen):
        if job.state in _RUNS:
            begin_payload(turn, job.key)
        if job.soft_kill:
            drain(turn, job.key)


def drain(turn: Turn, key: str) -> None:
    """Have no more events handed out (softkill); a feeder that is about to come asks by opening its channel."""
    _tell(turn, key, Heed(lease="", name="drain", diag="softkill"))


def granted(turn: Turn, task: TaskRecord, result: Result) -> None:
    """Bring the outcome of a wish back."""
    if isinstance(result, Staged | RangesAcquired | RangesReported):
        _tell(turn, task.job_key, Heed(lease="", name=_name(task), result=result))


def refused(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """Bring the failure of a wish back; whether it is tried again is the feeder's to say."""
    turn.say(logging.WARNING, f"task={task.key} failed: {code} {diag}")
    _tell(turn, task.job_key, Heed(lease="", name=_name(task), code=code, diag=diag))


def fed(turn: Turn, task: TaskRecord, result: Result) -> None:
    """The feeding is over."""
    job = job_of(turn, task.job_key)
    if job is None or not isinstance(result, EventsFed):
        return
    put_job(turn, replace(job, fed=result, n_events=max(job.n_events, result.n_events)))
    _lead_on(turn, job)


def feeding_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """Without a feeder the job fails: there was nothing to feed it with, or no feeder can live."""
    job = job_of(turn, task.job_key)
    if job is None:
        return
    word = "pilot_noevents" if code == ErrorCode.ESNOEVENTS else "pilot_failed"
    n_events = max(0, job.n_events)
    put_job(turn, replace(job, fed=EventsFed(n_events=n_events, error_code=code, error_diag=diag, sub_status=word)))
    if job.state in _RUNS and not job.stopped:
        fail(turn, job.key, code, diag)
    else:
        _lead_on(turn, turn.ledger.jobs[job.key])


def _lead_on(turn: Turn, job: JobRecord) -> None:
    """Go on with a job whose feeding is over."""
    if job.state is JobState.STAGING_OUT:
        settle_events(turn, job.key)
    elif job.state in _RUNS and not is_open(turn, "run", job.key):
        # Its payload never started and never will: the kill file was faster.
        move(turn, job.key, JobEvent.PAYLOAD_ENDED)
    else:
        end_if_idle(turn, job.key)


def _name(task: TaskRecord) -> str:
    return task.key.partition(f":{_PREFIX}")[2]


def _tell(turn: Turn, key: str, message: Heed) -> None:
    feeder = turn.ledger.tasks.get(f"{key}:feed")
    if feeder is not None and feeder.issued:
        turn.do(Send(feeder.role, feeder.issued, replace(message, lease=feeder.lease)))
