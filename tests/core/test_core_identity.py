"""The pilot's identity is looked at before the first job and while one runs; its token is renewed (behaviour 10)."""

import pytest
from pilot_rig import JOB, QUEUE_TEXT, Rig, plan

from ipc.results import IdentityChecked, JobAcquired, QueueFetched
from ipc.tasks import AcquireJob, CheckIdentity, FetchQueue
from settings.settings import Settings

TOKEN = (("OIDC_AUTH_TOKEN", "t"), ("OIDC_AUTH_ORIGIN", "a:b"), ("PANDA_AUTH_TOKEN_KEY", "k"))


def rig_with(queue_text=QUEUE_TEXT, **more):
    rig = Rig(Settings(queue="Q", **{"url": "https://panda", **more}))
    rig.done(FetchQueue, QueueFetched(queue_text=queue_text, storage_text="{}"))
    return rig


def count(rig, kind):
    return len([given for given in rig.assigned if isinstance(given.task, kind)])


def test_no_job_is_asked_for_before_the_identity_was_looked_at():
    rig = rig_with()
    task = rig.last(CheckIdentity).task
    assert (task.at_start, task.verify, task.renew, task.least_s) == (True, True, False, 72 * 3600 - 1200)
    assert count(rig, AcquireJob) == 0
    rig.done(CheckIdentity, IdentityChecked())
    assert count(rig, AcquireJob) == 1


@pytest.mark.parametrize(("code", "exit_code"), [(1163, 68), (1177, 68), (1373, 68), (1382, 80)])
def test_an_identity_that_will_not_do_ends_the_pilot_with_its_exit_code(code, exit_code):
    rig = rig_with()
    rig.done(CheckIdentity, IdentityChecked(code=code, diag="too short"))
    assert count(rig, AcquireJob) == 0
    assert str(code) in rig.ledger.hunt.over
    assert rig.ledger.hunt.exit_code == exit_code


def test_a_check_that_cannot_be_made_stops_nothing():
    rig = rig_with()
    for _ in range(3):
        rig.failed(CheckIdentity, 1318, retry=True)
        rig.wait(3)
    assert count(rig, AcquireJob) == 1


@pytest.mark.parametrize("more", [{"verify_proxy": False}, {"url": "http://panda"}, {"job_file": "/j"}])
def test_nothing_is_checked_where_nothing_is_shown_or_wanted(more):
    rig = rig_with(queuedata_url="http://q", **more)
    assert count(rig, CheckIdentity) == 0
    assert count(rig, AcquireJob) == 1


def test_while_a_job_runs_it_is_checked_every_600_s_and_the_job_fails_in_time(monkeypatch):
    monkeypatch.setattr("core.life.make_plan", plan)
    rig = rig_with()
    rig.done(CheckIdentity, IdentityChecked())
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    assert rig.deadline() <= rig.now.mono + 600
    rig.wait(599)
    assert count(rig, CheckIdentity) == 1
    rig.wait(2)
    task = rig.last(CheckIdentity).task
    assert (task.at_start, task.least_s) == (False, 2400)
    rig.done(CheckIdentity, IdentityChecked(code=1373, diag="the certificate ends in 5 s"))
    assert rig.job.error_code == 1373
    assert rig.ledger.hunt.over


def test_a_token_is_renewed_at_start_and_every_hour(monkeypatch):
    monkeypatch.setattr("core.life.make_plan", plan)
    rig = rig_with(environment=TOKEN)
    assert rig.last(CheckIdentity).task.renew
    rig.done(CheckIdentity, IdentityChecked(renewed=True, note="the token was renewed"))
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    for _ in range(5):
        rig.wait(600)
        assert (rig.last(CheckIdentity).task.renew, rig.last(CheckIdentity).task.may_renew) == (False, True)
        rig.done(CheckIdentity, IdentityChecked())
    rig.wait(600)
    assert rig.last(CheckIdentity).task.renew


@pytest.mark.parametrize(
    ("queue_text", "more"),
    [
        (QUEUE_TEXT, {"token_renewal": False, "environment": TOKEN}),
        (QUEUE_TEXT, {"environment": TOKEN[:2]}),
        (QUEUE_TEXT.replace("{", '{"catchall": "no_token_renewal", ', 1), {"environment": TOKEN}),
    ],
)
def test_a_token_is_not_renewed_against_the_will_of_anybody(queue_text, more):
    task = rig_with(queue_text, **more).last(CheckIdentity).task
    assert (task.renew, task.may_renew, task.verify) == (False, False, True)


def test_renewal_does_not_depend_on_verification():
    rig = rig_with(verify_proxy=False, environment=TOKEN)
    task = rig.last(CheckIdentity).task
    assert (task.renew, task.verify) == (True, False)
    assert count(rig, AcquireJob) == 1
