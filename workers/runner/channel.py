"""The pilot's end of the channel to a payload that is fed with events: one ROUTER socket (event-service 4.3).

A payload speaks through DEALER sockets, which get a reply to `Ready for events` alone, or through REQ sockets, which
get one to everything. Peers are known by the identity that they or the socket gave them; they connect again by
themselves to the endpoint of a channel that was opened anew.
"""

import contextlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import zmq

from events.channel import MAX_MESSAGE_BYTES

#: What is larger than this ends the connection; what is larger than a message may be is read and dropped.
_WIRE_LIMIT_BYTES = 16 * MAX_MESSAGE_BYTES
_IPC = "ipc://"


@dataclass(frozen=True, slots=True)
class Letter:
    """One message: its peer, whether that waits for a reply, the text; None for what is no text or too large."""

    peer: str
    needs_reply: bool
    text: str | None


class Channel:
    """A bound socket; nothing here blocks.

    Attributes:
        descriptor: Readable when there may be something to read; only once until all was read (ZMQ_FD).
    """

    def __init__(self, endpoint: str, job_dir: str) -> None:
        """Bind the endpoint; a socket file of a channel before is replaced.

        Args:
            endpoint: its file lies in the job directory, or in a directory that holds nothing else.
            job_dir: the job directory.

        Raises:
            OSError: it cannot be bound, or the directory for it is not this user's alone.
        """
        self._path = Path(endpoint.removeprefix(_IPC)) if endpoint.startswith(_IPC) else None
        self._alone = self._path is not None and self._path.parent != Path(job_dir)
        if self._path is not None:
            _make_private(self._path.parent)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context(io_threads=1)
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = 0
        self._socket.maxmsgsize = _WIRE_LIMIT_BYTES
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self._asking: set[str] = set()
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise OSError(error.errno, f"{endpoint}: {error}") from error
        self.descriptor = self._socket.fileno()

    def receive(self) -> Letter | None:
        """Return the next message, None when none is waiting."""
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            identity, *rest = frames
            asks = len(rest) == 2 and rest[0] == b""
            if len(rest) == 1 or asks:
                peer = identity.hex()
                if asks:
                    self._asking.add(peer)
                return Letter(peer, asks, _text(rest[-1]))

    def send(self, peer: str, text: str) -> None:
        """Send to a peer; to one that is gone, nothing is sent."""
        head = [bytes.fromhex(peer), b""] if peer in self._asking else [bytes.fromhex(peer)]
        with contextlib.suppress(zmq.Again):
            self._socket.send_multipart([*head, text.encode()], zmq.NOBLOCK)

    def close(self) -> None:
        """Close the socket and remove its file; a directory made for it alone goes too."""
        self._socket.close(0)
        self._context.term()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            if self._alone:
                with contextlib.suppress(OSError):  # gone, or not empty: another channel was opened meanwhile
                    self._path.parent.rmdir()


def _text(frame: bytes) -> str | None:
    if len(frame) > MAX_MESSAGE_BYTES:
        return None
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return None


def _make_private(directory: Path) -> None:
    """Make the socket's directory if it is not there; it must be this user's own, no link, writable to nobody else.

    Raises:
        OSError: it is something else.
    """
    with contextlib.suppress(FileExistsError):
        directory.mkdir(mode=0o700)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & stat.S_IWOTH:
        raise PermissionError(f"{directory} is not a directory of this user alone")
