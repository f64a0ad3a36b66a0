"""Workers: start, readiness, silence, death, back-off, budget, stop."""

import pytest
from pilot_rig import Rig, plan, queue_and_job

from core import life
from core.actions import KillWorker, Send, StartWorker
from core.events import Heard, SignalArrived, Suspended, WorkerDied
from core.state import Phase
from errors.codes import ErrorCode
from ipc.results import PayloadEnded, Prepared, Staged
from ipc.schema import ROLES, Beat, Done, Hello, Stop
from ipc.tasks import PrepareJob, RunPayload, StageIn


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    return Rig()


def started(actions):
    return [action.role for action in actions if isinstance(action, StartWorker)]


def kill(rig, role, exit_code=-9):
    return rig.give(WorkerDied(role, rig.pilot.workers[role].incarnation, exit_code))


def test_all_roles_are_started_and_ready(rig):
    assert {role: worker.phase for role, worker in rig.pilot.workers.items()} == dict.fromkeys(ROLES, Phase.RUNNING)


def test_no_incarnation_is_used_twice(rig):
    seen = {worker.incarnation for worker in rig.pilot.workers.values()}
    for role in ROLES:
        kill(rig, role)
        assert rig.pilot.workers[role].incarnation not in seen
        seen.add(rig.pilot.workers[role].incarnation)


def test_the_first_two_restarts_are_immediate_and_the_third_waits(rig):
    assert started(kill(rig, "stager")) == ["stager"]
    assert started(kill(rig, "stager")) == ["stager"]
    assert started(kill(rig, "stager")) == []
    assert rig.deadline() == pytest.approx(rig.now.mono + rig.pilot.settings.tuning.restart_delay_s)
    assert started(rig.wait(rig.pilot.settings.tuning.restart_delay_s)) == ["stager"]


def test_a_silent_worker_is_killed_at_its_deadline(rig):
    for role in ROLES[1:]:
        rig.now = rig.now._replace(mono=rig.now.mono + 1.0)
        rig.give(Heard(role, rig.pilot.workers[role].incarnation, Beat()))
    reporter = rig.pilot.workers["reporter"]
    assert rig.deadline() == reporter.silent_at
    actions = rig.wait(reporter.silent_at - rig.now.mono)
    assert KillWorker("reporter", reporter.incarnation) in actions
    assert started(actions) == ["reporter"]


def test_a_suspended_host_makes_nobody_silent(rig):
    rig.now = rig.now._replace(mono=rig.now.mono + 3600.0)
    assert not [a for a in rig.give(Suspended(3600.0)) if isinstance(a, KillWorker)]


def test_a_worker_of_another_schema_is_killed(rig):
    rig.hello = lambda _role, _incarnation: None
    kill(rig, "monitor")
    worker = rig.pilot.workers["monitor"]
    hello = Hello(schema=99, role="monitor", incarnation=worker.incarnation, pid=1)
    assert KillWorker("monitor", worker.incarnation) in rig.give(Heard("monitor", worker.incarnation, hello))


def test_a_death_gives_the_lease_to_the_next_incarnation(rig):
    queue_and_job(rig)
    before = rig.last(PrepareJob)
    kill(rig, "runner")
    after = rig.last(PrepareJob)
    assert after.task == before.task
    assert after.lease != before.lease
    assert after.by == rig.pilot.workers["runner"].incarnation


def test_what_a_worker_says_after_it_was_given_up_changes_nothing(rig):
    queue_and_job(rig)
    before = rig.last(PrepareJob)
    kill(rig, "runner")
    ledger = rig.ledger
    rig.give(Heard("runner", before.by, Done(lease=before.lease, result=Prepared())))
    assert rig.ledger is ledger


def test_a_lease_in_the_hands_of_another_role_changes_nothing(rig):
    queue_and_job(rig)
    given = rig.last(PrepareJob)
    ledger = rig.ledger
    stager = rig.pilot.workers["stager"].incarnation
    rig.give(Heard("stager", stager, Done(lease=given.lease, result=Prepared())))
    assert rig.ledger is ledger


def test_a_task_that_crashes_its_worker_is_not_given_to_another_for_ever(rig):
    queue_and_job(rig)
    for _ in range(rig.pilot.settings.tuning.poison_deaths):
        kill(rig, "runner", -11)
        rig.wait(2.0)
    assert rig.job.error_code == ErrorCode.POISONTASK


def test_a_kill_from_outside_is_no_fault_of_the_task(rig):
    queue_and_job(rig)
    for _ in range(rig.pilot.settings.tuning.poison_deaths):
        kill(rig, "runner", -9)
        rig.wait(2.0)
    assert rig.job.error_code == 0


def test_a_spent_budget_fails_the_job(rig):
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    rig.done(StageIn, Staged(files=()))
    for _ in range(rig.pilot.settings.tuning.restart_burst + 1):
        kill(rig, "monitor")
        rig.wait(3.0)
    assert rig.job.error_code == ErrorCode.WORKERRESTARTSSPENT
    assert rig.ledger.hunt.over


def test_nothing_is_started_once_the_pilot_stops(rig):
    actions = rig.give(SignalArrived(15, "SIGTERM"))
    actions += rig.wait(0.0)
    assert {action.role for action in actions if isinstance(action, Send) and isinstance(action.message, Stop)} == {
        *ROLES
    }
    assert started(kill(rig, "runner", 0)) == []
    assert started(rig.wait(1.0)) == []
    assert rig.pilot.left


def test_the_payload_of_a_new_runner_is_taken_over(rig):
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    rig.done(StageIn, Staged(files=()))
    before = rig.last(RunPayload).task
    kill(rig, "runner")
    assert rig.last(RunPayload).task == before
    rig.done(RunPayload, PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag=""))
    assert rig.job.error_code == 0
