"""The workers: start, readiness, silence, death, back-off, budget (DESIGN 2; OTP's restart intensity)."""

import logging
from dataclasses import replace

from core.actions import KillWorker, Say, Send, StartWorker
from core.state import INCARNATIONS_PER_GENERATION, Phase, Turn, Worker
from ipc.schema import SCHEMA_VERSION, Beat, Hello, Stop

#: Exit statuses of a worker that died by its own fault: these count against the task it held (pitfall P37).
OWN_FAULTS = frozenset({-4, -6, -7, -8, -11, -31})


def start_due(turn: Turn) -> None:
    """Start the workers that should run and whose time has come."""
    for worker in list(turn.pilot.workers.values()):
        if worker.phase is Phase.ABSENT and worker.start_at <= turn.now.mono and not turn.pilot.stopping:
            forks = turn.pilot.forks + 1
            incarnation = turn.ledger.generation * INCARNATIONS_PER_GENERATION + forks
            turn.change(forks=forks)
            turn.put_worker(
                replace(
                    worker,
                    phase=Phase.STARTING,
                    incarnation=incarnation,
                    pid=0,
                    silent_at=turn.now.mono + turn.settings.tuning.hello_s,
                    progress=(),
                )
            )
            turn.do(StartWorker(worker.role, incarnation))


def hear(turn: Turn, worker: Worker, message: object) -> None:
    """Any message is a sign of life; Hello makes the worker ready, if it speaks this schema."""
    alive = replace(worker, silent_at=turn.now.mono + turn.settings.tuning.silence_s)
    if isinstance(message, Hello):
        if message.schema != SCHEMA_VERSION:
            turn.do(Say(logging.ERROR, f"role={worker.role} speaks schema {message.schema}, not {SCHEMA_VERSION}"))
            kill(turn, worker, "wrong schema")
            return
        alive = replace(alive, phase=Phase.RUNNING, pid=message.pid)
    elif isinstance(message, Beat):
        alive = replace(alive, progress=message.progress)
    turn.put_worker(alive)


def kill(turn: Turn, worker: Worker, why: str) -> None:
    """Give an incarnation up: SIGKILL it, do not wait for it, go on as after its death."""
    turn.do(Say(logging.WARNING, f"role={worker.role} incarnation={worker.incarnation} killed: {why}"))
    turn.do(KillWorker(worker.role, worker.incarnation))
    died(turn, worker, -9)


def died(turn: Turn, worker: Worker, exit_code: int) -> None:
    """Plan the next incarnation, unless the worker was told to stop or its budget is spent."""
    if worker.phase in (Phase.STOPPED, Phase.SPENT):
        turn.put_worker(replace(worker, pid=0))
        return
    tuning = turn.settings.tuning
    recent = tuple(at for at in worker.deaths if turn.now.mono - at < tuning.restart_period_s)
    deaths = (*recent, turn.now.mono)
    _give_leases_back(turn, worker, own_fault=exit_code in OWN_FAULTS or exit_code > 0)
    if len(deaths) > tuning.restart_burst:
        phase = Phase.SPENT if worker.last_chance else Phase.ABSENT
        turn.put_worker(replace(worker, phase=phase, pid=0, deaths=(), last_chance=True, start_at=turn.now.mono))
        turn.do(Say(logging.ERROR, f"role={worker.role} died {len(deaths)} times in {tuning.restart_period_s:g} s"))
        return
    # The first two restarts are immediate: a kill must not cost more than the fork.
    delay_s = tuning.restart_delay_s * max(0, len(deaths) - 2)
    turn.put_worker(
        replace(
            worker,
            phase=Phase.ABSENT,
            pid=0,
            deaths=deaths,
            restarts=worker.restarts + 1,
            start_at=turn.now.mono + delay_s,
        )
    )


def _give_leases_back(turn: Turn, worker: Worker, *, own_fault: bool) -> None:
    tasks = {
        key: replace(task, issued=0, deaths=task.deaths + own_fault)
        if task.role == worker.role and task.issued == worker.incarnation
        else task
        for key, task in turn.ledger.tasks.items()
    }
    if tasks != turn.ledger.tasks:
        turn.change_ledger(tasks=tasks)


def check_silence(turn: Turn) -> None:
    """Kill the workers that have been silent for too long."""
    for worker in list(turn.pilot.workers.values()):
        if worker.phase in (Phase.STARTING, Phase.RUNNING) and turn.now.mono >= worker.silent_at:
            kill(turn, worker, "silent")


def stop_all(turn: Turn, grace_s: float) -> None:
    """Tell all workers to leave, in reverse order of their start; after `grace_s` the loop may kill the rest."""
    if turn.pilot.stopping:
        return
    turn.change(stopping=True, stop_deadline_at=turn.now.mono + grace_s)
    for role in reversed(list(turn.pilot.workers)):
        worker = turn.pilot.workers[role]
        if worker.phase is Phase.RUNNING:
            turn.do(Send(role, worker.incarnation, Stop()))
        elif worker.phase is Phase.STARTING:
            turn.do(KillWorker(role, worker.incarnation))
        if worker.phase is not Phase.SPENT:
            pid = worker.pid if worker.phase is Phase.RUNNING else 0
            turn.put_worker(replace(worker, phase=Phase.STOPPED, pid=pid))


def all_stopped(turn: Turn) -> bool:
    """Tell whether no worker lives any more."""
    return all(worker.pid == 0 for worker in turn.pilot.workers.values())


def kill_rest(turn: Turn) -> None:
    """SIGKILL the workers that did not leave in time."""
    for worker in turn.pilot.workers.values():
        if worker.pid:
            turn.do(KillWorker(worker.role, worker.incarnation))
            turn.put_worker(replace(worker, pid=0))


def suspended(turn: Turn, gap_s: float) -> None:
    """Forgive the silence of `gap_s`: everybody stood still, and has the whole limit to speak again."""
    whole = turn.now.mono + turn.settings.tuning.silence_s
    for worker in list(turn.pilot.workers.values()):
        turn.put_worker(replace(worker, silent_at=max(worker.silent_at + gap_s, whole)))


def spent(turn: Turn, role: str) -> bool:
    """Tell whether a role has used up its budget and its last chance."""
    return turn.pilot.workers[role].phase is Phase.SPENT
