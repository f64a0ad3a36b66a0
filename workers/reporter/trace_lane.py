"""The lane of the traces: a thread and a queue of their own, so that a bad trace server never holds an update up."""

import logging
from collections.abc import Mapping

from host.clock import Now, now
from ipc.schema import SendTraces, TracesSent
from settings.settings import Settings
from workers.reporter.courier import Courier, CourierStuckError
from workers.reporter.exchange import Failure
from workers.reporter.machine import Action, Carry, Finish, GiveUp, Machine
from workers.reporter.trace_delivery import TraceDelivery
from workers.worker import Desk

_log = logging.getLogger("reporter")


class TraceLane:
    """Carries SendTraces out. Its thread is started with the first of them."""

    def __init__(self, desk: Desk, settings: Settings, environ: Mapping[str, str]) -> None:
        self._desk = desk
        self._settings = settings
        self._environ = environ
        self._machine = Machine()
        self._courier: Courier | None = None
        self._stuck = False
        self._leases: set[str] = set()

    def assign(self, lease: str, task: SendTraces, moment: Now) -> None:
        """Put the traces behind those under way; once too many calls hang, none is sent any more."""
        if self._stuck:
            self._desk.done(lease, TracesSent(sent=0, dropped=len(task.attempts), curl_code=28, note="calls hang"))
            return
        if self._courier is None:
            self._courier = Courier(self._settings, self._environ)
            self._desk.watch(self._courier.descriptor, self._collect)
        self._leases.add(lease)
        self._perform(self._machine.submit(lease, TraceDelivery(task, self._settings), moment.mono))

    def cancel(self, lease: str, moment: Now) -> None:
        """Forget the traces under `lease`."""
        if lease in self._leases:
            self._leases.discard(lease)
            self._perform(self._machine.cancel(lease, moment.mono))

    def tick(self, moment: Now) -> None:
        """Give up the call that overran its time."""
        self._perform(self._machine.tick(moment.mono))

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way."""
        return self._machine.next_deadline()

    def stop(self) -> None:
        """Leave; nothing is waited for."""
        if self._courier is not None:
            self._desk.unwatch(self._courier.descriptor)
            self._courier.close()
            self._courier = None

    def _collect(self) -> None:
        for number, reply in self._courier.collect() if self._courier is not None else ():
            self._perform(self._machine.heard(number, reply, now().mono))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Carry():
                    self._carry(action)
                case GiveUp():
                    self._give_up()
                case Finish():
                    self._finish(action)

    def _carry(self, action: Carry) -> None:
        if self._courier is not None and not self._stuck:
            self._courier.carry(action.number, action.request, action.deadline)

    def _give_up(self) -> None:
        try:
            if self._courier is not None:
                self._courier.give_up()
        except CourierStuckError as error:
            # Not the worker's trouble, as it would be with updates: only traces are done with.
            self._stuck = True
            _log.warning("no more traces are sent: %s", error)

    def _finish(self, action: Finish) -> None:
        self._leases.discard(action.lease)
        outcome = action.outcome
        if isinstance(outcome, Failure):
            self._desk.failed(action.lease, outcome.code, outcome.text)
        else:
            self._desk.done(action.lease, outcome)
