"""`step(pilot, event, now) -> (pilot, actions)`: the supervisor's every decision, pure (DESIGN 1).

An event is handled, then the state is looked at as a whole and whatever should be under way but is not is begun. So an
action that was lost (a send to a worker that just died, a crash between commit and act) is made good by a later step.
"""

import logging
from dataclasses import replace

from core import (
    answers,
    ending,
    fleet,
    hunt,
    identity,
    life,
    obeying,
    outbox,
    payload_proxy,
    pulse,
    recovered,
    tasks,
    traces,
)
from core.actions import Action, EndPayload
from core.events import Begun, Event, GuardianDied, Heard, SignalArrived, Suspended, WorkerDied
from core.state import Phase, Pilot, Turn
from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from host.clock import Now
from ipc.schema import Done, Failed, Observed
from ipc.tasks import KillPayload, SendUpdate, Watch
from jobs.ledger import TaskRecord
from jobs.states import MAY_HAVE_PAYLOAD, JobEvent, JobState

#: pilotlog.txt is written to at least so often, whatever happens (pitfall P39).
FRESH_LOG_S = 240.0


def step(pilot: Pilot, event: Event, now: Now) -> tuple[Pilot, list[Action]]:
    """Return the state that follows and what is to be done, in order; the loop commits the ledger in between."""
    turn = Turn(pilot, now)
    if pilot.left:
        return pilot, []
    _handle(turn, event)
    _advance(turn)
    return turn.pilot, turn.actions


def next_deadline(pilot: Pilot, now: Now) -> float | None:
    """Return the monotonic time at which the loop must send a Tick if nothing else happens."""
    turn = Turn(pilot, now)
    times = [ending.next_deadline(turn), outbox.next_deadline(turn), hunt.next_request(turn)]
    times += [life.next_heartbeat(turn), identity.next_deadline(turn), pulse.next_deadline(turn), pilot.fresh_log_at]
    times.append(traces.next_deadline(turn))
    times.append(payload_proxy.next_deadline(turn))
    times.append(pilot.status_until_at if pilot.status_until_at > now.mono else None)
    for worker in pilot.workers.values():
        if worker.phase is Phase.ABSENT and not pilot.stopping:
            times.append(worker.start_at)
        elif worker.phase in (Phase.STARTING, Phase.RUNNING):
            times.append(worker.silent_at)
    # One that is due waits for its worker's Hello, not for time.
    times += [t.not_before_at for t in pilot.ledger.tasks.values() if not t.issued and t.not_before_at > now.mono]
    if pilot.ledger.outbox or pilot.ledger.jobs:
        times.append(now.mono + max(0.0, pilot.ledger.began_wall + pilot.settings.lifetime_s - now.wall) + 1.0)
    return min((at for at in times if at is not None), default=None)


def _handle(turn: Turn, event: Event) -> None:
    if isinstance(event, Heard):
        _heard(turn, event)
    elif isinstance(event, WorkerDied):
        worker = turn.pilot.workers[event.role]
        if worker.incarnation == event.incarnation and worker.phase is not Phase.ABSENT:
            if worker.phase is not Phase.STOPPED:
                turn.say(logging.WARNING, f"role={event.role} died: {event.exit_code}; a new one is started")
            fleet.died(turn, worker, event.exit_code)
    elif isinstance(event, SignalArrived):
        ending.signal_arrived(turn, event.number, event.name)
    elif isinstance(event, GuardianDied):
        ending.guardian_died(turn)
    elif isinstance(event, Suspended):
        fleet.suspended(turn, event.gap_s)
        pulse.forgive(turn, event.gap_s)
        turn.say(logging.WARNING, f"the pilot stood still for {event.gap_s:.1f} s; deadlines are moved")
    elif isinstance(event, Begun):
        _begun(turn)


def _begun(turn: Turn) -> None:
    """A ledger from before: held jobs are tried again, jobs between two states are led on."""
    if not turn.ledger.began_wall:
        turn.change_ledger(began_wall=turn.now.wall)
    for job in list(turn.ledger.jobs.values()):
        if job.state is JobState.HOLDING:
            life.move(turn, job.key, JobEvent.RESUMED)
        plan = turn.ledger.dossiers[job.key].plan
        if job.failed and job.state not in MAY_HAVE_PAYLOAD and plan is not None and plan.run is not None:
            # The supervisor before may have died after it decided to end the payload itself, and before it did.
            turn.do(EndPayload(plan.run.control_dir))
    recovered.ask(turn)


def _heard(turn: Turn, event: Heard) -> None:
    worker = turn.pilot.workers.get(event.role)
    if worker is None or worker.incarnation != event.incarnation or worker.phase in (Phase.ABSENT, Phase.SPENT):
        turn.say(logging.INFO, f"role={event.role} incarnation={event.incarnation} speaks after its time; ignored")
        return
    if worker.phase is not Phase.STOPPED:
        fleet.hear(turn, worker, event.message)
    message = event.message
    if isinstance(message, Done | Failed | Observed):
        task = tasks.held_by(turn, event.role, event.incarnation, message.lease)
        if task is None:
            turn.say(logging.DEBUG, f"lease={message.lease} is not valid any more; ignored")
        elif isinstance(message, Done):
            answers.done(turn, task, message)
        elif isinstance(message, Failed):
            answers.failed_message(turn, task, message)
        else:
            answers.observed(turn, task, message)


def _advance(turn: Turn) -> None:
    """Begin whatever should be under way but is not."""
    fleet.check_silence(turn)
    _check_budgets(turn)
    _drop_poison(turn)
    pulse.hold(turn)
    life.heartbeats_due(turn, obeying.look)
    identity.watch(turn)
    payload_proxy.watch(turn)
    hunt.seek(turn)
    ending.press_on(turn)
    fleet.start_due(turn)
    outbox.send_due(turn)
    tasks.issue_due(turn)
    if turn.now.mono >= turn.pilot.fresh_log_at:
        jobs = ", ".join(f"{job.job_id} {job.state.value}" for job in turn.ledger.jobs.values()) or "no job"
        turn.say(logging.INFO, f"alive: {jobs}; {len(turn.ledger.outbox)} updates wait")
        turn.change(fresh_log_at=turn.now.mono + FRESH_LOG_S)


def _check_budgets(turn: Turn) -> None:
    """A role whose restart budget is spent fails the job; the new worker has one budget more to bring the report."""
    for worker in turn.pilot.workers.values():
        if not worker.last_chance or turn.pilot.stopping:
            continue
        text = diagnostics(ErrorCode.WORKERRESTARTSSPENT, f"the {worker.role}")
        for job in life.active_jobs(turn):
            life.fail(turn, job.key, ErrorCode.WORKERRESTARTSSPENT, text)
        if not turn.ledger.hunt.over:
            hunt.end_hunt(turn, text, 1)
        if worker.phase is Phase.SPENT:
            _without(turn, worker.role, text)


def _without(turn: Turn, role: str, text: str) -> None:
    """No worker of that role will come: its tasks fail, the supervisor does what must not be left undone."""
    for task in list(turn.ledger.tasks.values()):
        if task.role == role and task.key in turn.ledger.tasks:
            # A final update was not refused: it stays as it is, for a later pilot.
            final = isinstance(task.task, SendUpdate) and task.task.final
            answers.failed(turn, task, ErrorCode.WORKERRESTARTSSPENT, text, retry=final)


def _drop_poison(turn: Turn) -> None:
    """A task that crashed its worker again and again is not given to another one (pitfall P37)."""
    limit = turn.settings.tuning.poison_deaths
    for task in list(turn.ledger.tasks.values()):
        if task.deaths >= limit and task.key in turn.ledger.tasks:
            text = diagnostics(ErrorCode.POISONTASK, type(task.task).__name__)
            _fail_poison(turn, task, text)


def _fail_poison(turn: Turn, task: TaskRecord, text: str) -> None:
    if isinstance(task.task, Watch):
        # The job does not depend on being watched: it goes on without.
        turn.say(logging.ERROR, f"task={task.key}: {text}; the job goes on unwatched")
        tasks.close_task(turn, task.key)
        return
    if isinstance(task.task, KillPayload):
        turn.do(EndPayload(task.task.control_dir))
    turn.change_ledger(tasks={**turn.ledger.tasks, task.key: replace(task, deaths=0)})
    answers.failed(turn, task, ErrorCode.POISONTASK, text, retry=False)
