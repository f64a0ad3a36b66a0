"""Defects that the simulation found, each as the shortest way to it."""

from dataclasses import replace

import pytest
from pilot_rig import KEY, Rig, plan, queue_and_job

from core import life
from core.actions import EndPayload, Leave
from core.events import SignalArrived, Suspended, WorkerDied
from core.state import Phase
from ipc.parts import TransferredFile
from ipc.results import LogTransferred, PayloadEnded, Prepared, Staged, UpdateAnswered
from ipc.tasks import (
    AcquireJob,
    FetchQueue,
    KillPayload,
    PrepareJob,
    RunPayload,
    SendUpdate,
    StageIn,
    StageOut,
    TransferLog,
)
from jobs.ledger import Hunt, reopened
from jobs.states import JobState
from settings.settings import Settings

FILE = TransferredFile(lfn="log", kind="log", status="transferred")
WELL = PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag="")


@pytest.fixture(autouse=True)
def _plans(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)


def to_running(rig):
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    rig.done(StageIn, Staged(files=()))


def to_reporting(rig):
    to_running(rig)
    rig.done(RunPayload, WELL)
    rig.done(StageOut, Staged(files=()))
    rig.done(TransferLog, LogTransferred(file=FILE))
    assert rig.job.state is JobState.REPORTING


def test_a_task_opened_again_under_its_key_gets_another_lease():
    rig = Rig()
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    first = rig.last(SendUpdate)
    rig.failed(SendUpdate, 1318, retry=True)
    rig.wait(5.0)
    second = rig.last(SendUpdate)
    assert second.task.sequence == first.task.sequence
    assert second.lease != first.lease


def test_a_held_job_that_is_resumed_has_one_final_update():
    rig = Rig()
    to_reporting(rig)
    rig.give(SignalArrived(15, "SIGTERM"))
    for _ in range(80):
        rig.wait(0.5)
    assert rig.job.state is JobState.HOLDING
    body = rig.finals()[0].body
    later = Rig(ledger=reopened(replace(rig.ledger, ending=None, hunt=Hunt())))
    assert later.job.state is JobState.REPORTING
    assert [row.body for row in later.finals()] == [body]


def test_a_task_that_is_due_while_its_worker_starts_makes_no_busy_loop():
    rig = Rig()
    queue_and_job(rig)
    rig.failed(PrepareJob, 1110, retry=True)
    runner = rig.pilot.workers["runner"]
    # The new runner never says Hello.
    rig.hello = lambda _role, _incarnation: None
    rig.give(WorkerDied("runner", runner.incarnation, -9))
    rig.wait(rig.pilot.settings.tuning.task_retry_s)
    assert rig.deadline() > rig.now.mono


def test_a_job_that_is_not_wanted_any_more_makes_no_busy_loop():
    rig = Rig(Settings(queue="Q", heartbeat_s=30.0))
    to_running(rig)
    rig.done(SendUpdate, UpdateAnswered(stored=True, command="badattemptnr"))
    assert rig.job.muted
    assert rig.job.state is JobState.FAILING
    rig.give(Suspended(60.0))
    rig.wait(60.0)
    rig.wait(0.001)
    assert rig.deadline() > rig.now.mono


def left_code(actions):
    return [action.exit_code for action in actions if isinstance(action, Leave)]


def test_a_pilot_whose_lifetime_is_over_leaves_though_the_server_is_away():
    rig = Rig(Settings(queue="Q", lifetime_s=600.0))
    to_reporting(rig)
    codes = []
    for _ in range(400):
        codes += left_code(rig.wait(2.0))
        if rig.assigned and rig.last(SendUpdate).lease in {task.lease for task in rig.ledger.tasks.values()}:
            rig.failed(SendUpdate, 1318, retry=True)
    assert rig.job.state is JobState.HOLDING
    assert codes
    assert codes[0] != 0


def test_a_final_update_is_tried_at_least_once_before_an_old_pilot_leaves():
    rig = Rig(Settings(queue="Q", lifetime_s=600.0))
    to_running(rig)
    rig.wait(700.0)
    for role in ("reporter", "stager", "runner", "monitor"):
        assert rig.pilot.workers[role].phase.value == "running"
    rig.done(RunPayload, WELL)
    rig.done(StageOut, Staged(files=()))
    rig.done(TransferLog, LogTransferred(file=FILE))
    assert rig.job.state is JobState.REPORTING
    for _ in range(3):
        rig.wait(1.5)  # those before it give way
    assert not rig.pilot.stopping
    assert rig.last(SendUpdate).task.final


def test_when_time_runs_short_the_supervisor_ends_the_payload_itself():
    rig = Rig()
    to_running(rig)
    rig.give(SignalArrived(15, "SIGTERM"))
    assert rig.job.state is JobState.FAILING
    ended = []
    for _ in range(60):
        ended += [action for action in rig.wait(0.5) if isinstance(action, EndPayload)]
    assert ended == [EndPayload("/c")]


def test_a_final_update_stays_whole_when_no_reporter_lives():
    rig = Rig()
    to_reporting(rig)
    body = rig.finals()[0].body
    for _ in range(2 * rig.pilot.settings.tuning.restart_burst + 2):
        rig.give(WorkerDied("reporter", rig.pilot.workers["reporter"].incarnation, -9))
        rig.wait(4.0)
    assert rig.pilot.workers["reporter"].phase in (Phase.SPENT, Phase.STOPPED)
    assert rig.job.state is JobState.HOLDING
    assert [row.body for row in rig.finals()] == [body]


def test_a_payload_that_was_to_be_ended_is_ended_by_the_next_supervisor():
    rig = Rig()
    to_running(rig)
    rig.give(SignalArrived(15, "SIGTERM"))
    rig.failed(KillPayload, 1008, retry=False)
    assert EndPayload("/c") in rig.actions
    assert rig.job.state is JobState.TRANSFERRING_LOG
    assert EndPayload("/c") in Rig(ledger=reopened(rig.ledger)).begun


def test_the_payload_of_a_job_that_is_well_is_not_touched_by_the_next_supervisor():
    rig = Rig()
    to_running(rig)
    assert not [action for action in Rig(ledger=reopened(rig.ledger)).begun if isinstance(action, EndPayload)]


def test_queue_and_job_are_asked_for_one_after_the_other():
    rig = Rig()
    assert [type(given.task) for given in rig.assigned] == [FetchQueue]
    queue_and_job(rig)
    assert AcquireJob in {type(given.task) for given in rig.assigned}
    assert KEY in rig.ledger.jobs
