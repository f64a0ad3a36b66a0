"""A lane: calls one after the other, carried by a sender thread of their own. What hangs in one holds no other up."""

import logging
import select
from collections.abc import Callable, Mapping

from host.clock import now
from settings.settings import Settings
from workers.reporter.courier import Courier, CourierStuckError
from workers.reporter.exchange import Conversation
from workers.reporter.machine import Action, Carry, Finish, GiveUp, Machine
from workers.worker import Desk

_log = logging.getLogger("reporter")


class Lane:
    """One queue of calls; every method but `wait` returns at once. The thread starts with the first call, or `open`.

    Raises (from any method): CourierStuckError when too many calls hang; the worker then is to be started again. With
    `may_block` the lane is `blocked` instead: what is in it runs into its deadlines.
    """

    def __init__(
        self,
        desk: Desk,
        settings: Settings,
        environ: Mapping[str, str],
        finish: Callable[[Finish], None],
        *,
        may_block: bool = False,
    ) -> None:
        """Take what the thread needs; `finish` is told how each task ended."""
        self.blocked = False
        self._desk = desk
        self._settings = settings
        self._environ = environ
        self._finish = finish
        self._may_block = may_block
        self._machine = Machine()
        self._courier: Courier | None = None

    @property
    def doing(self) -> str:
        """What is under way, "idle" for nothing."""
        return self._machine.doing

    def submit(self, lease: str, conversation: Conversation, mono: float) -> None:
        """Begin a task, or put it behind the one under way."""
        self._perform(self._machine.submit(lease, conversation, mono))

    def cancel(self, lease: str, mono: float) -> None:
        """Forget the work under `lease`, if it is here; the call under way for it is abandoned."""
        self._perform(self._machine.cancel(lease, mono))

    def tick(self, mono: float) -> None:
        """Abandon the call that overran its deadline."""
        self._perform(self._machine.tick(mono))

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way."""
        return self._machine.next_deadline()

    def wait(self, limit_s: float) -> None:
        """Wait for the next answer, at most so long: for a worker that leaves."""
        if self._courier is not None:
            poller = select.poll()
            poller.register(self._courier.descriptor, select.POLLIN)
            if poller.poll(max(1, int(limit_s * 1000))):
                self._collect()

    def open(self) -> Courier:
        """Start the thread if it is not there."""
        if self._courier is None:
            self._courier = Courier(self._settings, self._environ)
            self._desk.watch(self._courier.descriptor, self._collect)
        return self._courier

    def close(self) -> None:
        """Let the thread go; no answer is waited for."""
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
                    if not self.blocked:
                        self.open().carry(action.number, action.request, action.deadline)
                case GiveUp():
                    self._give_up()
                case Finish():
                    self._finish(action)

    def _give_up(self) -> None:
        try:
            self.open().give_up()
        except CourierStuckError as error:
            if not self._may_block:
                raise
            self.blocked = True
            _log.warning("calls hang, no more are made in their lane: %s", error)
