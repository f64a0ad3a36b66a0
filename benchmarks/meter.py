"""Counts what goes over the wire between a pilot and its server: a relay of bytes on loopback, headers included."""

import selectors
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

_CHUNK = 65536


class Meter:
    """A relay in front of a server.

    Attributes:
        url: where pilots find the server through it.
        connections: how many were made.
        sent_bytes: what pilots sent.
        received_bytes: what they got.
    """

    def __init__(self, server_url: str) -> None:
        """Listen on a free port of loopback."""
        parts = urlsplit(server_url)
        self._server = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{parts.scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self.reset()

    def __enter__(self) -> "Meter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def reset(self) -> None:
        """Count anew."""
        self.connections = self.sent_bytes = self.received_bytes = 0

    def _work(self) -> None:
        while not self._ended.is_set():
            for key, _ in self._selector.select(0.05):
                if key.data is None:
                    self._accept()
                else:
                    self._pass_on(*key.data)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.create_connection(self._server)
        self.connections += 1
        self._selector.register(near, selectors.EVENT_READ, (near, far, True))
        self._selector.register(far, selectors.EVENT_READ, (far, near, False))

    def _pass_on(self, source: socket.socket, target: socket.socket, from_pilot: bool) -> None:
        try:
            data = source.recv(_CHUNK)
            target.sendall(data)
        except OSError:
            data = b""
        if from_pilot:
            self.sent_bytes += len(data)
        else:
            self.received_bytes += len(data)
        if not data:
            for end in (source, target):
                if end.fileno() >= 0:
                    self._selector.unregister(end)
                    end.close()
