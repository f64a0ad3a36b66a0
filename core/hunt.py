"""The hunt for jobs: the queue's description first, then requests, until a limit says that it is over (behaviour 8)."""

import logging
import zlib
from dataclasses import replace

from core.life import active_jobs, life_ends_wall, receive
from core.outbox import queue_update
from core.state import Turn
from core.tasks import is_open, open_task, put_off
from errors.catalogue import process_exit_code
from errors.codes import ErrorCode
from errors.exceptions import BulkheadError
from ipc.results import NoJob, QueueFetched
from ipc.tasks import AcquireJob
from jobs.ledger import TaskRecord, fingerprint
from jobs.states import JobState
from workflows.information import life_limit_s, queue_task
from workflows.request import check_queue, is_hpc, job_request, kept_at, local_queue, time_floor_s, worker_status

_QUEUE_TRIES = 3
_HPC_FAILURES = 5
#: A job is asked for only while this part of the pilot's life is left, or `getjob_time_left_s` if that is less.
_SHARE_LEFT = 10.0
_CLOCKS_APART_S = 1.0
_FILE_PAUSE_S = 1.0


def tell_worker_status(turn: Turn, word: str) -> None:
    """Tell Harvester's server once that this worker has "started" or "finished" (panda-protocol 1.7)."""
    settings, hunt = turn.settings, turn.ledger.hunt
    wanted = settings.update_server and settings.worker_status and not settings.job_file
    known = settings.harvester_id and settings.harvester_worker_id.isdecimal()  # the server takes numbers only
    if wanted and known and hunt.worker_word != word:
        turn.change_ledger(hunt=replace(hunt, worker_word=word))
        queue_update(turn, "", "update_worker_status", worker_status(settings, word))


def seek(turn: Turn) -> None:
    """Open the next task of the hunt, if there is nothing else to do first."""
    hunt = turn.ledger.hunt
    if hunt.over or turn.ledger.ending is not None or active_jobs(turn):
        return
    if not hunt.worker_word:
        tell_worker_status(turn, "started")
    if not hunt.queue_text:
        task = queue_task(turn.settings, turn.pilot.main_dir)
        if task.queue_sources:
            open_task(turn, "queue", task)
        else:
            queue_fetched(turn, local_queue(turn.settings))
        return
    if is_open(turn, "acquire") or _inherited_is_cleaned(turn) or not turn.pilot.identity.cleared:
        return
    reason, enough = _over(turn), _enough(turn)
    if reason or (enough and not turn.settings.handover.jobs_from_files):
        end_hunt(turn, enough or reason, _no_jobs_exit(turn))
    elif turn.now.mono >= hunt.pause_until_at and not any(row.final for row in turn.ledger.outbox.values()):
        turn.change_ledger(hunt=replace(hunt, asked=hunt.asked + 1, began_wall=hunt.began_wall or turn.now.wall))
        request = job_request(turn.settings, turn.ledger.hunt)
        keep_at = kept_at(turn.pilot.main_dir, hunt)
        ask = AcquireJob(
            request=request,
            keep_at=keep_at,
            taken=hunt.taken,
            number=hunt.jobs_taken,
            # Jobs that lie in files were handed over: nobody else will run them.
            handed_over_only=bool(enough),
        )
        open_task(turn, "acquire", ask)


def _inherited_is_cleaned(turn: Turn) -> bool:
    """Tell whether a dead pilot's job is being cleaned away: its files have the names of this pilot's first one."""
    return not turn.ledger.hunt.jobs_taken and any(job.state is JobState.DONE for job in turn.ledger.jobs.values())


def _enough(turn: Turn) -> str:
    """Return why this pilot has run enough jobs, "" when it has not."""
    hunt = turn.ledger.hunt
    if hunt.jobs_taken:
        floor_s = time_floor_s(hunt.queue_text)
        if floor_s == 0:
            return "the queue's timefloor is 0: one job for each pilot"
        if turn.now.wall - hunt.began_wall > floor_s:
            return f"the timefloor of {floor_s} s has passed"
    return ""


def _over(turn: Turn) -> str:
    """Return why no further job can be had, "" when one can."""
    hunt, settings = turn.ledger.hunt, turn.settings
    too_late = _too_late(turn)
    if too_late:
        return too_late
    if hunt.failures >= settings.getjob_failures:
        return f"{hunt.failures} requests brought no job"
    if hunt.asked >= settings.getjob_requests:
        return f"{hunt.asked} requests were made"
    return ""


def _too_late(turn: Turn) -> str:
    left_s, limit_s = life_left_s(turn), life_limit_s(turn.ledger.hunt, turn.settings)
    if left_s <= 0:
        return f"the pilot's life of {limit_s:g} s is over"
    if left_s < min(turn.settings.tuning.getjob_time_left_s, limit_s / _SHARE_LEFT):
        return f"{left_s:.0f} s of {limit_s:g} s are left: too short for another job"
    return ""


def _no_jobs_exit(turn: Turn) -> int:
    """Return the exit code of a hunt that is over: that of 1385 on an HPC that gave no job five times, else 0."""
    hunt = turn.ledger.hunt
    empty = hunt.failures >= _HPC_FAILURES and is_hpc(hunt.queue_text)
    return process_exit_code(ErrorCode.NOJOBSINPANDA) if empty else 0


def life_left_s(turn: Turn) -> float:
    """Return what is left of the pilot's life; the clock never begins anew, however many jobs it runs."""
    return life_limit_s(turn.ledger.hunt, turn.settings) - (turn.now.wall - turn.ledger.began_wall)


def end_hunt(turn: Turn, reason: str, exit_code: int = 0) -> None:
    """Ask for no further job."""
    turn.say(logging.INFO if exit_code == 0 else logging.ERROR, f"no further job is asked for: {reason}")
    turn.change_ledger(hunt=replace(turn.ledger.hunt, over=reason, exit_code=exit_code))


def limit_passed(turn: Turn, code: int) -> None:
    """Take no further job after one that the end of the pilot's life ended; the exit code tells it (81)."""
    is_over = turn.now.wall >= life_ends_wall(turn) - _CLOCKS_APART_S
    if code == ErrorCode.REACHEDMAXTIME and is_over and not turn.ledger.hunt.over:
        end_hunt(turn, "the pilot's time is over", process_exit_code(code))


def next_request(turn: Turn) -> float | None:
    """Return when the next request may be made, None when that waits for something else."""
    hunt = turn.ledger.hunt
    waits = not hunt.over and bool(hunt.queue_text) and not active_jobs(turn) and not is_open(turn, "acquire")
    return hunt.pause_until_at if waits and hunt.pause_until_at > turn.now.mono else None


def queue_fetched(turn: Turn, result: QueueFetched) -> None:
    """Take the queue's description, or end the hunt with the code of what is wrong with it."""
    try:
        check_queue(result, turn.settings)
    except BulkheadError as error:
        end_hunt(turn, f"{int(error.code)} {error}", process_exit_code(int(error.code)))
        return
    hunt = replace(turn.ledger.hunt, queue_text=result.queue_text, storage_text=result.storage_text)
    turn.change_ledger(hunt=hunt)


def acquired(turn: Turn, task: TaskRecord, definition: str) -> None:
    """Take a job; the counters begin anew after it."""
    asked_wall = turn.now.wall - (turn.now.mono - task.issued_at)
    turn.change_ledger(hunt=replace(turn.ledger.hunt, taken=fingerprint(definition)))
    if receive(turn, definition, asked_wall):
        hunt = turn.ledger.hunt
        turn.change_ledger(hunt=replace(hunt, asked=0, failures=0, jobs_taken=hunt.jobs_taken + 1))
    else:
        _count_failure(turn, "the source gave no usable job", answered=True)


def no_job(turn: Turn, result: NoJob) -> None:
    """Count an empty answer; a source that has come to its end is not asked again."""
    if result.end:
        end_hunt(turn, _enough(turn) or result.reason)
    else:
        _count_failure(turn, result.reason, answered=True)


def hunt_failed(turn: Turn, task: TaskRecord, code: int, diag: str) -> None:
    """A request failed: count it; without a queue description the pilot has nothing to do."""
    if isinstance(task.task, AcquireJob):
        if code in (ErrorCode.NOLOCALSPACE, ErrorCode.BADJOBDEFINITION, ErrorCode.IDENTITYREFUSED):
            # No request brings more disk, or another job file, or makes the server trust this pilot (case 11).
            end_hunt(turn, f"{code} {diag}", process_exit_code(code))
        else:
            _count_failure(turn, f"{code} {diag}")
    else:
        end_hunt(turn, f"{code} {diag}", process_exit_code(code))


def queue_again(turn: Turn, task: TaskRecord, diag: str) -> bool:
    """Put a fetch of the descriptions off for 15 to 45 s (with the usual tuning); False after the third one.

    A pilot that tells nobody anything has them beside it, or never.
    """
    tries = 1 if turn.settings.handover.updates_to_files else _QUEUE_TRIES
    if task.failures + 1 >= tries or turn.ledger.ending is not None:
        return False
    turn.say(logging.WARNING, f"the queue description was not obtained, it is asked for again: {diag}")
    put_off(turn, task, turn.settings.tuning.queue_pause_s * _one_to_three(turn, task.failures))
    return True


def _count_failure(turn: Turn, reason: str, *, answered: bool = False) -> None:
    """Count a request without a job: 60 s until the next one, 60 to 180 s after an answer that there is none (1.6)."""
    hunt = turn.ledger.hunt
    pause_s = turn.settings.tuning.getjob_pause_s * (_one_to_three(turn, hunt.failures) if answered else 1.0)
    turn.say(logging.INFO, f"no job: {reason}")
    if turn.settings.handover.jobs_from_files:
        pause_s = min(pause_s, _FILE_PAUSE_S)  # the source has waited for the file
    turn.change_ledger(hunt=replace(hunt, failures=hunt.failures + 1, pause_until_at=turn.now.mono + pause_s))


def _one_to_three(turn: Turn, number: int) -> float:
    """Return a factor from 1 to 3 that differs between pilots and tries, and makes no step impure."""
    seed = f"{turn.settings.node}/{turn.pilot.main_dir}/{turn.ledger.hunt.jobs_taken}/{number}"
    return 1.0 + zlib.crc32(seed.encode()) % 1000 / 500
