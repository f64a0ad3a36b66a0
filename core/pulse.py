"""The pilot's own pulse: the heartbeat file for other programs of the node, and what follows when the server is lost.

Panda-protocol 3.8: without an accepted update for `lost_heartbeat_s` the server's watcher has given the job up.
"""

import logging
from dataclasses import replace

from core.life import fail, put_job
from core.state import Turn
from core.tasks import is_open, open_task
from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from ipc.tasks import Pulse
from jobs.record import JobRecord
from jobs.states import OPEN_TO_ERRORS, JobState

NAME = "pilot_heartbeat.json"
_WATCHED = OPEN_TO_ERRORS - {JobState.TRANSFERRING_LOG}


def accepted(turn: Turn, key: str) -> None:
    """Note that the server took an update of a job."""
    job = turn.ledger.jobs.get(key)
    if job is not None:
        put_job(turn, replace(job, accepted_at=turn.now.mono))
    turn.change(server_update_wall=turn.now.wall)


def forgive(turn: Turn, gap_s: float) -> None:
    """Let a time in which the whole pilot stood still not count as the server's silence."""
    for job in list(turn.ledger.jobs.values()):
        if job.accepted_at:
            put_job(turn, replace(job, accepted_at=job.accepted_at + gap_s))


def hold(turn: Turn) -> None:
    """Open the pulse that is due; fail the jobs that the server has not heard of for too long (1317)."""
    if not turn.pilot.pulse_at:
        turn.change(pulse_at=turn.now.mono + turn.settings.tuning.pulse_s)
    if turn.now.mono >= turn.pilot.pulse_at and not turn.pilot.stopping:
        turn.change(pulse_at=turn.now.mono + turn.settings.tuning.pulse_s)
        if not is_open(turn, "pulse"):
            path = f"{turn.pilot.main_dir}/{NAME}"
            open_task(turn, "pulse", Pulse(path=path, last_server_update=turn.pilot.server_update_wall))
    for job in list(turn.ledger.jobs.values()):
        if not _is_watched(turn, job):
            continue
        if not job.accepted_at:
            put_job(turn, replace(job, accepted_at=turn.now.mono))
        elif turn.now.mono - job.accepted_at >= turn.settings.lost_heartbeat_s:
            silent_s = turn.now.mono - job.accepted_at
            turn.say(logging.ERROR, f"job={job.job_id} the server took no update for {silent_s:.0f} s")
            text = diagnostics(ErrorCode.EXCEEDEDMAXWAITTIME, f"no update was accepted for {silent_s:.0f} s")
            fail(turn, job.key, ErrorCode.EXCEEDEDMAXWAITTIME, text)


def _is_watched(turn: Turn, job: JobRecord) -> bool:
    settings = turn.settings
    to_server = settings.update_server and not settings.job_file and settings.lost_heartbeat_s > 0
    return to_server and job.state in _WATCHED and not job.muted


def next_deadline(turn: Turn) -> float | None:
    """Return when `hold` has something to do next."""
    times = [turn.pilot.pulse_at] if turn.pilot.pulse_at and not turn.pilot.stopping else []
    times += [
        job.accepted_at + turn.settings.lost_heartbeat_s
        for job in turn.ledger.jobs.values()
        if job.accepted_at and _is_watched(turn, job)
    ]
    return min(times, default=None)
