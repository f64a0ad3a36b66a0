"""The local kill file (1363): the payload is ended, and the job goes on as if it had ended by itself; no failure."""

import logging
from dataclasses import replace

from core.life import job_of, put_job
from core.state import Turn
from core.tasks import open_task
from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from ipc.results import PayloadEnded
from ipc.tasks import KillPayload
from jobs.record import JobRecord
from jobs.states import JobState

_RUNS = (JobState.STARTING, JobState.RUNNING)


def stop_payload(turn: Turn, key: str) -> None:
    """End a job's payload, once; in any state without one there is nothing to end."""
    job = job_of(turn, key)
    plan = turn.ledger.dossiers[key].plan if job is not None else None
    if job is None or plan is None or plan.run is None or job.state not in _RUNS or job.stopped:
        return
    code = int(ErrorCode.KILLPAYLOAD)
    turn.say(logging.WARNING, f"job={job.job_id} code={code} {diagnostics(code)}: the payload is ended")
    put_job(turn, replace(job, stopped=True))
    grace_s = turn.settings.tuning.term_grace_s
    task = KillPayload(job_dir=plan.run.job_dir, control_dir=plan.run.control_dir, grace_s=grace_s)
    open_task(turn, "kill", task, key)


def excused(job: JobRecord, ended: PayloadEnded) -> PayloadEnded:
    """Return the end of a payload without its error when the pilot itself was told to end it."""
    if not job.stopped:
        return ended
    return replace(ended, exit_code=0, error_code=0, error_diag="", exe_error_code=0, exe_error_diag="")
