"""A TLS end before a server that speaks plain HTTP: what it presents can be changed while a pilot runs."""

import contextlib
import datetime as dt
import select
import socket
import ssl
import threading
from pathlib import Path
from urllib.parse import urlsplit

import trustme

#: How the end can be one that no pilot may trust, or none at all.
KINDS = ("unknown authority", "expired", "another host", "plain text", "hangs")
_WELL = "well"


class TlsFront:
    """Passes connections on; use it as a context manager.

    Attributes:
        url: Where a pilot finds it.
        authority: The PEM file with the authority to trust.
        met: How many connections came while something was wrong.
        leaked: What came through a handshake meanwhile; nothing may.
    """

    def __init__(self, url: str, folder: Path) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        own, other = trustme.CA(), trustme.CA()
        self.authority = folder / "authority.pem"
        own.cert_pem.write_to_path(str(self.authority))
        gone = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        days = dt.timedelta(days=30)
        self._contexts = {
            _WELL: _context(own.issue_cert("127.0.0.1")),
            "unknown authority": _context(other.issue_cert("127.0.0.1")),
            "expired": _context(own.issue_cert("127.0.0.1", not_before=gone - days, not_after=gone)),
            "another host": _context(own.issue_cert("panda.example.org")),
        }
        self._kind = _WELL
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.met = 0
        self.leaked: list[bytes] = []
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "TlsFront":
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._cut()

    def begin(self, kind: str) -> None:
        """Be of another kind for every connection from now on; the open ones are cut."""
        self._kind = kind
        self._cut()

    def end(self) -> None:
        """Be well again."""
        self.begin(_WELL)

    def _cut(self) -> None:
        for one in (*self._open,):
            _shut(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client, self._kind), daemon=True).start()

    def _answer(self, client: socket.socket, kind: str) -> None:
        """Deal with one connection; only this thread closes it."""
        self.met += kind != _WELL
        self._open.append(client)
        with contextlib.suppress(OSError), client:
            if kind == "hangs":
                while client.recv(65536):
                    pass  # whatever comes gets no answer
            elif kind == "plain text":
                client.recv(65536)
                client.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\nThis is plain HTTP")
            else:
                with self._contexts[kind].wrap_socket(client, server_side=True) as wrapped:
                    self._open.append(wrapped)
                    if kind == self._kind:  # else it changed while this one shook hands
                        self._pass_on(wrapped, kind)

    def _pass_on(self, client: ssl.SSLSocket, kind: str) -> None:
        if kind != _WELL:
            # In TLS 1.3 the client's refusal comes after the server's end of the handshake.
            if said := client.recv(65536):
                self.leaked.append(said)
            return
        with socket.create_connection(self._target) as server:
            self._open.append(server)
            ways = {client: server, server: client}
            while True:
                ready = [client] if client.pending() else select.select((client, server), (), ())[0]
                for one in ready:
                    data = one.recv(65536)
                    if not data:
                        return
                    ways[one].sendall(data)


def _shut(one: socket.socket) -> None:
    """End a connection that another thread reads from and will close."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(one, socket.SHUT_RDWR)  # that of ssl would take the encryption away first


def _context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    certificate.configure_cert(context)
    return context
