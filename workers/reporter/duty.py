"""What the reporter does in the worker's loop: tasks into conversations, one call after the other, outcomes back."""

import os
import select
from collections.abc import Mapping

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from host.clock import Now, now
from ipc.schema import AcquireJob, CheckIdentity, DescribeNode, FetchQueue, JobAcquired, Progress, SendUpdate, Task
from settings.settings import Settings
from slot.ids import note_job
from workers.reporter.aside import Aside, is_aside
from workers.reporter.courier import Courier
from workers.reporter.exchange import Conversation, Failure
from workers.reporter.handover import BEAT_LEASE, WorkerBeat
from workers.reporter.identity_check import IdentityCheck
from workers.reporter.keeping import Turnstile, keep_job, kept_job
from workers.reporter.machine import Action, Carry, Finish, GiveUp, Machine
from workers.reporter.node_maps import NodeDescription
from workers.reporter.places import ends_of
from workers.reporter.queue_source import QueueFetch
from workers.worker import Desk

#: How long a reporter whose supervisor died waits for the answer to a job request.
_LAST_ANSWER_S = 10.0
_LOOK_AGAIN_S = 0.05


class ReporterDuty:
    """The Duty of the role "reporter": FetchQueue, AcquireJob, SendUpdate, CheckIdentity.

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
        self._machine = Machine()
        self._beat = WorkerBeat(settings, now().mono)
        self._asked: dict[str, AcquireJob] = {}
        self._waiting: dict[str, AcquireJob] = {}
        self._turnstile = Turnstile()
        self._courier = Courier(settings, environ)
        self._aside = Aside(desk, settings, environ, self._finish)
        desk.watch(self._courier.descriptor, self._collect)

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin `task`, or put it behind the call under way."""
        if isinstance(task, AcquireJob) and not self._may_ask(lease, task):
            return
        conversation = self._conversation(task)
        if conversation is None:
            kind = type(task).__name__
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"the reporter has no task {kind}")
            return
        if is_aside(task):
            self._aside.submit(lease, conversation, moment.mono)
            self._show()
            return
        self._perform(self._machine.submit(lease, conversation, moment.mono))

    def cancel(self, lease: str, moment: Now) -> None:
        """Forget the work under `lease`; the call under way for it is abandoned."""
        self._waiting.pop(lease, None)
        self._asked.pop(lease, None)
        self._turnstile.leave(lease)
        self._aside.cancel(lease, moment.mono)
        self._perform(self._machine.cancel(lease, moment.mono))

    def tick(self, moment: Now) -> None:
        """Abandon the call that overran its deadline; ask for a job as soon as nobody else does; beat for Harvester."""
        beat = self._beat.due(moment.mono)
        if beat is not None:
            self._perform(self._machine.submit(BEAT_LEASE, beat, moment.mono))
        for lease, task in list(self._waiting.items()):
            self.assign(lease, task, moment)
        self._aside.tick(moment.mono)
        self._perform(self._machine.tick(moment.mono))

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way, of a sign of life, or when to look for the right to ask again."""
        look_at = now().mono + _LOOK_AGAIN_S if self._waiting else None
        calls = (self._machine.next_deadline(), self._aside.next_deadline())
        times = (*calls, self._beat.next_deadline(), look_at)
        return min((at for at in times if at is not None), default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Return nothing: calls are too short to be shown."""
        return ()

    def stop(self) -> None:
        """Let the courier go; only the answer to a job request under way is waited for, and kept."""
        deadline = now().mono + _LAST_ANSWER_S
        while self._asked and now().mono < deadline:
            left_ms = max(1, int((deadline - now().mono) * 1000))
            poller = select.poll()
            poller.register(self._courier.descriptor, select.POLLIN)
            if poller.poll(left_ms):
                self._collect()
        self._desk.unwatch(self._courier.descriptor)
        self._courier.close()
        self._aside.close()

    def _may_ask(self, lease: str, task: AcquireJob) -> bool:
        """Tell whether to ask the server: not while another reporter does, nor for a job that is here already."""
        if not self._turnstile.enter(lease, task):
            self._waiting[lease] = task
            return False
        self._waiting.pop(lease, None)
        kept = kept_job(task)
        if kept is not None:
            note_job(self._settings, kept.definition)
            self._turnstile.leave(lease)
            self._desk.done(lease, kept)
            return False
        self._asked[lease] = task
        return True

    def _conversation(self, task: Task) -> Conversation | None:
        if isinstance(task, SendUpdate):
            return self._sink.deliver(task)
        if isinstance(task, AcquireJob):
            return self._source.acquire(task)
        if isinstance(task, FetchQueue):
            return QueueFetch(task, self._settings)
        if isinstance(task, DescribeNode):
            return NodeDescription(task, self._settings)
        if isinstance(task, CheckIdentity):
            return IdentityCheck(task, self._settings, self._environ)
        return None

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
        self._show()

    def _show(self) -> None:
        """Show the call under way, one for a job before another."""
        doing = self._machine.doing
        self._desk.show(self._aside.doing if doing == "idle" else doing)

    def _finish(self, action: Finish) -> None:
        outcome = action.outcome
        if action.lease == BEAT_LEASE:
            return
        asked = self._asked.pop(action.lease, None)
        if asked is not None and isinstance(outcome, JobAcquired):
            keep_job(asked, outcome)
            note_job(self._settings, outcome.definition)
        self._turnstile.leave(action.lease)
        if isinstance(outcome, Failure):
            self._desk.failed(action.lease, outcome.code, diagnostics(outcome.code, outcome.text), retry=outcome.retry)
        else:
            self._desk.done(action.lease, outcome)
