"""A desk without a bus, a loop that turns it, and servers that misbehave on the wire."""

import contextlib
import json
import logging
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

from host.clock import now
from ipc.tasks import AcquireJob, SendUpdate
from settings.settings import Settings
from workers.reporter.duty import ReporterDuty

REQUEST = json.dumps(
    {
        "site_name": "SANDBOX",
        "computing_element": "SANDBOX",
        "prod_source_label": "user",
        "disk_space": 1,
        "memory": 2,
        "node": "n",
    }
)
ACQUIRE = AcquireJob(request=REQUEST)
COMMUNICATION = 1318


def update(sequence: int = 1, job_id: int = 1, state: str = "running", **more: object) -> SendUpdate:
    """An update as the supervisor gives it."""
    body = json.dumps({"job_id": job_id, "job_status": state, "attempt_nr": 1, **more})
    return SendUpdate(sequence=sequence, call="pilot/update_job", body=body, final=state in {"finished", "failed"})


class FakeDesk:
    """What a duty sees of the worker's loop; it keeps what it is told."""

    def __init__(self):
        self.callbacks = {}
        self.results = {}
        self.failures = {}
        self.titles = []
        self.log = logging.getLogger("reporter")

    def watch(self, descriptor, callback):
        self.callbacks[descriptor] = callback

    def unwatch(self, descriptor):
        self.callbacks.pop(descriptor, None)

    def done(self, lease, result):
        assert lease not in self.results
        self.results[lease] = result

    def failed(self, lease, code, diag, *, retry=False):
        assert lease not in self.failures
        self.failures[lease] = (int(code), diag, retry)

    def show(self, doing):
        self.titles.append(doing)


class Rig:
    """A duty and the loop that drives it; `longest_turn_s` shows whether the duty ever blocked the loop."""

    def __init__(self, settings: Settings, environ: dict[str, str] | None = None) -> None:
        self.desk = FakeDesk()
        self.duty = ReporterDuty(self.desk, settings, {} if environ is None else environ)
        self.longest_turn_s = 0.0

    def turn(self, wait_s=0.02):
        ready, _, _ = select.select(list(self.desk.callbacks), [], [], wait_s)
        began = time.monotonic()
        for descriptor in ready:
            self.desk.callbacks[descriptor]()
        self.duty.tick(now())
        self.longest_turn_s = max(self.longest_turn_s, time.monotonic() - began)

    def until(self, seen: Callable[[], object], timeout_s: float = 15.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not seen():
            assert time.monotonic() < deadline, (self.desk.results, self.desk.failures)
            self.turn()

    def assign(self, lease, task):
        self.duty.assign(lease, task, now())

    def ask(self, lease, task):
        """Assign and return the result or the (code, text, retry) of the failure."""
        self.assign(lease, task)
        self.until(lambda: lease in self.desk.results or lease in self.desk.failures)
        return self.desk.results.get(lease) or self.desk.failures[lease]

    def stop(self):
        self.duty.stop()


class RawServer:
    """Accepts connections on loopback and lets `script(connection, request, stopped)` answer each request.

    Attributes:
        requests: Whole requests as they came, headers and body.
        connections: How many were accepted.
    """

    def __init__(
        self, script: Callable[[socket.socket, bytes, threading.Event], None], tls: ssl.SSLContext | None = None
    ):
        self._script = script
        self._tls = tls
        self._stopped = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.requests: list[bytes] = []
        self.certificates: list[bytes | None] = []
        self.connections = 0
        scheme = "http" if tls is None else "https"
        self.port = self._listener.getsockname()[1]
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._start(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._stopped.set()
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, target, *arguments):
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        while not self._stopped.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection)

    def _serve(self, connection):
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
                self._open.append(connection)
                self.certificates.append(connection.getpeercert(binary_form=True))
            while (request := _read_request(connection)) is not None:
                self.requests.append(request)
                self._script(connection, request, self._stopped)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()


def _read_request(connection: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, body = data.split(b"\r\n\r\n", 1)
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def answer(body: bytes | str | dict, status: str = "200 OK", *headers: str, length: int | None = None) -> bytes:
    """A whole HTTP answer."""
    raw = json.dumps(body).encode() if isinstance(body, dict) else body.encode() if isinstance(body, str) else body
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(raw) if length is None else length}", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + raw


def says(*parts: bytes) -> Callable[[socket.socket, bytes, threading.Event], None]:
    """A script that sends the same parts to each request and keeps the connection open."""

    def script(connection, _request, _stopped):
        for part in parts:
            connection.sendall(part)

    return script


def settings_for(url: str, tmp_path: Path, **more) -> Settings:
    """Settings of a pilot that talks to `url`; five seconds for a call unless told otherwise."""
    values = {
        "python": "3.11.7",
        "platform": "Linux x86_64",
        "http_timeout_s": 5.0,
        "http_connect_timeout_s": 2.0,
        **more,
    }
    return Settings(queue="SANDBOX", url=url, launch_dir=str(tmp_path), **values)
