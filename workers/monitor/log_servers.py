"""The log servers: one way each to bring a batch of lines there (behaviour 24). They block; a thread calls them.

TLS is always verified, no redirect is followed, nothing is kept from one batch to the next. Whatever fails is returned
as a text that names the host and no secret.
"""

import base64
import contextlib
import http.client
import socket
import ssl
from collections.abc import Callable, Sequence
from importlib import import_module
from urllib.parse import SplitResult, urlsplit

from host.authorities import trusting_context
from ipc.parts import LogStream
from workers.monitor.log_bodies import forward_body, http_body, records_of

_TIMEOUT_S = 10.0
_END_S = 2.0
_GOOGLE = "google.cloud.logging"

#: (stream, lines, wall, authorities, told of the open socket) -> "" when the server took them, else why not.
Push = Callable[[LogStream, Sequence[str], float, str, Callable[[socket.socket], None]], str]


def push_to(stream: LogStream) -> Push:
    """Return the way to a stream's server."""
    if stream.kind == "google-cloud-logging":
        return push_to_google
    return push_forward if urlsplit(stream.url).scheme in ("tcp", "tls") else push_http


def push_http(
    stream: LogStream, lines: Sequence[str], wall: float, ca_path: str, opened: Callable[[socket.socket], None]
) -> str:
    """Post a batch to a Loki, logstash or fluentd server; fluentd finds the tag in the path."""
    parts = urlsplit(stream.url)
    path = parts.path or (f"/{stream.name}" if stream.kind == "fluent" else "/")
    where = f"{path}?{parts.query}" if parts.query else path
    headers = {"Content-Type": "application/json"}
    if stream.user:
        pair = base64.b64encode(f"{stream.user}:{stream.password}".encode()).decode()
        headers["Authorization"] = f"Basic {pair}"
    connection: http.client.HTTPConnection | None = None
    try:
        host = parts.hostname or ""
        if parts.scheme == "https":
            context = trusting_context(ca_path)
            connection = http.client.HTTPSConnection(host, parts.port, timeout=_TIMEOUT_S, context=context)
        else:
            connection = http.client.HTTPConnection(host, parts.port, timeout=_TIMEOUT_S)
        connection.connect()
        opened(connection.sock)
        connection.request("POST", where, http_body(stream, lines, wall), headers)
        status = connection.getresponse().status
    except (OSError, ValueError, http.client.HTTPException) as error:
        return _trouble(parts, error)
    finally:
        if connection is not None:
            connection.close()
    return "" if 200 <= status < 300 else f"{parts.hostname}: HTTP {status}"


def push_forward(
    stream: LogStream, lines: Sequence[str], wall: float, ca_path: str, opened: Callable[[socket.socket], None]
) -> str:
    """Write a batch to a server of the forward protocol, which answers nothing: without an error it was taken."""
    parts = urlsplit(stream.url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=_TIMEOUT_S) as plain:
            opened(plain)
            if parts.scheme == "tls":
                with trusting_context(ca_path).wrap_socket(plain, server_hostname=parts.hostname) as secured:
                    opened(secured)
                    secured.sendall(forward_body(stream, lines, wall))
                    secured.settimeout(_END_S)
                    with contextlib.suppress(OSError):  # many end without a word
                        secured.unwrap()
            else:
                plain.sendall(forward_body(stream, lines, wall))
                _see_the_end(plain)
    except (OSError, ValueError) as error:
        return _trouble(parts, error)
    return ""


def _see_the_end(connection: socket.socket) -> None:
    """Wait a moment until the other side has read all and closed; one that keeps the connection has read it too.

    Raises:
        OSError: the other side broke the connection off.
    """
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(_END_S)
    with contextlib.suppress(TimeoutError):
        while connection.recv(4096):
            pass


def push_to_google(
    stream: LogStream, lines: Sequence[str], wall: float, _ca_path: str, _opened: Callable[[socket.socket], None]
) -> str:
    """Hand a batch to Google's own library, if it is installed; credentials and time-outs are its own."""
    try:
        library = import_module(_GOOGLE)
    except ImportError:
        return "google-cloud-logging is not installed: pip install google-cloud-logging"
    try:
        batch = library.Client().logger(stream.name).batch()
        for record in records_of(stream, lines, wall):
            batch.log_struct(record)
        batch.commit()
    except Exception as error:  # noqa: BLE001 - a library with exceptions of its own; what it said is logged
        return f"google-cloud-logging: {type(error).__name__}"
    return ""


def _trouble(parts: SplitResult, error: Exception) -> str:
    """Return what went wrong, without what a library might have put into its text."""
    why = error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else ""
    return f"{parts.hostname}: {type(error).__name__}{f' ({why})' if why else ''}"
