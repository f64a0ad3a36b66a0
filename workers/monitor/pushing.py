"""Sends batches of lines to a Loki or logstash server, in a thread of its own: no server is waited for.

One batch is under way at a time. TLS is always verified, no redirect is followed, whatever fails is told and forgotten.
"""

import base64
import http.client
import json
import logging
import ssl
import threading
from collections.abc import Sequence
from queue import SimpleQueue
from urllib.parse import urlsplit

from host.clock import utc_text
from ipc.schema import LogStream

_TIMEOUT_S = 10.0
_log = logging.getLogger("monitor")


def body_of(stream: LogStream, lines: Sequence[str], wall: float) -> bytes:
    """Return the request's body for lines that were read at `wall` (epoch seconds).

    Loki gets one stream with the labels, and lines in order by a nanosecond each; logstash gets a list of records.
    """
    labels = {label.name: label.value for label in stream.labels}
    if stream.kind == "loki":
        chosen = {name: labels[name] for name in stream.stream_labels if name in labels} or labels
        first_ns = int(wall * 1e9)
        values = [[str(first_ns + number), line] for number, line in enumerate(lines)]
        return json.dumps({"streams": [{"stream": chosen, "values": values}]}).encode()
    stamp = utc_text(wall)
    return json.dumps([{**labels, "PilotTimeStamp": stamp, "message": line} for line in lines]).encode()


def push(stream: LogStream, body: bytes, ca_path: str = "") -> str:
    """Post a batch; return "" when the server took it, else why not."""
    parts = urlsplit(stream.url)
    headers = {"Content-Type": "application/json"}
    if stream.user:
        pair = base64.b64encode(f"{stream.user}:{stream.password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    connection: http.client.HTTPConnection | None = None
    try:
        if parts.scheme == "https":
            context = ssl.create_default_context(capath=ca_path or None)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=_TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=_TIMEOUT_S)
        connection.request("POST", parts.path or "/", body, headers)
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return f"{parts.hostname}: {type(error).__name__}"
    finally:
        if connection is not None:
            connection.close()
    return "" if 200 <= status < 300 else f"{parts.hostname}: HTTP {status}"


class Pusher:
    """One thread that posts; `send` while it is not `busy`, then `outcome` once."""

    def __init__(self, stream: LogStream, ca_path: str) -> None:
        self._stream = stream
        self._ca_path = ca_path
        self._batches: SimpleQueue[bytes | None] = SimpleQueue()
        self._outcomes: SimpleQueue[str] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self.busy = False

    def send(self, lines: Sequence[str], wall: float) -> None:
        """Have a batch posted."""
        self.busy = True
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="log-pusher", daemon=True)
            self._thread.start()
        self._batches.put(body_of(self._stream, lines, wall))

    def outcome(self) -> str | None:
        """Return how the batch under way ended ("" for well), None while that is not known."""
        if not self.busy or self._outcomes.empty():
            return None
        self.busy = False
        return self._outcomes.get_nowait()

    def close(self) -> None:
        """Let the thread end; one that waits for a server is left behind."""
        self._batches.put(None)

    def _work(self) -> None:
        while (body := self._batches.get()) is not None:
            self._outcomes.put(push(self._stream, body, self._ca_path))
