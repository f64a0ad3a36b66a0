"""How the pilot ends: by a signal, by the guardian's death, by its age, or because nothing is left to do (DESIGN 5).

On a first cause the server hears the code at once, in an update that is not final; then the payload is ended, the log
saved and brought, and the one final update goes out. When the time that the batch system leaves runs short, the final
update goes without the log; what then still waits is left on disk for a later pilot.
"""

import logging
from dataclasses import replace

from core import fleet, traces
from core.actions import EndPayload, Leave
from core.hunt import end_hunt, tell_worker_status
from core.life import active_jobs, fail, job_of, move, tell
from core.state import Turn
from core.tasks import cancel_job_tasks, cancel_task, is_open
from errors.catalogue import diagnostics, process_exit_code, signal_code
from errors.codes import ErrorCode
from ipc.tasks import KillPayload
from jobs.ledger import Ending, Ledger
from jobs.states import OPEN_TO_ERRORS, SETTLED, JobEvent, JobState
from workflows.standard import secrets_only

#: A job asked for when a signal comes may be on its way: so long is it waited for, to report rather than lose it.
ACQUIRE_PATIENCE_S = 2.0
_STOP_GRACE_S = 0.5
_REPEAT_S = 2.0
_KILLED_EXIT = 137


def signal_arrived(turn: Turn, number: int, name: str) -> None:
    """A trapped signal: the first begins the ending; one repeated later shortens it (P07)."""
    ending = turn.ledger.ending
    tuning = turn.settings.tuning
    if ending is not None:
        if ending.signal and turn.now.mono > ending.deadline_at - tuning.kill_grace_s + _REPEAT_S:
            sooner = min(ending.deadline_at, turn.now.mono + 2 * tuning.report_reserve_s)
            turn.change_ledger(ending=replace(ending, deadline_at=sooner))
        turn.say(logging.WARNING, f"signal {name} while the pilot ends already")
        return
    code = signal_code(name, classic=tuning.signal_codes == "classic")
    turn.say(logging.ERROR, f"signal {name}: the pilot ends, code {code}")
    _begin(turn, Ending(
        exit_code=128 + number,
        error_code=code,
        text=diagnostics(code),
        deadline_at=turn.now.mono + tuning.kill_grace_s,
        signal=number,
    ))  # fmt: skip


def guardian_died(turn: Turn) -> None:
    """The slot is gone: as a signal that nobody could trap, and the server is told so."""
    if turn.ledger.ending is not None:
        return
    turn.say(logging.ERROR, "the guardian died: the slot is gone, the pilot ends, code 1200")
    code = ErrorCode.KILLSIGNAL
    text = diagnostics(code, "the pilot's first process was killed from outside")
    deadline_at = turn.now.mono + turn.settings.tuning.kill_grace_s
    _begin(turn, Ending(exit_code=_KILLED_EXIT, error_code=code, text=text, deadline_at=deadline_at))


def _begin(turn: Turn, ending: Ending) -> None:
    turn.change_ledger(ending=ending)
    for job in active_jobs(turn):
        if job.state not in OPEN_TO_ERRORS:
            continue
        # The server must hear the code before anything else is done, so the update is queued before the move.
        noted = replace(job, error_code=ending.error_code, error_diag=ending.text) if not job.error_code else job
        turn.change_ledger(jobs={**turn.ledger.jobs, job.key: noted})
        tell(turn, job.key)
        fail(turn, job.key, ending.error_code, ending.text)


def press_on(turn: Turn) -> None:
    """Hold the ending's deadlines; leave once nothing is left to do."""
    ending = turn.ledger.ending
    if ending is not None:
        if is_open(turn, "acquire") and _acquire_overdue(turn):
            cancel_task(turn, ":acquire", "the pilot ends")
        for key in (":queue",):
            cancel_task(turn, key, "the pilot ends")
        if turn.now.mono >= ending.deadline_at - turn.settings.tuning.report_reserve_s:
            _report_without_log(turn)
        if turn.now.mono >= ending.deadline_at:
            _shelve(turn, "the time to end is up")
    elif turn.now.wall - turn.ledger.began_wall > turn.settings.lifetime_s and not _open_to_work(turn):
        _shelve(turn, "the pilot's lifetime is over", tried=True)
    elif fleet.spent(turn, "reporter"):
        _shelve(turn, "no reporter lives")
        if not turn.ledger.hunt.over:
            end_hunt(turn, "no reporter lives", process_exit_code(ErrorCode.WORKERRESTARTSSPENT))
    _leave_if_idle(turn)


def _acquire_overdue(turn: Turn) -> bool:
    ending, task = turn.ledger.ending, turn.ledger.tasks[":acquire"]
    if ending is None or not task.issued:
        return True
    began_at = ending.deadline_at - turn.settings.tuning.kill_grace_s
    return turn.now.mono >= min(began_at + ACQUIRE_PATIENCE_S, ending.deadline_at)


def _open_to_work(turn: Turn) -> bool:
    return any(job.state in OPEN_TO_ERRORS | {JobState.FAILING} for job in turn.ledger.jobs.values())


def _report_without_log(turn: Turn) -> None:
    for job in active_jobs(turn):
        if job.state is JobState.FAILING:
            kill = turn.ledger.tasks.get(f"{job.key}:kill")
            if kill is not None and isinstance(kill.task, KillPayload):
                # Nobody will wait for the runner any more, but nothing may outlive the pilot.
                turn.do(EndPayload(kill.task.control_dir))
            cancel_job_tasks(turn, job.key, "time runs short")
            move(turn, job.key, JobEvent.ENDED)
        now_job = job_of(turn, job.key)
        if now_job is not None and now_job.state is JobState.TRANSFERRING_LOG:
            move(turn, job.key, JobEvent.LOG_SETTLED, log_diag="no time was left for the log")


def _shelve(turn: Turn, why: str, *, tried: bool = False) -> None:
    """Hold the jobs whose final update waits; with `tried` only those that the server did not take at the first try."""
    waiting = {row.job_key for row in turn.ledger.outbox.values() if row.final and row.attempts == 0}
    for job in active_jobs(turn):
        if job.state is JobState.REPORTING and not (tried and job.key in waiting):
            turn.say(logging.ERROR, f"job={job.job_id} its final update waits on disk for a later pilot: {why}")
            move(turn, job.key, JobEvent.SHELVED)


def _leave_if_idle(turn: Turn) -> None:
    """Stop the workers when no job, task or deliverable update is left; then leave."""
    ending, hunt = turn.ledger.ending, turn.ledger.hunt
    if not turn.pilot.stopping:
        if ending is None and not hunt.over:
            return
        late = ending is not None and turn.now.mono >= ending.deadline_at
        undelivered = [row for row in turn.ledger.outbox.values() if not _held(turn, row.job_key) and row.attempts == 0]
        unsettled = [job for job in turn.ledger.jobs.values() if job.state not in SETTLED | {JobState.HOLDING}]
        cleaning = any(job.state is JobState.DONE for job in turn.ledger.jobs.values())
        busy = is_open(turn, "acquire") or unsettled or ((undelivered or cleaning) and not late)
        if busy and not (late and not unsettled):
            return
        if turn.ledger.hunt.worker_word == "started" and not late:
            tell_worker_status(turn, "finished")
            return
        if traces.linger(turn):
            return
        fleet.stop_all(turn, _STOP_GRACE_S)
    if turn.now.mono >= turn.pilot.stop_deadline_at:
        fleet.kill_rest(turn)
    if fleet.all_stopped(turn) and not turn.pilot.left:
        turn.change(left=True, exit_code=_exit_code(turn))
        turn.do(Leave(turn.pilot.exit_code))


def secrets_left(ledger: Ledger) -> tuple[str, ...]:
    """Return the files with secrets of the jobs that are left for a later pilot; what it needs is in the journal."""
    plans = [dossier.plan for dossier in ledger.dossiers.values() if dossier.plan is not None]
    return tuple(path for plan in plans for path in secrets_only(plan).paths)


def _held(turn: Turn, job_key: str) -> bool:
    job = job_of(turn, job_key)
    return job is not None and job.state is JobState.HOLDING


def _exit_code(turn: Turn) -> int:
    if turn.ledger.ending is not None:
        return turn.ledger.ending.exit_code
    if any(job.state is JobState.HOLDING for job in turn.ledger.jobs.values()):
        return process_exit_code(ErrorCode.COMMUNICATIONFAILURE)
    return turn.ledger.hunt.exit_code


def next_deadline(turn: Turn) -> float | None:
    """Return when press_on has something to do next."""
    if turn.pilot.stopping:
        return turn.pilot.stop_deadline_at if not turn.pilot.left else None
    ending = turn.ledger.ending
    if ending is None:
        return None
    tuning = turn.settings.tuning
    began_at = ending.deadline_at - tuning.kill_grace_s
    times = (began_at + ACQUIRE_PATIENCE_S, ending.deadline_at - tuning.report_reserve_s, ending.deadline_at)
    return min((at for at in times if at > turn.now.mono), default=turn.now.mono + _STOP_GRACE_S)
