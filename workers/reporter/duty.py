"""What the reporter does in the worker's loop: tasks into conversations, one call after the other, outcomes back."""

import os
from collections.abc import Mapping

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from host.clock import Now, now
from ipc.schema import AcquireJob, FetchQueue, JobAcquired, Progress, SendUpdate, Task
from settings.settings import Settings
from slot.ids import note_job
from workers.reporter.courier import Courier
from workers.reporter.exchange import Conversation, Failure
from workers.reporter.handover import BEAT_LEASE, WorkerBeat
from workers.reporter.keeping import keep_job, kept_job
from workers.reporter.machine import Action, Carry, Finish, GiveUp, Machine
from workers.reporter.places import sink_of, source_of
from workers.reporter.queue_source import QueueFetch
from workers.worker import Desk


class ReporterDuty:
    """The Duty of the role "reporter": FetchQueue, AcquireJob, SendUpdate.

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
        self._source = source_of(settings)
        self._sink = sink_of(settings)
        self._machine = Machine()
        self._beat = WorkerBeat(settings, now().mono)
        self._asked: dict[str, AcquireJob] = {}
        self._courier = Courier(settings, environ)
        desk.watch(self._courier.descriptor, self._collect)

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin `task`, or put it behind the call under way."""
        if isinstance(task, AcquireJob):
            kept = kept_job(task)
            if kept is not None:
                note_job(self._settings, kept.definition)
                self._desk.done(lease, kept)
                return
            self._asked[lease] = task
        conversation = self._conversation(task)
        if conversation is None:
            kind = type(task).__name__
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"the reporter has no task {kind}")
            return
        self._perform(self._machine.submit(lease, conversation, moment.mono))

    def cancel(self, lease: str, moment: Now) -> None:
        """Forget the work under `lease`; the call under way for it is abandoned."""
        self._asked.pop(lease, None)
        self._perform(self._machine.cancel(lease, moment.mono))

    def tick(self, moment: Now) -> None:
        """Abandon the call that overran its deadline; renew Harvester's sign of life."""
        beat = self._beat.due(moment.mono)
        if beat is not None:
            self._perform(self._machine.submit(BEAT_LEASE, beat, moment.mono))
        self._perform(self._machine.tick(moment.mono))

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way, or the next sign of life for Harvester."""
        times = (self._machine.next_deadline(), self._beat.next_deadline())
        return min((at for at in times if at is not None), default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Return nothing: calls are too short to be shown."""
        return ()

    def stop(self) -> None:
        """Let the courier go; a call under way is not waited for."""
        self._desk.unwatch(self._courier.descriptor)
        self._courier.close()

    def _conversation(self, task: Task) -> Conversation | None:
        if isinstance(task, SendUpdate):
            return self._sink.deliver(task)
        if isinstance(task, AcquireJob):
            return self._source.acquire(task)
        if isinstance(task, FetchQueue):
            return QueueFetch(task, self._settings)
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
        self._desk.show(self._machine.doing)

    def _finish(self, action: Finish) -> None:
        outcome = action.outcome
        if action.lease == BEAT_LEASE:
            return
        asked = self._asked.pop(action.lease, None)
        if asked is not None and isinstance(outcome, JobAcquired):
            keep_job(asked, outcome)
            note_job(self._settings, outcome.definition)
        if isinstance(outcome, Failure):
            self._desk.failed(action.lease, outcome.code, diagnostics(outcome.code, outcome.text), retry=outcome.retry)
        else:
            self._desk.done(action.lease, outcome)
