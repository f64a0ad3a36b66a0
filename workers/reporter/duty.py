"""What the reporter does in the worker's loop: tasks into conversations, one call after the other, outcomes back."""

import os
import select
from collections.abc import Callable, Mapping
from typing import Any

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from host.clock import Now, now
from ipc.schema import (
    AcquireJob,
    AcquireRanges,
    AskJobStatus,
    CheckIdentity,
    DescribeNode,
    FetchProxy,
    FetchQueue,
    JobAcquired,
    Progress,
    ReportRanges,
    SendTraces,
    SendUpdate,
    Task,
)
from settings.settings import Settings
from slot.ids import note_job
from workers.reporter.courier import Courier
from workers.reporter.exchange import Conversation, Failure
from workers.reporter.handover import BEAT_LEASE, WorkerBeat
from workers.reporter.identity_check import IdentityCheck
from workers.reporter.job_status import status_question
from workers.reporter.keeping import Turnstile, keep_job, kept_job
from workers.reporter.machine import Action, Carry, Finish, GiveUp, Machine
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
    """The Duty of the role "reporter": all its tasks (core/tasks.py), one call after the other.

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
        self._machine = Machine()
        self._beat = WorkerBeat(settings, now().mono)
        self._asked: dict[str, AcquireJob | AcquireRanges] = {}
        self._waiting: dict[str, AcquireJob | AcquireRanges] = {}
        self._turnstile = Turnstile()
        self._courier = Courier(settings, environ)
        desk.watch(self._courier.descriptor, self._collect)
        self._traces = TraceLane(desk, settings, environ)

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin `task`, or put it behind the call under way."""
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
        self._perform(self._machine.submit(lease, make(task), moment.mono))

    def cancel(self, lease: str, moment: Now) -> None:
        """Forget the work under `lease`; the call under way for it is abandoned."""
        self._waiting.pop(lease, None)
        self._asked.pop(lease, None)
        self._turnstile.leave(lease)
        self._traces.cancel(lease, moment)
        self._perform(self._machine.cancel(lease, moment.mono))

    def tick(self, moment: Now) -> None:
        """Abandon the call that overran its deadline; ask for a job as soon as nobody else does; beat for Harvester."""
        beat = self._beat.due(moment.mono)
        if beat is not None:
            self._perform(self._machine.submit(BEAT_LEASE, beat, moment.mono))
        for lease, task in list(self._waiting.items()):
            self.assign(lease, task, moment)
        self._perform(self._machine.tick(moment.mono))
        self._traces.tick(moment)

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way, of a sign of life, or when to look for the right to ask again."""
        look_at = now().mono + _LOOK_AGAIN_S if self._waiting else None
        times = (self._machine.next_deadline(), self._beat.next_deadline(), self._traces.next_deadline(), look_at)
        return min((at for at in times if at is not None), default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Return nothing: calls are too short to be shown."""
        return ()

    def stop(self) -> None:
        """Let the courier go; only the answer to a request for a job or for ranges is waited for, and kept."""
        deadline = now().mono + _LAST_ANSWER_S
        while self._asked and now().mono < deadline:
            left_ms = max(1, int((deadline - now().mono) * 1000))
            poller = select.poll()
            poller.register(self._courier.descriptor, select.POLLIN)
            if poller.poll(left_ms):
                self._collect()
        self._traces.stop()
        self._desk.unwatch(self._courier.descriptor)
        self._courier.close()

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

    def _collect(self) -> None:
        for number, reply in self._courier.collect():
            self._perform(self._machine.heard(number, reply, now().mono))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Carry():
                    self._courier.carry(action.number, action.request, action.deadline)
                case GiveUp():
                    self._courier.give_up()
                case Finish():
                    self._finish(action)
        self._desk.show(self._machine.doing)

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
