"""One sender thread, so that the worker's loop never waits: a request in, a reply out, an eventfd for the loop.

A call that is given up keeps its thread (nothing can stop a thread that hangs in a library or the kernel); a new thread
with a session of its own takes over, and what the old one brings later is dropped by its number.
"""

import os
import threading
from collections.abc import Callable, Mapping
from queue import SimpleQueue
from typing import NamedTuple

from settings.settings import Settings
from workers.reporter.exchange import Reply, Request

MAX_ABANDONED = 8


class CourierStuckError(RuntimeError):
    """So many given-up calls hang that the process is better started again."""


class _Errand(NamedTuple):
    number: int
    request: Request
    deadline: float


class _Bell:
    """An eventfd that late threads can ring safely after it was closed."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._lock = threading.Lock()
        self._open = True

    def ring(self) -> None:
        with self._lock:
            if self._open:
                os.eventfd_write(self.descriptor, 1)

    def close(self) -> None:
        with self._lock:
            if self._open:
                self._open = False
                os.close(self.descriptor)


class Courier:
    """The loop's view of the sender thread; every method returns at once.

    Attributes:
        descriptor: Readable when `collect` has something.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        """Start the thread, which imports the HTTP library while the loop says its first words."""
        self._settings = settings
        self._environ = environ
        self._bell = _Bell()
        self.descriptor = self._bell.descriptor
        self._replies: SimpleQueue[tuple[int, Reply]] = SimpleQueue()
        self._abandoned: list[threading.Thread] = []
        self._start()

    def carry(self, number: int, request: Request, deadline: float) -> None:
        """Have the thread perform a request."""
        self._errands.put(_Errand(number, request, deadline))

    def collect(self) -> list[tuple[int, Reply]]:
        """Return the replies that are here, with the numbers of their calls, and silence the descriptor."""
        try:
            os.eventfd_read(self.descriptor)
        except BlockingIOError:
            return []
        replies = []
        while not self._replies.empty():
            replies.append(self._replies.get_nowait())
        return replies

    def give_up(self) -> None:
        """Abandon the call under way; the next one gets a new thread and a new connection.

        Raises:
            CourierStuckError: eight abandoned threads hang.
        """
        self._errands.put(None)  # it ends when it comes back
        self._abandoned = [thread for thread in (*self._abandoned, self._thread) if thread.is_alive()]
        if len(self._abandoned) >= MAX_ABANDONED:
            raise CourierStuckError(f"{len(self._abandoned)} calls hang; the reporter starts again")
        self._start()

    def close(self) -> None:
        """Let the thread end; one that hangs is left behind (it is a daemon)."""
        self._errands.put(None)
        self._bell.close()

    def _start(self) -> None:
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        arguments = (self._settings, self._environ, self._errands, self._reply)
        self._thread = threading.Thread(target=_work, args=arguments, name="courier", daemon=True)
        self._thread.start()

    def _reply(self, number: int, reply: Reply) -> None:
        self._replies.put((number, reply))
        self._bell.ring()


def _work(
    settings: Settings,
    environ: Mapping[str, str],
    errands: "SimpleQueue[_Errand | None]",
    answer: Callable[[int, Reply], None],
) -> None:
    """Carry errands until told to end."""
    from workers.reporter.carrier import Carrier  # noqa: PLC0415 - 60 ms of imports, off the loop's path

    carrier = Carrier(settings, environ)
    while (errand := errands.get()) is not None:
        answer(errand.number, carrier.perform(errand.request, errand.deadline))
    carrier.close()
