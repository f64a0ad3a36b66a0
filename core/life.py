"""A job's life: each event moves it through the table of jobs/states.py, each state that is entered opens its task."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from core.outbox import queue_update
from core.state import Turn
from core.tasks import cancel_job_tasks, cancel_task, close_task, is_open, open_task
from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from errors.exceptions import BulkheadError
from ipc.parts import Variable
from ipc.tasks import AcquireRanges, AskJobStatus, FeedEvents, KillPayload, ReportRanges, StageOut, StageTar, Watch
from jobs.definition import identify
from jobs.record import GIVEN, UNKNOWN_ATTEMPT, Dossier, JobRecord, Stamps
from jobs.states import IMPOSSIBLE, OPEN_TO_ERRORS, SETTLED, STAYS, TABLE, JobEvent, JobState, server_word
from workflows.information import life_limit_s
from workflows.standard import make_plan, secrets_only, task_id_of
from workflows.updates import update_body

#: States that are left by a final update; the others need a heartbeat.
_BEATING = OPEN_TO_ERRORS | {JobState.FAILING}
#: Keys of ended jobs that are remembered, so that none of them is run again (H052).
_SETTLED_KEPT = 200
#: A job that is fed with events tells how many are stored at least so often (event-service 12).
_EVENTS_BEAT_S = 600.0
#: What goes on while a job fails: what its payload made of events is stored and told all the same.
_OUTLASTING = (Watch, AskJobStatus, FeedEvents, AcquireRanges, ReportRanges, StageTar)


def active_jobs(turn: Turn) -> list[JobRecord]:
    """Return the jobs that still need work in this pilot."""
    return [job for job in turn.ledger.jobs.values() if job.state not in SETTLED | {JobState.HOLDING}]


def put_job(turn: Turn, job: JobRecord) -> None:
    """Set a job's record."""
    turn.change_ledger(jobs={**turn.ledger.jobs, job.key: job})


def job_of(turn: Turn, key: str) -> JobRecord | None:
    """Return the record of a job, None when it is gone."""
    return turn.ledger.jobs.get(key)


def receive(turn: Turn, definition: str, asked_wall: float) -> bool:
    """Take a job definition into the ledger; False when it names no job that could be reported."""
    identity = identify(definition)
    if identity.job_id is None:
        turn.say(logging.ERROR, "the source gave a job without a valid PandaID; it cannot be reported and is refused")
        return False
    attempt_nr = identity.attempt_nr if identity.attempt_nr is not None else UNKNOWN_ATTEMPT
    key = f"{identity.job_id}.{max(0, attempt_nr)}"
    # Who hands jobs over as files may want one run again in its old place: ARC does after a failure.
    over = key in turn.ledger.hunt.settled and not turn.settings.handover.jobs_from_files
    if key in turn.ledger.jobs or over:
        turn.say(logging.WARNING, f"job {key} was given twice; the second is ignored")
        return False
    job = JobRecord(
        key=key,
        job_id=identity.job_id,
        attempt_nr=attempt_nr,
        state=JobState.RECEIVED,
        stamps=Stamps(asked=asked_wall, received=turn.now.wall),
        next_heartbeat=turn.now.mono + turn.settings.heartbeat_s,
        batch_id=turn.settings.batch_id,
    )
    put_job(turn, job)
    dossier = Dossier(key=key, definition=definition)
    try:
        plan = make_plan(definition, turn.ledger.hunt, turn.settings, turn.pilot.main_dir, key)
    except BulkheadError as error:
        turn.change_ledger(dossiers={**turn.ledger.dossiers, key: dossier})
        fail(turn, key, int(error.code), str(error))
        return True
    turn.change_ledger(
        dossiers={**turn.ledger.dossiers, key: replace(dossier, plan=plan)},
        jobs={**turn.ledger.jobs, key: replace(job, debug=plan.debug)},
        hunt=replace(turn.ledger.hunt, last_task_id=task_id_of(definition)),
    )
    if plan.debug_by_queue and turn.settings.update_server and not turn.settings.job_file:
        queue_update(turn, key, "job/set_debug_mode", {"job_id": job.job_id, "mode": True})
    move(turn, key, JobEvent.ACCEPTED)
    ending = turn.ledger.ending
    if ending is not None and ending.error_code:
        fail(turn, key, ending.error_code, ending.text)
    return True


def life_ends_wall(turn: Turn) -> float:
    """Return when (epoch seconds) the pilot's life is over, less what it takes to report a job that is ended by it.

    The clock began with the pilot; it does not begin anew with each job (behaviour 10, pitfall of the pilots in use).
    """
    limit_s = life_limit_s(turn.ledger.hunt, turn.settings)
    return turn.ledger.began_wall + limit_s - min(turn.settings.tuning.life_grace_s, limit_s / 10)


def fail(turn: Turn, key: str, code: int, diag: str) -> None:
    """Note an error of a job (the first stays, behaviour 9) and move it towards its report."""
    job = job_of(turn, key)
    if job is None or job.state not in OPEN_TO_ERRORS:
        return
    if not job.error_code:
        text = diag or diagnostics(code)
        turn.say(logging.ERROR, f"job={job.job_id} state={job.state.value} error={code} {text}")
        put_job(turn, replace(job, error_code=code, error_diag=text))
    move(turn, key, JobEvent.ERROR)


def move(turn: Turn, key: str, event: JobEvent, **changes: Any) -> None:
    """Move a job through the table, change its record, and enter the state that follows."""
    job = turn.ledger.jobs[key]
    target = TABLE[job.state, event]
    if target == IMPOSSIBLE:
        turn.say(logging.ERROR, f"job={job.job_id} has no move for {event.value} in {job.state.value}: a defect")
        fail(turn, key, ErrorCode.INTERNALPILOTPROBLEM, f"no move for {event.value} in {job.state.value}")
        return
    if target == STAYS:
        put_job(turn, replace(job, **changes))
        return
    if not isinstance(target, JobState):
        raise TypeError(f"the table holds {target!r}")
    turn.say(logging.INFO, f"job={job.job_id} {job.state.value} -> {target.value} ({event.value})")
    put_job(turn, replace(job, state=target, **changes))
    _ENTER[target](turn, key, job.state)


def _prepare(turn: Turn, key: str, _before: JobState) -> None:
    """RECEIVED -> PREPARING: make the directories."""
    plan = turn.ledger.dossiers[key].plan
    if plan is not None:
        open_task(turn, "prepare", plan.prepare, key)


def _stage_in(turn: Turn, key: str, _before: JobState) -> None:
    """PREPARING -> STAGING_IN: the first word to the server; the monitor watches from here on."""
    tell(turn, key)
    _stamp(turn, key, stage_in=turn.now.wall)
    plan = turn.ledger.dossiers[key].plan
    if plan is not None:
        open_task(turn, "watch", replace(plan.watch, until_wall=life_ends_wall(turn)), key)
    if plan is not None and plan.stage_in is not None:
        open_task(turn, "stage-in", plan.stage_in, key)
    else:
        move(turn, key, JobEvent.STAGED_IN)


def _start(turn: Turn, key: str, _before: JobState) -> None:
    """STAGING_IN -> STARTING: the payload, unless the workflow has none; first its proxy, if it is to have one."""
    _stamp(turn, key, staged_in=turn.now.wall)
    plan = turn.ledger.dossiers[key].plan
    if plan is None or plan.run is None:
        move(turn, key, JobEvent.PAYLOAD_ENDED)
    elif plan.feed is not None:
        open_task(turn, "feed", plan.feed, key)  # the payload starts once there is something to feed it with
    else:
        begin_payload(turn, key)


def begin_payload(turn: Turn, key: str) -> None:
    """Open the payload's task, or that of its proxy if it is to have one that is not known of yet."""
    plan = turn.ledger.dossiers[key].plan
    if plan is not None and plan.proxy is not None and not turn.ledger.jobs[key].proxy:
        open_task(turn, "proxy", plan.proxy, key)
    else:
        start_payload(turn, key)


def start_payload(turn: Turn, key: str) -> None:
    """Open the payload's task; it is told where its own proxy is, if there is one."""
    plan = turn.ledger.dossiers[key].plan
    if plan is None or plan.run is None:
        return
    run = plan.run
    if plan.proxy is not None and turn.ledger.jobs[key].proxy == GIVEN:
        own = Variable(name="X509_USER_PROXY", value=plan.proxy.path)
        run = replace(run, environment=(*(v for v in run.environment if v.name != own.name), own))
    open_task(turn, "run", run, key)


def _run(turn: Turn, key: str, _before: JobState) -> None:
    """STARTING -> RUNNING: tell it."""
    tell(turn, key)


def _stage_out(turn: Turn, key: str, _before: JobState) -> None:
    """STARTING or RUNNING -> STAGING_OUT: nobody needs the payload's proxy any more."""
    cancel_task(turn, f"{key}:proxy", "the payload has ended")
    _stamp(turn, key, ended=turn.now.wall)
    tell(turn, key)
    plan = turn.ledger.dossiers[key].plan
    if plan is not None and plan.stage_out is not None:
        open_task(turn, "stage-out", _lenient(turn.ledger.jobs[key], plan.stage_out), key)
    elif plan is not None and plan.feed is not None:
        settle_events(turn, key)
    else:
        move(turn, key, JobEvent.STAGED_OUT)


def settle_events(turn: Turn, key: str) -> None:
    """Leave STAGING_OUT once the feeding of a job with events is over, by its error if it has one."""
    job = turn.ledger.jobs[key]
    if job.fed is None:
        return
    if job.fed.error_code and not job.stopped:
        fail(turn, key, job.fed.error_code, job.fed.error_diag)
    else:
        move(turn, key, JobEvent.STAGED_OUT)


def _lenient(job: JobRecord, task: StageOut) -> StageOut:
    """Return the stage-out; of a payload that the kill file ended (1363) what is not there is no failure.

    Nor is it when the job's pre-process said that there is nothing left to do.
    """
    if not (job.stopped or job.outputs_waived):
        return task
    return replace(task, transfers=tuple(replace(transfer, missing_ok=True) for transfer in task.transfers))


def _fail(turn: Turn, key: str, before: JobState) -> None:
    """Any -> FAILING: stop what runs; what may have a payload has it killed first."""
    plan = turn.ledger.dossiers[key].plan
    cancel_job_tasks(turn, key, "the job fails", keep=_OUTLASTING)
    _stamp(turn, key, ended=turn.now.wall)
    if plan is not None and plan.run is not None and before in (JobState.STARTING, JobState.RUNNING):
        task = KillPayload(
            job_dir=plan.run.job_dir,
            control_dir=plan.run.control_dir,
            grace_s=turn.settings.tuning.term_grace_s,
        )
        open_task(turn, "kill", task, key)
    end_if_idle(turn, key)


def end_if_idle(turn: Turn, key: str) -> None:
    """Leave FAILING once neither the payload nor the feeding of events goes on."""
    if turn.ledger.jobs[key].state is JobState.FAILING and not (
        is_open(turn, "kill", key) or is_open(turn, "feed", key)
    ):
        move(turn, key, JobEvent.ENDED)


def _transfer_log(turn: Turn, key: str, _before: JobState) -> None:
    """STAGING_OUT or FAILING -> TRANSFERRING_LOG: pack and bring the log, within what an ending leaves of time."""
    cancel_task(turn, f"{key}:watch", "the payload is over")
    plan = turn.ledger.dossiers[key].plan
    ending = turn.ledger.ending
    if plan is None or plan.log is None:
        move(turn, key, JobEvent.LOG_SETTLED)
        return
    log = plan.log
    if ending is not None:
        left_s = ending.deadline_at - turn.settings.tuning.report_reserve_s - turn.now.mono
        log = replace(log, deadline_s=max(0.1, left_s))
    open_task(turn, "log", log, key)


def _report(turn: Turn, key: str, before: JobState) -> None:
    """TRANSFERRING_LOG -> REPORTING: the final update is composed once and is on disk before it is sent (P64)."""
    if before is JobState.HOLDING:
        return  # the pilot before composed it, and it waits in the outbox
    _stamp(turn, key, settled=turn.now.wall)
    cancel_job_tasks(turn, key, "the job is over", keep=(AskJobStatus,))
    job = turn.ledger.jobs[key]
    if job.muted:
        move(turn, key, JobEvent.REPORTED)
    else:
        tell(turn, key, final=True)


def _finish(turn: Turn, key: str, _before: JobState) -> None:
    """REPORTING or HOLDING -> DONE: nothing of the job is needed any more."""
    plan = turn.ledger.dossiers[key].plan
    cancel_job_tasks(turn, key, "the job is done")
    if plan is None:
        forget(turn, key)
    elif not turn.settings.cleanup or turn.ledger.jobs[key].keep_files:
        open_task(turn, "clean", secrets_only(plan), key)
    else:
        open_task(turn, "clean", plan.clean, key)


def _shelve(_turn: Turn, _key: str, _before: JobState) -> None:
    """REPORTING -> HOLDING: the final update stays in the outbox for a later pilot."""


_ENTER = {
    JobState.PREPARING: _prepare,
    JobState.STAGING_IN: _stage_in,
    JobState.STARTING: _start,
    JobState.RUNNING: _run,
    JobState.STAGING_OUT: _stage_out,
    JobState.FAILING: _fail,
    JobState.TRANSFERRING_LOG: _transfer_log,
    JobState.REPORTING: _report,
    JobState.DONE: _finish,
    JobState.HOLDING: _shelve,
}


def forget(turn: Turn, key: str) -> None:
    """Remove a settled job and all that belongs to it from the ledger."""
    for task_key, task in list(turn.ledger.tasks.items()):
        if task.job_key == key:
            close_task(turn, task_key)
    turn.change_ledger(
        jobs={k: job for k, job in turn.ledger.jobs.items() if k != key},
        dossiers={k: dossier for k, dossier in turn.ledger.dossiers.items() if k != key},
        outbox={s: row for s, row in turn.ledger.outbox.items() if row.job_key != key},
        hunt=replace(turn.ledger.hunt, settled=(*turn.ledger.hunt.settled, key)[-_SETTLED_KEPT:]),
    )


def tell(turn: Turn, key: str, *, final: bool = False) -> None:
    """Queue an update of a job in the word that its state has for the server."""
    job = turn.ledger.jobs[key]
    if job.muted:
        return
    word = server_word(job.state, job.last_word, failed=job.failed)
    plan = turn.ledger.dossiers[key].plan
    body = update_body(job, plan, word, turn.settings, turn.now.wall, turn.ledger.began_wall)
    queue_update(turn, key, "update_job", body, final=final)
    put_job(turn, replace(job, last_word=word, next_heartbeat=turn.now.mono + beat_period_s(turn, job)))


def beat_period_s(turn: Turn, job: JobRecord) -> float:
    """Return the time between a job's heartbeats: shorter in debug mode (3.8) and while events are fed."""
    settings, dossier = turn.settings, turn.ledger.dossiers.get(job.key)
    fed = dossier is not None and dossier.plan is not None and dossier.plan.feed is not None
    period_s = min(settings.heartbeat_s, _EVENTS_BEAT_S) if fed else settings.heartbeat_s
    return min(period_s, settings.debug_heartbeat_s) if job.debug else period_s


def heartbeats_due(turn: Turn, look: Callable[[Turn, str], bool]) -> None:
    """Queue the heartbeat of each job whose time has come, in every phase (pitfall P40).

    In debug mode `look` begins a look into the job first, and the update goes out with what it shows; while that goes
    on at the next heartbeat, the update goes out without.
    """
    for job in list(turn.ledger.jobs.values()):
        if not _beats(job) or turn.now.mono < job.next_heartbeat:
            continue
        if job.debug and look(turn, job.key):
            put_job(turn, replace(job, next_heartbeat=turn.now.mono + beat_period_s(turn, job)))
        else:
            tell(turn, job.key)


def next_heartbeat(turn: Turn) -> float | None:
    """Return when the next heartbeat is due."""
    return min((job.next_heartbeat for job in turn.ledger.jobs.values() if _beats(job)), default=None)


def _beats(job: JobRecord) -> bool:
    """Tell whether heartbeats of a job are sent: in every phase before the final update, set-up included."""
    return job.state in _BEATING and not job.muted


def _stamp(turn: Turn, key: str, **stamps: float) -> None:
    job = turn.ledger.jobs[key]
    put_job(turn, replace(job, stamps=replace(job.stamps, **stamps)))
