"""A feeder of events in the simulated world: what it was granted is on disk, and every new one goes on from there."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from errors.codes import ErrorCode
from ipc.observations import ChannelOpen, EventsCounted, Wanted
from ipc.parts import Copy, Transfer
from ipc.results import EventsFed, RangesAcquired
from ipc.schema import Failed, Heed, Observed
from ipc.tasks import AcquireRanges, FeedEvents, ReportRanges, StageTar

if TYPE_CHECKING:
    from sim_crew import Process

RANGES, TAR, REPORT = "ranges-1", "tar-1", "report-1"
_TRIES = 4
_PAUSE_S = 3.0


@dataclass(slots=True)
class Feed:
    """One job's ledger of events: wishes that were granted, and those that were given up."""

    granted: set[str] = field(default_factory=set)
    given_up: set[str] = field(default_factory=set)
    tries: dict[str, int] = field(default_factory=dict)

    def is_over(self, name: str) -> bool:
        """Tell whether a wish needs nothing more."""
        return name in self.granted | self.given_up


def feed_on(process: "Process", lease: str, task: FeedEvents) -> None:
    """Do the next thing of a feeder: ranges, then the payload, then an archive and a report of it."""
    if lease not in process.leases:
        return
    world = process.world
    feed, payload = world.feed(task.control_dir), world.payload(task.control_dir)
    if not payload.claimed or payload.running:
        if RANGES not in feed.granted:
            _want(process, lease, task, RANGES)
            return
        process.send(Observed(lease=lease, observation=ChannelOpen()))
        payload.waiting.append((process, lease))
        return
    wish = next((name for name in (TAR, REPORT) if RANGES in feed.granted and not feed.is_over(name)), "")
    if wish:
        _want(process, lease, task, wish)
        return
    n_events = int(REPORT in feed.granted)
    process.send(Observed(lease=lease, observation=EventsCounted(n_events=n_events)))
    process.end(lease, EventsFed(n_events=n_events))


def heed(process: "Process", message: Heed) -> None:
    """Take what became of a wish: it is granted, tried again a little later, or given up."""
    task: Any = process.leases.get(message.lease)
    if not isinstance(task, FeedEvents) or message.name == "drain":
        return
    world, feed = process.world, process.world.feed(task.control_dir)
    if message.result is not None:
        if isinstance(message.result, RangesAcquired) and message.result.ranges == "[]":
            _give_up(process, message.lease, task, ErrorCode.ESNOEVENTS)
            return
        feed.granted.add(message.name)
        feed_on(process, message.lease, task)
        return
    feed.tries[message.name] = feed.tries.get(message.name, 0) + 1
    if feed.tries[message.name] < _TRIES:
        world.at(_PAUSE_S, process.do, lambda: feed_on(process, message.lease, task))
    elif message.name == RANGES:
        _give_up(process, message.lease, task, ErrorCode.COMMUNICATIONFAILURE)
    else:
        feed.given_up.add(message.name)
        feed_on(process, message.lease, task)


def _give_up(process: "Process", lease: str, task: FeedEvents, code: ErrorCode) -> None:
    process.world.blame(task, code)
    process.end(lease, Failed(lease="", code=int(code), diag="no events", retry=False))


def _want(process: "Process", lease: str, task: FeedEvents, name: str) -> None:
    process.send(Observed(lease=lease, observation=Wanted(name=name, task=_wish(task, name))))


def _wish(task: FeedEvents, name: str) -> AcquireRanges | ReportRanges | StageTar:
    if name == RANGES:
        return AcquireRanges(job_id=task.job_id, jobset_id=1, task_id=7, n_ranges=2, keep_at="/kept")
    if name == REPORT:
        return ReportRanges(job_id=task.job_id, task_id=7, version=1, entries="[]", ids=("1-2-3-4-5",))
    copy = Copy(copytool="cp", source="/from/x.tar", destination="/to/x.tar")
    transfer = Transfer(lfn="x.tar", kind="output", copies=(copy,))
    return StageTar(job_dir=task.job_dir, tar_path=f"{task.job_dir}/x.tar", members=("/a",), transfer=transfer)
