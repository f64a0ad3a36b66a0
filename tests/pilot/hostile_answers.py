"""A relay before a server: it passes requests on, and answers those of a call in a way of its own when told to."""

import http.client
import threading
import time
import zlib
from collections.abc import Callable
from urllib.parse import urlsplit

from reporter_rig import RawServer, answer

Script = Callable[..., None]
MIB = 1024 * 1024


class HostileServer:
    """Stands before a sandbox; use it as a context manager.

    Attributes:
        url: Where a pilot finds it.
        strikes: (call, name) of each answer of its own.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url).netloc
        self._raw = RawServer(self._answer)
        self._armed: dict[str, tuple[str, Script]] = {}
        self._lock = threading.Lock()
        self.url = self._raw.url
        self.strikes: list[tuple[str, str]] = []

    def __enter__(self) -> "HostileServer":
        self._raw.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._raw.__exit__(*error)

    def arm(self, call: str, name: str, script: Script) -> None:
        """Let the next request of a call be answered by `script(connection, request, stopped)`, and not be passed on.

        A request may be narrowed to one that ends a job: "final".
        """
        with self._lock:
            self._armed[call] = (name, script)

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Pass a request on; return the status and the body of the answer."""
        head, _, body = request.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        connection = http.client.HTTPConnection(self._target, timeout=10)
        try:
            connection.request(method, path, body or None, headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        finally:
            connection.close()

    def _answer(self, connection, request, stopped) -> None:
        call = _call_of(request)
        with self._lock:
            armed = self._armed.pop(call, None)
        if armed is None:
            status, body = self.ask(request)
            connection.sendall(answer(body, f"{status} X", "Content-Type: application/json"))
            return
        self.strikes.append((call, armed[0]))
        armed[1](connection, request, stopped)


def _call_of(request: bytes) -> str:
    """Return the call, and for an update "first" or "final" by the state in it."""
    head, _, body = request.partition(b"\r\n\r\n")
    call = head.split(b" ", 2)[1].decode().partition("?")[0].rpartition("/")[2]
    if call not in {"update_job", "updateJob"}:
        return call
    text = zlib.decompress(body, 31) if body[:2] == b"\x1f\x8b" else body
    return "final" if b'"finished"' in text or b'"failed"' in text else "update"


def cut(connection, _request, _stopped) -> None:
    """Announce more than comes."""
    connection.sendall(answer(b'{"success": true', length=1000))
    connection.close()


def endless(connection, _request, stopped) -> None:
    """Send a body without an end."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not stopped.is_set():
        connection.sendall(b" " * MIB)


def drip(connection, _request, stopped) -> None:
    """Send a byte in a while, for longer than any pilot of the tests waits."""
    ends_at = time.monotonic() + 5
    for byte in answer(b'{"success": true, "message": "", "data": {"StatusCode": 0}}'):
        if stopped.wait(0.2) or time.monotonic() > ends_at:
            return
        connection.sendall(bytes([byte]))


def bomb() -> bytes:
    """Return 200 MiB of blanks in few bytes of gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(b" " * MIB) for _ in range(200)]) + packer.flush()
