"""When a job is asked for and when no more: pauses, limits, the pilot's time (panda-protocol 1.6, behaviour 8)."""

import json
from dataclasses import replace

import pytest
from pilot_rig import JOB, QUEUE_TEXT, Rig, plan

from core import life
from core.events import Heard
from ipc.observations import LimitExceeded
from ipc.parts import TransferredFile
from ipc.results import (
    CleanedUp,
    JobAcquired,
    LogTransferred,
    NoJob,
    PayloadEnded,
    Prepared,
    QueueFetched,
    Staged,
    UpdateAnswered,
)
from ipc.schema import Observed
from ipc.tasks import (
    AcquireJob,
    CleanUp,
    FetchQueue,
    PrepareJob,
    RunPayload,
    SendUpdate,
    StageIn,
    StageOut,
    TransferLog,
    Watch,
)
from jobs.ledger import inherited, reopened
from jobs.states import JobState
from settings.handover import Handover
from settings.settings import Settings, Tuning

pytestmark = pytest.mark.timeout(30)


#: Workers that are never taken for hung, however far the clock is moved.
PATIENT = Tuning(silence_s=1e9, hello_s=1e9)


def rig_with(queue=None, **settings):
    rig = Rig(Settings(queue="Q", tuning=PATIENT, **settings))
    text = json.dumps({**json.loads(QUEUE_TEXT), **(queue or {})})
    rig.done(FetchQueue, QueueFetched(queue_text=text, storage_text="{}"))
    return rig


def pause_of(rig):
    return rig.ledger.hunt.pause_until_at - rig.now.mono


def asked(rig):
    return [given for given in rig.assigned if isinstance(given.task, AcquireJob)]


def test_case_17_a_status_code_is_waited_after_for_60_to_180_s_and_no_answer_for_60():
    rig = rig_with(getjob_requests=10, getjob_failures=10)
    pauses = []
    for _ in range(4):
        rig.done(AcquireJob, NoJob(reason="no jobs"))
        pauses.append(pause_of(rig))
        rig.wait(pauses[-1])
    assert all(60.0 <= pause <= 180.0 for pause in pauses)
    assert len(set(pauses)) > 1
    rig.failed(AcquireJob, 1318, retry=True)
    assert pause_of(rig) == 60.0


def test_case_17_pilots_of_two_nodes_do_not_come_together():
    one, other = rig_with(node="a"), rig_with(node="b")
    for rig in (one, other):
        rig.done(AcquireJob, NoJob(reason="no jobs"))
    assert pause_of(one) != pause_of(other)


@pytest.mark.parametrize(("kind", "code"), [("hpc", 82), ("GRID", 0)])
def test_case_15_the_fifth_failure_ends_the_pilot_with_82_on_an_hpc(kind, code):
    rig = rig_with({"resource_type": kind}, getjob_requests=10, getjob_failures=5)
    for _ in range(5):
        assert not rig.ledger.hunt.over
        rig.done(AcquireJob, NoJob(reason="No jobs in PanDA"))
        rig.wait(180.0)
    assert len(asked(rig)) == 5
    assert rig.ledger.hunt.exit_code == code
    assert rig.ledger.hunt.over


def test_case_15_fewer_requests_than_failures_end_it_before():
    rig = rig_with(getjob_requests=2, getjob_failures=5)
    for _ in range(2):
        rig.done(AcquireJob, NoJob(reason="No jobs in PanDA"))
        rig.wait(180.0)
    assert "2 requests" in rig.ledger.hunt.over


def run_a_job(rig, monkeypatch, *, definition=JOB):
    monkeypatch.setattr(life, "make_plan", plan)
    rig.done(AcquireJob, JobAcquired(definition=definition))
    (job,) = rig.ledger.jobs.values()
    rig.pilot = _without_jobs(rig.pilot)
    rig.wait(0.0)
    return job


def _without_jobs(pilot):
    ledger = replace(pilot.ledger, jobs={}, dossiers={}, outbox={}, tasks={})
    return replace(pilot, ledger=ledger)


def test_counters_begin_anew_after_a_job(monkeypatch):
    rig = rig_with(getjob_requests=2, getjob_failures=2)
    rig.done(AcquireJob, NoJob(reason="none"))
    rig.wait(180.0)
    run_a_job(rig, monkeypatch)
    assert rig.ledger.hunt.failures == 0
    assert not rig.ledger.hunt.over
    assert len(asked(rig)) == 3


def test_case_23_the_next_request_names_the_task_of_the_last_job(monkeypatch):
    for allowed in (True, False):
        rig = rig_with(allow_same_user=allowed)
        run_a_job(rig, monkeypatch, definition='{"PandaID": 5, "attemptNr": 1, "taskID": 77}')
        request = json.loads(asked(rig)[-1].task.request)
        assert request.get("task_id") == (77 if allowed else None)


def test_case_22_timefloor_0_is_one_job_and_60_is_an_hour(monkeypatch):
    one = rig_with({"timefloor": 0})
    run_a_job(one, monkeypatch)
    assert len(asked(one)) == 1
    more = rig_with({"timefloor": 60})
    run_a_job(more, monkeypatch)
    assert len(asked(more)) == 2
    late = rig_with({"timefloor": 60})
    late.wait(3601.0)
    run_a_job(late, monkeypatch)
    assert len(asked(late)) == 1


@pytest.mark.parametrize(("floor", "handed_over_only"), [(0, True), (60, False)])
def test_jobs_that_were_handed_over_are_run_whatever_the_timefloor(monkeypatch, floor, handed_over_only):
    rig = rig_with({"timefloor": floor}, handover=Handover(jobs_from_files=True), getjob_requests=9)
    assert not asked(rig)[-1].task.handed_over_only
    run_a_job(rig, monkeypatch)
    assert [given.task.handed_over_only for given in asked(rig)] == [False, handed_over_only]
    rig.done(AcquireJob, NoJob(reason="none", end=True))
    assert rig.ledger.hunt.over == ("the queue's timefloor is 0: one job for each pilot" if floor == 0 else "none")


@pytest.mark.parametrize(("queue", "settings"), [({"maxtime": 3000}, {}), ({}, {"lifetime_s": 3000.0})])
def test_no_job_is_asked_for_when_too_little_time_is_left(queue, settings):
    rig = rig_with(queue, getjob_requests=10, getjob_failures=10, **settings)
    rig.wait(2600.0)
    rig.done(AcquireJob, NoJob(reason="none"))
    rig.wait(200.0)
    assert "too short" in rig.ledger.hunt.over
    assert "remaining_time" not in asked(rig)[-1].task.request


def test_the_pilots_clock_does_not_begin_anew_with_a_job(monkeypatch):
    """The pilots in use count the time of each job from its own start: the last one passes the batch limit."""
    monkeypatch.setattr(life, "make_plan", plan)
    rig = rig_with({"maxtime": 36000})
    began = rig.ledger.began_wall
    rig.wait(26000.0)
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    rig.done(PrepareJob, Prepared())
    watch = rig.last(Watch)
    assert watch.task.until_wall == began + 36000 - 180
    rig.wait(10000.0 - 180)
    give_limit(rig, watch)
    assert (rig.job.error_code, rig.ledger.hunt.exit_code) == (1213, 81)


def give_limit(rig, watch):
    limit = LimitExceeded(code=1213, diag="late")
    return rig.give(Heard(watch.role, watch.by, Observed(lease=watch.lease, observation=limit)))


def test_a_jobs_own_time_limit_does_not_end_the_pilot(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = rig_with({"maxtime": 36000})
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    rig.done(PrepareJob, Prepared())
    give_limit(rig, rig.last(Watch))
    assert rig.job.state is JobState.TRANSFERRING_LOG
    assert not rig.ledger.hunt.over


def test_the_end_of_a_dead_pilots_slot_does_not_follow_its_job(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = rig_with()
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    rig.done(PrepareJob, Prepared())
    assert rig.last(Watch).task.until_wall > 0
    (watch,) = [task.task for task in inherited(rig.ledger).tasks.values() if isinstance(task.task, Watch)]
    assert watch.until_wall == 0


def test_descriptions_are_asked_for_three_times_with_pauses():
    rig = Rig(Settings(queue="Q", tuning=PATIENT))
    for _ in range(2):
        rig.failed(FetchQueue, 1116, retry=True)
        (task,) = [task for task in rig.ledger.tasks.values() if isinstance(task.task, FetchQueue)]
        assert 15.0 <= task.not_before_at - rig.now.mono <= 45.0
        rig.wait(45.0)
    rig.failed(FetchQueue, 1116, retry=True)
    assert rig.ledger.hunt.exit_code == 71


def test_a_failure_that_is_not_to_be_repeated_ends_it_at_once():
    rig = Rig(Settings(queue="Q", tuning=PATIENT))
    rig.failed(FetchQueue, 1377, retry=False)
    assert rig.ledger.hunt.exit_code == 64


def test_a_new_pilot_asks_for_no_job_while_a_dead_ones_is_cleaned_away_and_does_not_take_that_again(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    first = rig_with()
    first.done(AcquireJob, JobAcquired(definition=JOB))
    ledger = inherited(first.ledger)
    assert ledger.hunt.taken == first.ledger.hunt.taken
    done = {key: replace(job, state=JobState.DONE) for key, job in ledger.jobs.items()}
    second = Rig(Settings(queue="Q", tuning=PATIENT), ledger=replace(ledger, jobs=done, tasks={}, outbox={}))
    second.done(FetchQueue, QueueFetched(queue_text=QUEUE_TEXT, storage_text="{}"))
    assert not asked(second)
    second.pilot = _without_jobs(second.pilot)
    second.wait(0.0)
    assert len(asked(second)) == 1


def life_of_a_job(rig):
    """Bring the job that was just received to its end, with all of its updates taken."""
    log = TransferredFile(lfn="log", kind="log", status="transferred")
    rig.done(PrepareJob, Prepared())
    rig.done(StageIn, Staged(files=()))
    rig.done(RunPayload, PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag=""))
    rig.done(StageOut, Staged(files=()))
    rig.done(TransferLog, LogTransferred(file=log))
    while rig.ledger.outbox:
        rig.done(SendUpdate, UpdateAnswered(stored=True))
    rig.done(CleanUp, CleanedUp())


def test_h052_a_job_that_was_dealt_with_is_not_run_again(monkeypatch):
    """Nor by a supervisor that was started again; another attempt is another job, another pilot may be meant to."""
    monkeypatch.setattr(life, "make_plan", plan)
    rig = rig_with(getjob_requests=9, getjob_failures=9)
    rig.done(AcquireJob, JobAcquired(definition=JOB))
    life_of_a_job(rig)
    assert not rig.ledger.jobs
    for again in (JOB, JOB.replace("}", ', "x": 1}')):
        rig.wait(200.0)
        rig.done(AcquireJob, JobAcquired(definition=again))
        assert not rig.ledger.jobs
    settings = Settings(queue="Q", tuning=PATIENT, getjob_requests=9, getjob_failures=9)
    again = Rig(settings, ledger=reopened(rig.ledger))
    again.done(AcquireJob, JobAcquired(definition=JOB))
    assert not again.ledger.jobs
    later = Rig(settings, ledger=replace(inherited(rig.ledger), began_wall=1e9))
    later.done(FetchQueue, QueueFetched(queue_text=QUEUE_TEXT, storage_text="{}"))
    later.done(AcquireJob, JobAcquired(definition=JOB))
    assert list(later.ledger.jobs) == ["5.1"]
    rig.wait(200.0)
    rig.done(AcquireJob, JobAcquired(definition=JOB.replace('"attemptNr": 1', '"attemptNr": 2')))
    assert list(rig.ledger.jobs) == ["5.2"]
