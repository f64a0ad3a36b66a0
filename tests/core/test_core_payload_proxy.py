"""The payload's proxy comes before the payload and is looked at while it runs; a server without one stops nothing."""

from dataclasses import replace

import pytest
from pilot_rig import Rig, plan, queue_and_job

from core.events import Heard
from ipc.observations import PayloadStarted
from ipc.parts import Variable
from ipc.results import PayloadEnded, Prepared, ProxyFetched, Staged
from ipc.schema import Observed
from ipc.tasks import FetchProxy, PrepareJob, RunPayload, StageIn
from jobs.states import JobState
from settings.settings import Settings

WANTED = FetchProxy(path="/j/p", role="r", least_s=1.0)
OWN = Variable(name="X509_USER_PROXY", value="/j/p")


@pytest.fixture
def rig(monkeypatch):
    """A pilot whose job waits for its proxy."""
    foreign = (Variable(name="A", value="1"), Variable(name="X509_USER_PROXY", value="/pilots/own"))
    made = replace(plan(), proxy=WANTED, run=replace(plan().run, environment=foreign))
    monkeypatch.setattr("core.life.make_plan", lambda *_arguments: made)
    rig = Rig(Settings(queue="Q"))
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    rig.done(StageIn, Staged(files=()))
    return rig


def runs(rig):
    return [given.task for given in rig.assigned if isinstance(given.task, RunPayload)]


def looks(rig):
    return [given.task for given in rig.assigned if isinstance(given.task, FetchProxy)]


def test_the_payload_waits_for_its_proxy_and_is_told_where_it_is(rig):
    assert looks(rig) == [WANTED]
    assert runs(rig) == []
    rig.done(FetchProxy, ProxyFetched(present=True))
    (task,) = runs(rig)
    assert task.environment == (Variable(name="A", value="1"), OWN)


@pytest.mark.parametrize("failed", [False, True])
def test_a_payload_without_a_proxy_is_told_of_none_of_its_own(rig, failed):
    if failed:
        for _ in range(3):
            rig.failed(FetchProxy, 1318, retry=True)
            rig.wait(3)
    else:
        rig.done(FetchProxy, ProxyFetched(present=False, note="the server gave none"))
    (task,) = runs(rig)
    assert OWN not in task.environment
    rig.wait(10_000)
    assert len(looks(rig)) == (3 if failed else 1), "it is not looked at"


def test_a_proxy_that_will_not_do_fails_the_job_without_a_payload(rig):
    rig.done(FetchProxy, ProxyFetched(present=True, code=1373, diag="payload proxy: short"))
    assert (rig.job.error_code, rig.job.error_diag) == (1373, "payload proxy: short")
    assert runs(rig) == []


def test_while_the_payload_runs_it_is_looked_at_every_600_s_and_not_after(rig):
    rig.done(FetchProxy, ProxyFetched(present=True))
    started(rig)
    assert rig.job.state is JobState.RUNNING
    rig.wait(1)
    assert rig.deadline() <= rig.now.mono + 600
    rig.wait(600)
    assert looks(rig)[-1] == replace(WANTED, needed=True)
    assert len(looks(rig)) == 2
    rig.done(FetchProxy, ProxyFetched(present=True))
    assert [key for key in rig.ledger.tasks if key.endswith((":run", ":proxy"))] == ["5.1:run"]
    rig.wait(600)
    assert len(looks(rig)) == 3
    rig.done(RunPayload, PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag=""))
    rig.wait(5000)
    assert len(looks(rig)) == 3
    assert not any(key.endswith(":proxy") for key in rig.ledger.tasks)


def started(rig):
    given = rig.last(RunPayload)
    fact = Observed(lease=given.lease, observation=PayloadStarted(pid=7, started_wall=rig.now.wall))
    rig.give(Heard(given.role, given.by, fact))
