"""The payload's own proxy: fetched before the payload starts, looked at while it runs (panda-protocol 1.8).

That the server has none to give stops nothing: the payload then runs without. One that will not do, and that the server
does not replace, fails the job (1163, 1177, 1373).
"""

import logging
from dataclasses import replace

from core.life import fail, job_of, put_job, start_payload
from core.state import Turn
from core.tasks import is_open, open_task
from errors.codes import ErrorCode
from ipc.results import ProxyFetched, Result
from jobs.ledger import TaskRecord
from jobs.record import GIVEN, NONE, JobRecord
from jobs.states import JobState

_TASK = "proxy"


def watch(turn: Turn) -> None:
    """Open the look at the proxy of each payload whose time has come."""
    for job in list(turn.ledger.jobs.values()):
        plan = turn.ledger.dossiers[job.key].plan
        if not _is_watched(turn, job) or job.proxy_check_at > turn.now.mono or plan is None or plan.proxy is None:
            continue
        if job.proxy_check_at and not is_open(turn, _TASK, job.key):
            open_task(turn, _TASK, replace(plan.proxy, needed=True), job.key)
        put_job(turn, replace(job, proxy_check_at=turn.now.mono + turn.settings.proxy_check_s))


def next_deadline(turn: Turn) -> float | None:
    """Return when `watch` has something to do next."""
    times = [job.proxy_check_at for job in turn.ledger.jobs.values() if _is_watched(turn, job)]
    return min((at for at in times if at > turn.now.mono), default=None)


def _is_watched(turn: Turn, job: JobRecord) -> bool:
    return job.proxy == GIVEN and job.state is JobState.RUNNING and turn.settings.proxy_check_s > 0


def fetched(turn: Turn, task: TaskRecord, result: Result) -> None:
    """Take how it stands: the job fails, or its payload starts if it has waited for this."""
    job = job_of(turn, task.job_key)
    if job is None or not isinstance(result, ProxyFetched):
        return
    if result.note:
        turn.say(logging.WARNING, f"job={job.job_id} payload proxy: {result.note}")
    if result.code:
        fail(turn, job.key, result.code, result.diag)
    else:
        _go_on(turn, job, GIVEN if result.present else NONE)


def fetch_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """What cannot be found out stops nothing; only a task that kills its worker fails the job."""
    job = job_of(turn, task.job_key)
    turn.say(logging.WARNING, f"job={task.job_key} payload proxy: {code} {diag}")
    if job is None:
        return
    if code in (ErrorCode.POISONTASK, ErrorCode.WORKERRESTARTSSPENT):
        fail(turn, job.key, code, diag)
    else:
        _go_on(turn, job, job.proxy or NONE)


def _go_on(turn: Turn, job: JobRecord, proxy: str) -> None:
    first = not job.proxy
    put_job(turn, replace(job, proxy=proxy))
    if first and job.state is JobState.STARTING:
        start_payload(turn, job.key)
