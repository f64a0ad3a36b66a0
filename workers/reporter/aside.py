"""Calls on which no job depends, in a lane of their own: one that hangs holds no update of a job up.

They are carried one after the other, as the others are, by a second sender thread that starts with the first of them.
"""

from collections.abc import Callable, Mapping

from host.clock import now
from ipc.schema import CheckIdentity, DescribeNode, SendUpdate, Task
from settings.settings import Settings
from workers.reporter.courier import Courier
from workers.reporter.exchange import Conversation
from workers.reporter.machine import Action, Carry, Finish, GiveUp, Machine
from workers.worker import Desk

_WORKER_STATUS = "update_worker_status"


def is_aside(task: Task) -> bool:
    """Tell whether no job waits for a task: the node's maps, the look at the identity, the worker's own word."""
    if isinstance(task, SendUpdate):
        return task.call.rpartition("/")[2] == _WORKER_STATUS
    return isinstance(task, DescribeNode | CheckIdentity)


class Aside:
    """The second lane; every method returns at once.

    Raises (from any method): CourierStuckError as the first lane does.
    """

    def __init__(
        self, desk: Desk, settings: Settings, environ: Mapping[str, str], finish: Callable[[Finish], None]
    ) -> None:
        """Take what the thread needs; `finish` is told how each task ended."""
        self._desk = desk
        self._settings = settings
        self._environ = environ
        self._finish = finish
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
        """Forget the work under `lease`, if it is here."""
        self._perform(self._machine.cancel(lease, mono))

    def tick(self, mono: float) -> None:
        """Abandon the call that overran its deadline."""
        self._perform(self._machine.tick(mono))

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way."""
        return self._machine.next_deadline()

    def close(self) -> None:
        """Let the thread go; no answer is waited for."""
        if self._courier is not None:
            self._desk.unwatch(self._courier.descriptor)
            self._courier.close()

    def _open(self) -> Courier:
        if self._courier is None:
            self._courier = Courier(self._settings, self._environ)
            self._desk.watch(self._courier.descriptor, self._collect)
        return self._courier

    def _collect(self) -> None:
        for number, reply in self._open().collect():
            self._perform(self._machine.heard(number, reply, now().mono))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Carry():
                    self._open().carry(action.number, action.request, action.deadline)
                case GiveUp():
                    self._open().give_up()
                case Finish():
                    self._finish(action)
