"""Jobs that were found in the journal: what the server says of them, before they go on (panda-protocol 1.7).

The server is asked once for each. While its answer is awaited, `status_wait_s` at the most, neither files are moved nor
updates sent for the job (core/tasks.py); what has a payload goes on with it. A job that is over there already ends here
without another word: whatever was reported of it would not be stored.
"""

import logging
from dataclasses import replace

from core.life import fail, job_of, move, put_job
from core.outbox import drop_row
from core.state import Turn
from core.tasks import STATUS, open_task
from errors.codes import ErrorCode
from ipc.results import JobStatusTold, Result
from ipc.tasks import AskJobStatus
from jobs.ledger import TaskRecord
from jobs.record import JobRecord
from jobs.states import SETTLED, JobEvent, JobState

#: States at the server that nothing brings a job out of.
_OVER = frozenset({"finished", "failed", "cancelled", "closed"})


def ask(turn: Turn) -> None:
    """Ask for the state of each job that is not settled, if it is the server who is told of it."""
    settings = turn.settings
    if not settings.update_server or settings.job_file or settings.fake_job or settings.tuning.status_wait_s <= 0:
        return
    asked = [job for job in turn.ledger.jobs.values() if job.state not in SETTLED and not job.muted]
    for job in asked:
        open_task(turn, STATUS, AskJobStatus(job_id=job.job_id, limit_s=settings.tuning.status_wait_s), job.key)
    if asked:
        turn.change(status_until_at=turn.now.mono + settings.tuning.status_wait_s)


def told(turn: Turn, task: TaskRecord, result: Result) -> None:
    """Let the job go on, or end it as the server did."""
    job = job_of(turn, task.job_key)
    if job is None or not isinstance(result, JobStatusTold):
        return
    reason = why_over(job, result)
    if not reason:
        turn.say(logging.INFO, f"job={job.job_id} goes on: the server has it as {result.status}")
        return
    turn.say(logging.WARNING, f"job={job.job_id} ends without a further report: {reason}")
    put_job(turn, replace(job, muted=True))
    for row in [row for row in turn.ledger.outbox.values() if row.job_key == job.key]:
        drop_row(turn, row, reason)
    if job.state in (JobState.REPORTING, JobState.HOLDING):
        move(turn, job.key, JobEvent.REPORTED)
    else:
        fail(turn, job.key, ErrorCode.PANDAKILL, f"the server wants no more of this job: {reason}")


def not_told(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """Go on: the answers to the job's updates will tell."""
    turn.say(logging.WARNING, f"job={task.job_key} the server did not say how it stands: {code} {diag}")


def why_over(job: JobRecord, status: JobStatusTold) -> str:
    """Return why nothing more of a job is wanted by the server, "" when it may go on."""
    if not status.status:
        return "the server does not know it"
    if status.attempt_nr > 0 and job.attempt_nr > 0 and status.attempt_nr != job.attempt_nr:
        return f"the server is at attempt {status.attempt_nr}, this is {job.attempt_nr}"
    return f"it is {status.status} at the server" if status.status in _OVER else ""
