"""What the reporter does in the worker's loop: tasks into conversations, these into lanes, outcomes back."""

import os
from collections.abc import Callable, Mapping
from typing import Any

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from host.clock import Now, now
from ipc.results import JobAcquired
from ipc.schema import Progress
from ipc.tasks import (
    AcquireJob,
    AcquireRanges,
    AskJobStatus,
    CheckIdentity,
    DescribeNode,
    FetchProxy,
    FetchQueue,
    ReportRanges,
    SendTraces,
    SendUpdate,
    Task,
)
from settings.settings import Settings
from slot.ids import note_job
from workers.reporter.exchange import Conversation, Failure
from workers.reporter.handover import BEAT_LEASE, WorkerBeat
from workers.reporter.identity_check import IdentityCheck
from workers.reporter.job_status import status_question
from workers.reporter.keeping import Turnstile, keep_job, kept_job
from workers.reporter.lane import Lane
from workers.reporter.lanes import JOBS, LANES, lane_of
from workers.reporter.machine import Finish
from workers.reporter.node_maps import NodeDescription
from workers.reporter.payload_proxy import ProxyFetch
from workers.reporter.places import ends_of, server_of
from workers.reporter.queue_source import QueueFetch
from workers.reporter.server_events import event_server, kept_ranges
from workers.reporter.trace_lane import TraceLane
from workers.worker import Desk

#: How long a reporter whose supervisor died waits for the answer to a job request.
_LAST_ANSWER_S = 10.0
_LOOK_AGAIN_S = 0.05


class ReporterDuty:
    """The Duty of the role "reporter": all its tasks (core/tasks.py), in lanes (lanes.py).

    Raises (from any method): CourierStuckError when too many calls hang; the worker then is to be started again.
    """

    def __init__(self, desk: Desk, settings: Settings, environ: Mapping[str, str] = os.environ) -> None:
        """Start the courier's thread.

        Args:
            desk: The loop's.
            settings: The pilot's.
            environ: Where the names of proxy and token files are looked up, anew for each request.
        """
        self._desk = desk
        self._settings = settings
        self._environ = environ
        self._source, self._sink = ends_of(settings)
        self._server = server_of(settings, self._sink, self._source)
        self._beat = WorkerBeat(settings, now().mono)
        self._asked: dict[str, AcquireJob | AcquireRanges] = {}
        self._waiting: dict[str, AcquireJob | AcquireRanges] = {}
        self._turnstile = Turnstile()
        self._lanes = {name: Lane(desk, settings, environ, self._finish) for name in LANES}
        self._lanes[JOBS].open()
        self._traces = TraceLane(desk, settings, environ)

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin `task`, or put it behind the call under way in its lane."""
        if isinstance(task, SendTraces):
            self._traces.assign(lease, task, moment)
            return
        if isinstance(task, AcquireJob | AcquireRanges) and not self._may_ask(lease, task):
            return
        make = self._makers().get(type(task))
        if make is None:
            kind = type(task).__name__
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"the reporter has no task {kind}")
            return
        self._lanes[lane_of(task)].submit(lease, make(task), moment.mono)
        self._show()

    def cancel(self, lease: str, moment: Now) -> None:
        """Forget the work under `lease`; the call under way for it is abandoned."""
        self._waiting.pop(lease, None)
        self._asked.pop(lease, None)
        self._turnstile.leave(lease)
        self._traces.cancel(lease, moment)
        for lane in self._lanes.values():
            lane.cancel(lease, moment.mono)
        self._show()

    def tick(self, moment: Now) -> None:
        """Abandon the calls that overran their deadline; ask for what nobody else asks for; beat for Harvester."""
        beat = self._beat.due(moment.mono)
        if beat is not None:
            self._lanes[JOBS].submit(BEAT_LEASE, beat, moment.mono)
        for lease, task in list(self._waiting.items()):
            self.assign(lease, task, moment)
        for lane in self._lanes.values():
            lane.tick(moment.mono)
        self._traces.tick(moment)
        self._show()

    def next_deadline(self) -> float | None:
        """Return the deadline of a call under way, of a sign of life, or when to look for the right to ask again."""
        look_at = now().mono + _LOOK_AGAIN_S if self._waiting else None
        calls = [lane.next_deadline() for lane in self._lanes.values()]
        times = (*calls, self._beat.next_deadline(), self._traces.next_deadline(), look_at)
        return min((at for at in times if at is not None), default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Return nothing: calls are too short to be shown."""
        return ()

    def stop(self) -> None:
        """Let the threads go; only the answer to a request for a job or for ranges is waited for, and kept."""
        deadline = now().mono + _LAST_ANSWER_S
        while self._asked and now().mono < deadline:
            task = next(iter(self._asked.values()))
            self._lanes[lane_of(task)].wait(deadline - now().mono)
        self._traces.stop()
        for lane in self._lanes.values():
            lane.close()

    def _may_ask(self, lease: str, task: AcquireJob | AcquireRanges) -> bool:
        """Tell whether to ask the server: not while another reporter does, nor for what is here already."""
        if not self._turnstile.enter(lease, task):
            self._waiting[lease] = task
            return False
        self._waiting.pop(lease, None)
        kept = kept_job(task) if isinstance(task, AcquireJob) else kept_ranges(task)
        if kept is not None:
            if isinstance(kept, JobAcquired):
                note_job(self._settings, kept.definition)
            self._turnstile.leave(lease)
            self._desk.done(lease, kept)
            return False
        self._asked[lease] = task
        return True

    def _makers(self) -> dict[type, Callable[[Any], Conversation]]:
        """Return who makes the conversation of each kind of task."""
        settings, server = self._settings, self._server
        events = event_server(settings, server)
        return {
            SendUpdate: self._sink.deliver,
            AcquireJob: self._source.acquire,
            FetchQueue: lambda task: QueueFetch(task, settings),
            DescribeNode: lambda task: NodeDescription(task, settings),
            CheckIdentity: lambda task: IdentityCheck(task, settings, self._environ, server),
            FetchProxy: lambda task: ProxyFetch(task, settings, server),
            AskJobStatus: lambda task: status_question(task, settings, server),
            AcquireRanges: events.acquire,
            ReportRanges: events.report,
        }

    def _show(self) -> None:
        """Show a call under way, one for a job before another."""
        doing = [lane.doing for lane in self._lanes.values()]
        self._desk.show(next((each for each in doing if each != "idle"), "idle"))

    def _finish(self, action: Finish) -> None:
        outcome = action.outcome
        if action.lease == BEAT_LEASE:
            return
        asked = self._asked.pop(action.lease, None)
        if isinstance(asked, AcquireJob) and isinstance(outcome, JobAcquired):
            keep_job(asked, outcome)
            note_job(self._settings, outcome.definition)
        self._turnstile.leave(action.lease)
        if isinstance(outcome, Failure):
            self._desk.failed(action.lease, outcome.code, diagnostics(outcome.code, outcome.text), retry=outcome.retry)
        else:
            self._desk.done(action.lease, outcome)
