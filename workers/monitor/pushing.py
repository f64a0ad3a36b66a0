"""Brings batches of lines to a log server in a thread of its own: no server is waited for, one batch is under way."""

import contextlib
import socket
import threading
from collections.abc import Sequence
from queue import SimpleQueue

from ipc.parts import LogStream
from workers.monitor.log_servers import push_to


class Pusher:
    """One thread that pushes; `send` while it is not `busy`, then `outcome` once.

    What is under way is one batch, so a server that takes nothing costs no more memory than that.
    """

    def __init__(self, stream: LogStream, ca_path: str) -> None:
        """Take the server and whom to believe (a directory or file, "" for the usual ones)."""
        self._stream = stream
        self._ca_path = ca_path
        self._batches: SimpleQueue[tuple[tuple[str, ...], float] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[str] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self.busy = False

    def send(self, lines: Sequence[str], wall: float) -> None:
        """Have a batch pushed."""
        self.busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log-pusher", daemon=True)
            self._thread.start()
        self._batches.put((tuple(lines), wall))

    def outcome(self) -> str | None:
        """Return how the batch under way ended ("" for well), None while that is not known."""
        if not self.busy or self._outcomes.empty():
            return None
        self.busy = False
        return self._outcomes.get_nowait()

    def give_up(self) -> None:
        """End the talk under way: a server that drips its answer would keep the thread for ever."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let the thread end; one that waits for a server is left behind."""
        self._batches.put(None)
        self.give_up()

    def _opened(self, connection: socket.socket) -> None:
        self._socket = connection

    def _work(self) -> None:
        push = push_to(self._stream)
        while (batch := self._batches.get()) is not None:
            self._outcomes.put(push(self._stream, *batch, self._ca_path, self._opened))
            self._socket = None
