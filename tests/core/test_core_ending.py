"""The end of a pilot: the code first, then the killing, the log, the final update; the exit code; no time left."""

import json
import signal

import pytest
from pilot_rig import QUEUE_TEXT, Rig, plan, queue_and_job

from core import life
from core.actions import Send
from core.events import GuardianDied, SignalArrived, WorkerDied
from ipc.parts import TransferredFile
from ipc.results import LogTransferred, NoJob, PayloadKilled, Prepared, QueueFetched, Staged, UpdateAnswered
from ipc.schema import ROLES, Cancel
from ipc.tasks import AcquireJob, FetchQueue, KillPayload, PrepareJob, RunPayload, SendUpdate, StageIn, TransferLog
from jobs.states import JobState

FILE = TransferredFile(lfn="log", kind="log", status="transferred")
CODES = list({
    "SIGTERM": 1201, "SIGQUIT": 1202, "SIGSEGV": 1203, "SIGXCPU": 1204, "SIGUSR1": 1206, "SIGBUS": 1207
}.items())  # fmt: skip


@pytest.fixture
def rig(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig()
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    rig.done(StageIn, Staged(files=()))
    return rig


def leave(rig):
    for _ in range(4):
        rig.wait(1.0)
        for role in ROLES:
            rig.give(WorkerDied(role, rig.pilot.workers[role].incarnation, 0))
    return rig.pilot.exit_code if rig.pilot.left else None


@pytest.mark.parametrize(("name", "code"), CODES)
def test_the_code_is_told_at_once_and_the_rest_follows(rig, name, code):
    number = int(signal.Signals[name])
    actions = rig.give(SignalArrived(number, name))
    (row,) = rig.ledger.outbox.values()
    body = json.loads(row.body)
    assert (body["job_status"], body["pilot_error_code"], row.final) == ("running", code, False)
    assert any(isinstance(action, Send) and isinstance(action.message, Cancel) for action in actions)
    assert isinstance(rig.last(KillPayload).task, KillPayload)
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    rig.done(KillPayload, PayloadKilled())
    assert 0 < rig.last(TransferLog).task.deadline_s <= rig.pilot.settings.tuning.kill_grace_s
    rig.done(TransferLog, LogTransferred(file=FILE))
    final = json.loads(rig.last(SendUpdate).task.body)
    assert (final["job_status"], final["pilot_error_code"]) == ("failed", code)
    assert "log" in json.loads(final["job_output_report"])
    rig.done(SendUpdate, UpdateAnswered(stored=True))
    assert rig.job.state is JobState.DONE
    rig.wait(rig.pilot.settings.tuning.kill_grace_s)
    assert leave(rig) == 128 + number


def test_the_guardians_death_is_1200_and_137(rig):
    rig.give(GuardianDied())
    assert rig.job.error_code == 1200
    for _ in range(60):
        rig.wait(0.5)
    assert leave(rig) == 137


def test_the_first_cause_stays(rig):
    rig.give(SignalArrived(15, "SIGTERM"))
    rig.give(GuardianDied())
    rig.give(SignalArrived(3, "SIGQUIT"))
    assert rig.ledger.ending.error_code == rig.job.error_code == 1201


def test_a_signal_repeated_later_shortens_the_end_and_one_at_once_does_not(rig):
    rig.give(SignalArrived(15, "SIGTERM"))
    first = rig.ledger.ending.deadline_at
    rig.give(SignalArrived(15, "SIGTERM"))
    assert rig.ledger.ending.deadline_at == first
    rig.wait(5.0)
    rig.give(SignalArrived(15, "SIGTERM"))
    assert rig.ledger.ending.deadline_at < first


def test_the_final_update_goes_without_the_log_when_time_runs_short(rig):
    tuning = rig.pilot.settings.tuning
    rig.give(SignalArrived(15, "SIGTERM"))
    rig.done(KillPayload, PayloadKilled())
    rig.wait(tuning.kill_grace_s - tuning.report_reserve_s)
    assert rig.job.state is JobState.REPORTING
    (final,) = rig.finals()
    assert "no time was left for the log" in json.loads(final.body)["pilot_error_diag"]


def test_a_signal_without_a_job_ends_the_pilot_at_once(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig()
    rig.give(SignalArrived(2, "SIGINT"))
    rig.wait(0.0)
    assert rig.pilot.stopping
    assert leave(rig) == 130


def test_nothing_more_of_the_job_is_begun_after_a_signal(rig):
    rig.give(SignalArrived(15, "SIGTERM"))
    count = len(rig.assigned)
    rig.done(KillPayload, PayloadKilled())
    assert {type(given.task) for given in rig.assigned[count:]} <= {TransferLog, SendUpdate}
    assert rig.last(RunPayload) not in rig.assigned[count:]


def test_a_pilot_whose_source_is_at_its_end_leaves_with_0(monkeypatch):
    rig = Rig()
    rig.done(FetchQueue, QueueFetched(queue_text=QUEUE_TEXT, storage_text="{}"))
    rig.done(AcquireJob, NoJob(reason="the end", end=True))
    assert leave(rig) == 0
