"""Traces of transfers: handed to the reporter as they come, bounded, and dropped rather than waited for."""

import logging
from dataclasses import replace

from core.life import job_of, put_job
from core.state import Turn
from core.tasks import cancel_task, open_task
from ipc.observations import Attempted
from ipc.results import Result, TracesSent
from ipc.tasks import SendTraces
from jobs.ledger import TaskRecord

#: No more traces than this wait for the reporter.
MAX_WAITING = 2000
#: How long a pilot that has nothing else left to do waits for its last traces.
LINGER_S = 8.0


def attempted(turn: Turn, job_key: str, fact: Attempted) -> None:
    """Have the attempts of a task traced, as far as there is room."""
    dossier = turn.ledger.dossiers.get(job_key)
    basis = dossier.plan.traces if dossier is not None and dossier.plan is not None else None
    if basis is None:
        return
    room = max(0, MAX_WAITING - sum(len(task.attempts) for task in _waiting(turn)))
    if len(fact.attempts) > room:
        turn.say(logging.WARNING, f"job={basis.job_id} {len(fact.attempts) - room} traces dropped: too many wait")
    attempts = fact.attempts[:room]
    if attempts:
        # The number keeps tasks apart; a job's end does not end them.
        number = turn.ledger.sequence + 1
        turn.change_ledger(sequence=number)
        open_task(turn, f"traces-{number}", SendTraces(job_key=job_key, basis=basis, attempts=attempts))


def sent(turn: Turn, task: TaskRecord, result: Result) -> None:
    """Say what was dropped, and keep curl's code for the job's metrics."""
    if isinstance(task.task, SendTraces) and isinstance(result, TracesSent):
        if result.dropped:
            turn.say(logging.WARNING, f"{result.dropped} traces of {task.task.job_key} dropped: {result.note}")
        _keep_code(turn, task.task.job_key, result.curl_code)


def sending_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """Go on without."""
    if isinstance(task.task, SendTraces):
        count = len(task.task.attempts)
        turn.say(logging.WARNING, f"{count} traces of {task.task.job_key} dropped: {code} {diag}")
        _keep_code(turn, task.task.job_key, 1)


def _keep_code(turn: Turn, job_key: str, curl_code: int) -> None:
    job = job_of(turn, job_key)
    if job is not None and curl_code:
        put_job(turn, replace(job, trace_error=curl_code))


def _waiting(turn: Turn) -> list[SendTraces]:
    return [record.task for record in turn.ledger.tasks.values() if isinstance(record.task, SendTraces)]


def linger(turn: Turn) -> bool:
    """Tell whether to stay a moment for traces under way; when the moment is over they are dropped."""
    waiting = _waiting(turn)
    if not waiting:
        return False
    if not turn.pilot.traces_until_at:
        turn.change(traces_until_at=turn.now.mono + LINGER_S)
    if turn.ledger.ending is None and turn.now.mono < turn.pilot.traces_until_at:
        return True
    count = sum(len(task.attempts) for task in waiting)
    turn.say(logging.WARNING, f"{count} traces dropped: the pilot ends")
    for key, record in list(turn.ledger.tasks.items()):
        if isinstance(record.task, SendTraces):
            cancel_task(turn, key, "the pilot ends")
    return False


def next_deadline(turn: Turn) -> float | None:
    """Return when the pilot waits no longer."""
    at = turn.pilot.traces_until_at
    return at if at > turn.now.mono and _waiting(turn) else None
