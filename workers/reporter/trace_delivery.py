"""Sends traces one after the other, in the lane that is theirs alone; what cannot be sent soon is dropped (P85).

A server that gives no answer is asked once more and then left in peace: all that is left of the task is dropped. A
trace that is refused is dropped alone.
"""

import json
import os
import re
import socket
import uuid
from pathlib import Path

from ipc.results import TracesSent
from ipc.tasks import SendTraces
from settings.settings import Settings
from workers.reporter.dialect_v1 import user_agent
from workers.reporter.exchange import Answer, HttpRequest, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.quoting import quote
from workers.reporter.traces import Sender, compose

_ATTEMPTS = 2
_OK, _REDIRECT, _SERVER_ERROR = 200, 300, 500
_UNKNOWN = 1
_HTTP_ERROR = 22
#: What curl would have said to the text of a lost call; the first that fits.
_CURL_CODES = (
    (re.compile(r"NameResolution|gaierror|getaddrinfo|resolve"), 6),
    (re.compile(r"refused|NewConnection|unreachable", re.IGNORECASE), 7),
    (re.compile(r"time(d )?.?out|within|too slowly", re.IGNORECASE), 28),
    (re.compile(r"certificate verify failed|CERTIFICATE_VERIFY", re.IGNORECASE), 60),
    (re.compile(r"SSL|TLS"), 35),
    (re.compile(r"RemoteDisconnected|without response|empty", re.IGNORECASE), 52),
    (re.compile(r"reset|broken|aborted", re.IGNORECASE), 56),
)


class TraceDelivery:
    """One SendTraces as a conversation: who we are first, then a request for each trace."""

    what = "traces"
    limit_s = 10.0

    def __init__(self, task: SendTraces, settings: Settings) -> None:
        self._task = task
        self._headers = (
            ("User-Agent", user_agent(settings)),
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        )
        self._left: list[str] = []
        self._tries = 0
        self._sent = self._dropped = self._curl_code = 0
        self._note = ""

    def begin(self) -> Request:
        """Return the look-up of this node's name: it may hang like any server."""
        return LocalCall(run=lambda: find_sender(self._task.basis.node))

    def heard(self, reply: Reply) -> Request | Outcome:
        """Compose the traces, send the next one, or end."""
        if not self._tries and not self._left:
            made = [compose(self._task.basis, each, _sender(reply)) for each in self._task.attempts]
            self._left = [trace for trace in made if trace is not None]
            return self._next()
        if isinstance(reply, Answer) and reply.status < _SERVER_ERROR:
            self._answered(reply)
            return self._next()
        self._curl_code = curl_code(reply)
        self._note = reply.text if isinstance(reply, Lost) else f"HTTP status {reply.status}"
        if self._tries >= _ATTEMPTS:
            self._dropped += len(self._left)
            self._left = []
            return self._next()
        return self._request()

    def _answered(self, reply: Answer) -> None:
        trace = self._left.pop(0)
        if _OK <= reply.status < _REDIRECT:
            self._sent += 1
            return
        self._dropped, self._curl_code = self._dropped + 1, _HTTP_ERROR
        words = quote(reply.body.decode("utf-8", "replace"))
        self._note = f"{json.loads(trace)['filename']}: HTTP status {reply.status}: {words}"

    def _next(self) -> Request | Outcome:
        self._tries = 0
        if self._left:
            return self._request()
        if not self._dropped:
            return TracesSent(sent=self._sent)
        if self._task.basis.error_file:
            write_code(Path(self._task.basis.error_file), self._curl_code)
        return TracesSent(sent=self._sent, dropped=self._dropped, curl_code=self._curl_code, note=self._note)

    def _request(self) -> Request:
        self._tries += 1
        url = self._task.basis.url
        return HttpRequest(method="POST", url=url, headers=self._headers, body=self._left[0].encode())


def curl_code(reply: Reply) -> int:
    """Return the code with which curl would have ended."""
    if isinstance(reply, Answer):
        return _HTTP_ERROR
    return next((code for pattern, code in _CURL_CODES if pattern.search(reply.text)), _UNKNOWN)


def find_sender(node: str) -> bytes:
    """Return this node's full name and address as JSON; "unknown" and 0.0.0.0 where there is no telling."""
    found = {"uuid": uuid.uuid1().hex}
    try:
        found["ip"] = socket.gethostbyname(node)
        found["hostname"] = socket.gethostbyaddr(node)[0]
    except (OSError, UnicodeError):
        found.setdefault("hostname", node or "unknown")
    return json.dumps(found).encode()


def _sender(reply: Reply) -> Sender:
    if isinstance(reply, Answer):
        return Sender(**json.loads(reply.body))
    return Sender(uuid=uuid.uuid1().hex)


def write_code(path: Path, code: int) -> None:
    """Leave curl's code in the job directory, if that is still there; a link in its place is not followed."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError:
        return
    try:
        os.write(descriptor, str(code).encode())
    finally:
        os.close(descriptor)
