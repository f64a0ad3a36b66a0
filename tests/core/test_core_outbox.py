"""The outbox: order, retries, what gives way, what is never given up."""

import json

import pytest
from pilot_rig import KEY, Rig, plan, queue_and_job

from core import life
from core.events import Heard
from ipc.observations import LimitExceeded, PayloadStarted
from ipc.parts import TransferredFile
from ipc.results import LogTransferred, PayloadEnded, Prepared, Staged, UpdateAnswered
from ipc.schema import Observed
from ipc.tasks import PrepareJob, RunPayload, SendUpdate, StageIn, StageOut, TransferLog, Watch
from jobs.states import JobState
from settings.settings import Settings, Tuning

FILE = TransferredFile(lfn="log", kind="log", status="transferred")


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig()
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    return rig


def to_reporting(rig):
    rig.done(StageIn, Staged(files=()))
    rig.done(RunPayload, PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag=""))
    rig.done(StageOut, Staged(files=()))
    rig.done(TransferLog, LogTransferred(file=FILE))


def started(rig):
    given = rig.last(RunPayload)
    fact = PayloadStarted(pid=9, started_wall=1.0)
    rig.give(Heard("runner", given.by, Observed(lease=given.lease, observation=fact)))


def words(rig):
    return [json.loads(row.body)["job_status"] for row in rig.ledger.outbox.values()]


def test_case_10_one_update_of_a_job_is_under_way_at_a_time(rig):
    rig.done(StageIn, Staged(files=()))
    started(rig)
    assert words(rig) == ["starting", "running"]
    assert sum(isinstance(task.task, SendUpdate) for task in rig.ledger.tasks.values()) == 1


def test_an_update_that_hangs_gives_way_to_a_newer_one(rig):
    rig.done(StageIn, Staged(files=()))
    started(rig)
    rig.wait(rig.pilot.settings.tuning.supersede_after_s)
    assert words(rig) == ["running"]
    assert json.loads(rig.last(SendUpdate).task.body)["job_status"] == "running"


def test_an_update_without_a_newer_one_is_tried_again_later(rig):
    first = rig.last(SendUpdate).task
    rig.failed(SendUpdate, 1318, retry=True)
    assert not [task for task in rig.ledger.tasks.values() if isinstance(task.task, SendUpdate)]
    rig.wait(rig.deadline() - rig.now.mono)
    assert rig.last(SendUpdate).task == first


def test_a_refused_heartbeat_is_dropped(rig):
    rig.failed(SendUpdate, 1318, retry=False)
    assert not rig.ledger.outbox
    assert rig.job.error_code == 0


def test_a_refused_final_update_is_sent_again_reduced_and_never_dropped(rig):
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    to_reporting(rig)
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    whole = json.loads(rig.last(SendUpdate).task.body)
    rig.failed(SendUpdate, 1318, retry=False)
    reduced = json.loads(rig.last(SendUpdate).task.body)
    assert reduced.items() < whole.items()
    assert reduced["job_output_report"] == whole["job_output_report"]
    for _ in range(5):
        rig.failed(SendUpdate, 1318, retry=False)
        rig.wait(rig.pilot.settings.tuning.retry_long_cap_s)
    assert [json.loads(row.body) for row in rig.finals()] == [reduced]


@pytest.mark.parametrize("command", ["", "NULL", "alreadydone", "tobekilled"])
def test_a_final_update_that_was_stored_ends_the_job_whatever_is_said_with_it(rig, command):
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    to_reporting(rig)
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    assert rig.last(SendUpdate).task.final
    rig.done(SendUpdate, UpdateAnswered(stored=True, command=command))
    assert rig.job.state is JobState.DONE
    assert rig.job.error_code == 0
    assert not rig.ledger.outbox


def test_the_waiting_time_grows_to_its_cap(rig):
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    to_reporting(rig)
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    waits = []
    for _ in range(12):
        rig.failed(SendUpdate, 1318, retry=True)
        (row,) = rig.finals()
        waits.append(row.next_try_at - rig.now.mono)
        rig.wait(waits[-1])
    tuning = rig.pilot.settings.tuning
    assert waits[0] <= tuning.retry_first_s
    assert max(waits) <= tuning.retry_cap_s
    assert waits[-1] >= 0.75 * tuning.retry_cap_s


@pytest.mark.parametrize("command", ["tobekilled", "debug,tobekilled"])
def test_the_servers_order_to_kill_fails_the_job(rig, command):
    rig.done(SendUpdate, UpdateAnswered(stored=True, command=command))
    assert rig.job.error_code == 1144


def test_an_attempt_that_is_not_wanted_sends_no_final_update(rig):
    rig.done(SendUpdate, UpdateAnswered(stored=True, command="badattemptnr"))
    rig.done(TransferLog, LogTransferred(file=FILE))
    assert rig.job.state is JobState.DONE
    assert not rig.finals()


def test_a_limit_fails_the_job_with_its_code(rig):
    given = rig.last(Watch)
    fact = LimitExceeded(code=1150, diag="nothing moves")
    rig.give(Heard("monitor", given.by, Observed(lease=given.lease, observation=fact)))
    assert rig.ledger.jobs[KEY].error_code == 1150


def test_h062_a_server_busy_for_six_hours_gets_the_final_update_a_minute_after(monkeypatch):
    """Each refusal is followed by another try, at most a minute later; nothing is given up, nothing comes twice."""
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig(Settings(queue="Q", tuning=Tuning(silence_s=1e9, hello_s=1e9)))
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    to_reporting(rig)
    while rig.last(SendUpdate).task.final is False:
        rig.done(SendUpdate, UpdateAnswered(stored=True))
    (row,) = rig.finals()
    began, pauses = rig.now.mono, []
    while rig.now.mono - began < 6 * 3600:
        rig.failed(SendUpdate, 1318, retry=True)
        (waiting,) = rig.finals()
        assert (waiting.sequence, waiting.body, waiting.attempts) == (row.sequence, row.body, len(pauses) + 1)
        pauses.append(waiting.next_try_at - rig.now.mono)
        rig.wait(pauses[-1])
    assert max(pauses[:20]) <= 8.0
    assert 45.0 <= min(pauses[-20:]) <= max(pauses) <= 60.0
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    assert not rig.ledger.outbox
    assert rig.ledger.jobs[KEY].state is JobState.DONE
