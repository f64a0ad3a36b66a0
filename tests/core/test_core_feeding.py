"""Jobs that are fed with events, in the core: wishes become tasks, answers go back, nothing is lost by a death."""

from dataclasses import replace

import pytest
from pilot_rig import Rig, plan, queue_and_job

from core import life
from core.actions import Send
from core.events import Heard, WorkerDied
from ipc.observations import ChannelOpen, EventsCounted, PayloadStarted, Wanted
from ipc.results import EventsFed, PayloadEnded, PayloadKilled, Prepared, RangesAcquired, Staged, UpdateAnswered
from ipc.schema import Heed, Observed
from ipc.tasks import AcquireRanges, FeedEvents, KillPayload, PrepareJob, RunPayload, SendUpdate, StageIn, TransferLog
from jobs.states import JobState

FEED = FeedEvents(
    job_id=5,
    jobset_id=1,
    task_id=2,
    job_dir="/j",
    control_dir="/c",
    channel="ipc:///j/es.sock",
    core_count=1,
    stores=(),
    gap_s=1.0,
)
WISH = AcquireRanges(job_id=5, jobset_id=1, task_id=2, n_ranges=2, keep_at="/k")
WELL = PayloadEnded(exit_code=0, signal=0, error_code=0, error_diag="")


@pytest.fixture
def rig(monkeypatch):
    """A rig with a job whose inputs are there: its feeder is at work."""
    monkeypatch.setattr(life, "make_plan", lambda *_: replace(plan(), stage_out=None, feed=FEED))
    rig = Rig()
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    rig.done(StageIn, Staged(files=()))
    return rig


def observe(rig, kind, fact):
    given = rig.last(kind)
    return rig.give(Heard(given.role, given.by, Observed(lease=given.lease, observation=fact)))


def heeds(actions):
    return [each.message for each in actions if isinstance(each, Send) and isinstance(each.message, Heed)]


def given(rig, kind):
    return [each for each in rig.assigned if isinstance(each.task, kind)]


def running(rig):
    observe(rig, FeedEvents, ChannelOpen())
    observe(rig, RunPayload, PayloadStarted(pid=7, started_wall=1e9))


def test_the_payload_starts_when_its_channel_is_open_and_not_before(rig):
    assert rig.job.state is JobState.STARTING
    assert given(rig, RunPayload) == []
    running(rig)
    assert rig.job.state is JobState.RUNNING
    observe(rig, FeedEvents, ChannelOpen())  # a new feeder opens it again
    assert len(given(rig, RunPayload)) == 1


def test_a_wish_becomes_a_task_and_its_result_goes_back(rig):
    observe(rig, FeedEvents, Wanted(name="ranges-1", task=WISH))
    observe(rig, FeedEvents, Wanted(name="ranges-1", task=WISH))
    (asked,) = given(rig, AcquireRanges)
    assert asked.role == "reporter"
    (heed,) = heeds(rig.done(AcquireRanges, RangesAcquired(ranges="[]")))
    assert heed == Heed(lease=rig.last(FeedEvents).lease, name="ranges-1", result=RangesAcquired(ranges="[]"))


def test_a_wish_that_failed_goes_back_at_once_and_the_job_goes_on(rig):
    observe(rig, FeedEvents, Wanted(name="ranges-1", task=WISH))
    (heed,) = heeds(rig.failed(AcquireRanges, 1318, retry=True))
    assert (heed.name, heed.code, heed.result) == ("ranges-1", 1318, None)
    assert len(given(rig, AcquireRanges)) == 1
    assert rig.job.state is JobState.STARTING


def test_a_feeder_that_died_gets_the_answer_to_what_it_wants_again(rig):
    observe(rig, FeedEvents, Wanted(name="ranges-1", task=WISH))
    old = rig.last(FeedEvents)
    rig.give(WorkerDied("runner", old.by, -9))
    assert rig.last(FeedEvents).lease != old.lease
    observe(rig, FeedEvents, Wanted(name="ranges-1", task=WISH))
    (heed,) = heeds(rig.done(AcquireRanges, RangesAcquired(ranges="[]")))
    assert heed.lease == rig.last(FeedEvents).lease
    assert len(given(rig, AcquireRanges)) == 1


def test_the_job_waits_for_its_events_and_tells_how_many_there_are(rig):
    running(rig)
    observe(rig, FeedEvents, EventsCounted(n_events=3))
    rig.done(RunPayload, WELL)
    assert rig.job.state is JobState.STAGING_OUT
    rig.done(FeedEvents, EventsFed(n_events=4, sub_status="all_success"))
    assert (rig.job.state, rig.job.n_events) == (JobState.TRANSFERRING_LOG, 4)


def test_events_that_were_fed_before_the_payload_s_end_was_seen(rig):
    running(rig)
    rig.done(FeedEvents, EventsFed(n_events=4))
    assert rig.job.state is JobState.RUNNING
    rig.done(RunPayload, WELL)
    assert rig.job.state is JobState.TRANSFERRING_LOG


def test_the_error_of_the_events_is_the_job_s(rig):
    running(rig)
    rig.done(RunPayload, WELL)
    rig.done(FeedEvents, EventsFed(n_events=0, error_code=1224, error_diag="none", sub_status="all_failed"))
    assert rig.job.error_code == 1224
    assert rig.job.state is JobState.TRANSFERRING_LOG


def test_es_8_without_events_the_job_fails_and_no_payload_was_started(rig):
    rig.failed(FeedEvents, 1238, retry=False)
    assert (rig.job.error_code, rig.job.state) == (1238, JobState.FAILING)
    assert given(rig, RunPayload) == []
    rig.done(KillPayload, PayloadKilled())
    assert rig.job.state is JobState.TRANSFERRING_LOG


def test_es_7_what_was_made_is_brought_although_the_job_fails(rig):
    running(rig)
    rig.done(RunPayload, PayloadEnded(exit_code=3, signal=0, error_code=1305, error_diag="it failed"))
    rig.done(KillPayload, PayloadKilled())
    assert rig.job.state is JobState.FAILING
    observe(rig, FeedEvents, Wanted(name="ranges-9", task=WISH))
    assert len(given(rig, AcquireRanges)) == 1
    rig.done(FeedEvents, EventsFed(n_events=4))
    assert (rig.job.state, rig.job.error_code, rig.job.n_events) == (JobState.TRANSFERRING_LOG, 1305, 4)


def test_softkill_is_brought_to_the_feeder_and_again_to_a_new_one(rig):
    running(rig)
    actions = rig.done(SendUpdate, UpdateAnswered(stored=True, command="softkill"))
    assert [heed.name for heed in heeds(actions)] == ["drain"]
    old = rig.last(FeedEvents)
    rig.give(WorkerDied("runner", old.by, -9))
    assert [heed.name for heed in heeds(observe(rig, FeedEvents, ChannelOpen()))] == ["drain"]


def test_a_job_with_events_tells_of_them_every_600_s(rig):
    running(rig)
    assert rig.job.next_heartbeat == rig.now.mono + 600


def test_a_job_without_events_hears_no_drain(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig()
    queue_and_job(rig)
    rig.done(PrepareJob, Prepared())
    assert heeds(rig.done(SendUpdate, UpdateAnswered(stored=True, command="softkill"))) == []


def test_the_log_comes_after_the_events(rig):
    running(rig)
    rig.done(RunPayload, WELL)
    assert given(rig, TransferLog) == []
    rig.done(FeedEvents, EventsFed(n_events=1))
    assert len(given(rig, TransferLog)) == 1
