"""Traces in the core: handed on, bounded, and nothing ever waits for them but the very end, for a moment."""

import json
from dataclasses import replace

import pytest
from pilot_rig import JOB, KEY, QUEUE_TEXT, Rig, plan

from core import life
from core.actions import Leave, Say
from core.events import Heard
from core.traces import LINGER_S, MAX_WAITING
from ipc.observations import Attempted
from ipc.parts import Attempt, TraceBasis, TransferredFile
from ipc.results import (
    CleanedUp,
    JobAcquired,
    LogTransferred,
    NoJob,
    PayloadEnded,
    Prepared,
    QueueFetched,
    Staged,
    TracesSent,
    UpdateAnswered,
)
from ipc.schema import Observed
from ipc.tasks import (
    AcquireJob,
    CleanUp,
    FetchQueue,
    PrepareJob,
    RunPayload,
    SendTraces,
    SendUpdate,
    StageIn,
    StageOut,
    TransferLog,
)

BASIS = TraceBasis(
    url="http://r/traces/",
    job_id=5,
    task_id=1,
    definition_id=1,
    user="u",
    queue="Q",
    node="n",
    is_analysis=False,
    event_version="1",
)
TRIED = Attempt(lfn="input", kind="input", copytool="cp", endpoint="E", url="/a")


@pytest.fixture
def rig(monkeypatch):
    """A pilot whose job is staging in, with traces."""
    return staging_in(monkeypatch, BASIS)


def staging_in(monkeypatch, basis):
    monkeypatch.setattr(life, "make_plan", lambda *_: replace(plan(), traces=basis))
    rig = Rig()
    rig.done(FetchQueue, QueueFetched(queue_text=QUEUE_TEXT, storage_text="{}"))
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    rig.done(PrepareJob, Prepared())
    return rig


def observed(rig, kind, fact):
    given = rig.last(kind)
    rig.give(Heard(given.role, given.by, Observed(lease=given.lease, observation=fact)))


def said(rig):
    return " | ".join(action.text for action in rig.actions if isinstance(action, Say))


def traces(rig):
    return [given for given in rig.assigned if isinstance(given.task, SendTraces)]


def finish(rig):
    file = TransferredFile(lfn="x", kind="log", status="transferred", size_bytes=1, checksum="adler32:00000001")
    rig.done(StageIn, Staged(files=()))
    rig.done(RunPayload, PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag=""))
    rig.done(StageOut, Staged(files=()))
    rig.done(TransferLog, LogTransferred(file=file))
    while rig.pilot.ledger.outbox:
        rig.done(SendUpdate, UpdateAnswered(stored=True))


def test_what_was_tried_goes_to_the_reporter_with_what_is_known_of_the_job(rig):
    observed(rig, StageIn, Attempted(attempts=(TRIED,)))
    (given,) = traces(rig)
    assert (given.role, given.task) == ("reporter", SendTraces(job_key=KEY, basis=BASIS, attempts=(TRIED,)))
    rig.done(SendTraces, TracesSent(sent=1))
    assert not any(isinstance(task.task, SendTraces) for task in rig.pilot.ledger.tasks.values())


def test_without_a_basis_nothing_is_sent(monkeypatch):
    rig = staging_in(monkeypatch, None)
    observed(rig, StageIn, Attempted(attempts=(TRIED,)))
    assert traces(rig) == []


def test_only_so_many_wait(rig):
    for _ in range(3):
        observed(rig, StageIn, Attempted(attempts=(TRIED,) * (MAX_WAITING - 600)))
    assert sum(len(given.task.attempts) for given in traces(rig)) == MAX_WAITING
    assert "too many wait" in said(rig)


def test_curls_code_is_told_in_the_metrics_of_later_updates(rig):
    observed(rig, StageIn, Attempted(attempts=(TRIED,)))
    rig.done(SendTraces, TracesSent(sent=0, dropped=1, curl_code=28, note="no answer"))
    assert "1 traces of 5.1 dropped: no answer" in said(rig)
    finish(rig)
    finals = [given.task for given in rig.assigned if isinstance(given.task, SendUpdate) and given.task.final]
    assert "rucioTraceError=28" in json.loads(finals[0].body)["job_metrics"].split()


def test_traces_outlive_their_job(rig):
    observed(rig, StageIn, Attempted(attempts=(TRIED,)))
    finish(rig)
    rig.done(CleanUp, CleanedUp())
    assert rig.pilot.ledger.jobs == {}
    rig.done(SendTraces, TracesSent(sent=0, dropped=1, curl_code=7, note="x"))


def end_hunt(rig):
    rig.done(CleanUp, CleanedUp())
    rig.done(AcquireJob, NoJob(reason="none", end=True))


def test_the_pilot_stays_a_moment_for_its_last_traces(rig):
    observed(rig, StageIn, Attempted(attempts=(TRIED,)))
    finish(rig)
    end_hunt(rig)
    assert not rig.pilot.stopping
    rig.done(SendTraces, TracesSent(sent=1))
    assert rig.pilot.stopping


def test_the_moment_has_an_end(rig):
    observed(rig, StageIn, Attempted(attempts=(TRIED,)))
    finish(rig)
    end_hunt(rig)
    assert rig.deadline() <= rig.now.mono + LINGER_S
    rig.wait(LINGER_S)
    assert rig.pilot.stopping
    assert "1 traces dropped: the pilot ends" in said(rig)
    assert not any(isinstance(action, Leave) and action.exit_code for action in rig.actions)
