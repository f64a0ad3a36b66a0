"""A recovered job waits for the server's word, its payload does not; a job that is over there ends without a report."""

from dataclasses import replace

import pytest
from pilot_rig import KEY, Rig, plan, queue_and_job

from core.recovered import why_over
from ipc.results import JobStatusTold, Staged
from ipc.tasks import AskJobStatus, PrepareJob, RunPayload, SendUpdate, StageIn, StageOut
from jobs.ledger import reopened
from jobs.record import JobRecord
from jobs.states import JobState
from settings.settings import Settings

JOB = JobRecord(key="5.2", job_id=5, attempt_nr=2, state=JobState.RUNNING)


@pytest.mark.parametrize(
    ("status", "attempt_nr", "over"),
    [
        ("running", 2, False),
        ("starting", 2, False),
        ("sent", 2, False),
        ("transferring", 2, False),
        ("holding", 2, False),
        ("running", 0, False),
        ("finished", 2, True),
        ("failed", 2, True),
        ("cancelled", 2, True),
        ("closed", 2, True),
        ("", 0, True),
        ("running", 3, True),
    ],
)
def test_what_the_server_says_of_a_job(status, attempt_nr, over):
    assert bool(why_over(JOB, JobStatusTold(status=status, attempt_nr=attempt_nr))) is over


def test_an_attempt_number_that_was_never_told_is_not_compared():
    assert not why_over(replace(JOB, attempt_nr=-1), JobStatusTold(status="running", attempt_nr=7))


def recovered(monkeypatch, state, **settings):
    """Return the pilot that finds a job in its journal, in a state, with the next task of that state open."""
    monkeypatch.setattr("core.life.make_plan", plan)
    before = Rig()
    queue_and_job(before)
    kinds = {JobState.PREPARING: (), JobState.STAGING_IN: (PrepareJob,), JobState.STARTING: (PrepareJob, StageIn)}
    for kind in kinds[state]:
        before.done(kind, Staged(files=()))
    assert before.job.state is state
    return Rig(Settings(queue="Q", **settings), reopened(before.ledger))


def given(rig, kind):
    return [task for task in rig.assigned if isinstance(task.task, kind)]


@pytest.mark.parametrize(("state", "kind"), [(JobState.PREPARING, PrepareJob), (JobState.STAGING_IN, StageIn)])
def test_the_next_step_waits_for_the_answer(monkeypatch, state, kind):
    rig = recovered(monkeypatch, state)
    assert rig.last(AskJobStatus).task == AskJobStatus(job_id=5, limit_s=5.0)
    assert not given(rig, kind)
    assert not given(rig, SendUpdate)
    rig.done(AskJobStatus, JobStatusTold(status="running", attempt_nr=1))
    assert given(rig, kind)
    assert rig.job.error_code == 0


def test_the_wait_has_an_end(monkeypatch):
    rig = recovered(monkeypatch, JobState.STAGING_IN)
    assert rig.deadline() <= rig.now.mono + 5
    rig.wait(5)
    assert given(rig, StageIn)


def test_a_failed_question_is_the_end_of_the_wait(monkeypatch):
    rig = recovered(monkeypatch, JobState.STAGING_IN)
    rig.failed(AskJobStatus, 1318, retry=False)
    assert given(rig, StageIn)


def test_a_payload_does_not_wait(monkeypatch):
    assert given(recovered(monkeypatch, JobState.STARTING), RunPayload)


@pytest.mark.parametrize("more", [{"update_server": False}, {"job_file": "/j"}, {"fake_job": True}])
def test_nobody_is_asked_where_no_server_is_told(monkeypatch, more):
    rig = recovered(monkeypatch, JobState.STAGING_IN, **more)
    assert not given(rig, AskJobStatus)
    assert given(rig, StageIn)


def test_a_job_that_is_over_ends_without_an_update(monkeypatch):
    rig = recovered(monkeypatch, JobState.STAGING_IN)
    rig.done(AskJobStatus, JobStatusTold(status="cancelled", attempt_nr=1))
    assert rig.job.muted
    assert rig.ledger.jobs[KEY].error_code == 1144
    assert not rig.ledger.outbox
    assert not given(rig, StageOut)
    assert not given(rig, SendUpdate)
