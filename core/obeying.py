"""Obeys what the server says in its answers (panda-protocol 3.9): ends of a job, debug mode, looks into a job.

A debug command is carried out at once when it is new; as the server repeats it in each answer until it is replaced, the
same one is carried out again only with the heartbeats of the debug mode.
"""

import logging
from dataclasses import replace

from core.commands import LAST_LOOK, NEWEST, Command, read_command
from core.feeding import drain
from core.life import fail, job_of, put_job, tell
from core.state import Turn
from core.tasks import cancel_task, is_open, open_task
from errors.codes import ErrorCode
from ipc.results import Inspected, Result
from ipc.tasks import Inspect
from jobs.ledger import TaskRecord
from jobs.record import JobRecord
from jobs.states import MAY_HAVE_PAYLOAD, OPEN_TO_ERRORS

LOOK = "inspect"


def obey(turn: Turn, key: str, text: str) -> None:
    """Carry out the server's word for a job."""
    command = read_command(text)
    if command.keep_files:
        put_job(turn, replace(turn.ledger.jobs[key], keep_files=True))
    if command.soft_kill and not turn.ledger.jobs[key].soft_kill:
        turn.say(logging.WARNING, f"job={key} softkill: events under way are finished, no more are taken")
        put_job(turn, replace(turn.ledger.jobs[key], soft_kill=True))
        drain(turn, key)
    if command.unknown:
        turn.say(logging.WARNING, f"job={key} the server's command is not known and is ignored: {command.unknown!r}")
    if command.kill:
        fail(turn, key, ErrorCode.PANDAKILL, "")
    elif command.unwanted:
        put_job(turn, replace(turn.ledger.jobs[key], muted=command.wrong_attempt))
        fail(turn, key, ErrorCode.PANDAKILL, f"The server wants no more of this attempt: {text}")
    else:
        _debug(turn, turn.ledger.jobs[key], command)


def _debug(turn: Turn, job: JobRecord, command: Command) -> None:
    if command.refused:
        turn.say(logging.WARNING, f"job={job.key} the server's debug command is refused: {command.refused}")
    if command.debug is False:
        if job.debug:
            turn.say(logging.INFO, f"job={job.key} debug mode off")
            cancel_task(turn, f"{job.key}:{LOOK}", "debug mode is off")
        beat_at = turn.now.mono + turn.settings.heartbeat_s if job.debug else job.next_heartbeat
        put_job(turn, replace(job, debug=False, debug_words=(), debug_text="", next_heartbeat=beat_at))
        return
    if command.debug is None or job.state not in OPEN_TO_ERRORS:
        return
    words = () if command.refused else command.inspect
    if job.debug and words == job.debug_words and job.debug_text:
        return  # the server repeats itself
    if not job.debug:
        turn.say(logging.INFO, f"job={job.key} debug mode on, an update each {turn.settings.debug_heartbeat_s:.0f} s")
    new = not job.debug or words != job.debug_words
    beat_at = min(job.next_heartbeat, turn.now.mono + turn.settings.debug_heartbeat_s)
    put_job(turn, replace(job, debug=True, debug_words=words, next_heartbeat=beat_at))
    if new:
        cancel_task(turn, f"{job.key}:{LOOK}", "another debug command came")
        look(turn, job.key)


def look(turn: Turn, key: str) -> bool:
    """Begin the look of a job's debug mode; its result goes out at once. False when there is nothing to look into."""
    job = turn.ledger.jobs[key]
    plan = turn.ledger.dossiers[key].plan
    if not job.debug or plan is None or job.state not in OPEN_TO_ERRORS or is_open(turn, LOOK, key):
        return False
    if job.debug_words[:1] == (LAST_LOOK,) and job.state not in MAY_HAVE_PAYLOAD:
        return False
    watch = plan.watch
    task = Inspect(job_dir=watch.job_dir, control_dir=watch.control_dir, words=job.debug_words or NEWEST)
    open_task(turn, LOOK, task, key)
    return True


def inspected(turn: Turn, task: TaskRecord, result: Result) -> None:
    """Tell the server what was seen; after the last look the payload is ended (1144)."""
    job = job_of(turn, task.job_key)
    if job is None or not isinstance(result, Inspected) or not job.debug:
        return
    put_job(turn, replace(job, debug_text=result.text))
    if job.state in OPEN_TO_ERRORS:
        tell(turn, job.key)
    if result.end_payload:
        fail(turn, job.key, ErrorCode.PANDAKILL, "after the debug command gdb, which left a core file for the log")


def inspect_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """A look that failed costs nothing: the update goes out with what went wrong."""
    job = job_of(turn, task.job_key)
    turn.say(logging.WARNING, f"task={task.key} failed: {code} {diag}")
    if job is not None and job.debug and job.state in OPEN_TO_ERRORS:
        put_job(turn, replace(job, debug_text=diag[:200]))
        tell(turn, job.key)
