"""The supervisor's end of the bus: a ROUTER, its CurveZMQ keys and the door-keeper (ZAP) for them (DESIGN 3).

Keys are made in memory and given to each worker through the fork; the door opens for a key in the hands of the process
that was forked for it only (the kernel tells who is at the other end of an ipc socket). An incarnation that was given
up has its key withdrawn. No message can stop the supervisor: whatever is not a valid message of a known incarnation is
counted and dropped. Nothing here blocks: what a peer does not take at once is refused, and the caller hears of it.
"""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import zmq
from zmq.utils import z85

from ipc.codec import MessageError, decode, encode
from ipc.schema import ToSupervisor, ToWorker

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
HIGH_WATER_MARK = 1000
MAX_IPC_PATH_BYTES = 107
_ZAP_ENDPOINT = "inproc://zeromq.zap.01"


@dataclass(frozen=True, slots=True)
class Address:
    """Who sent a message: a role and the incarnation of its worker."""

    role: str
    incarnation: int


@dataclass(slots=True)
class _Guest:
    """Who holds a key: an incarnation, and the process that was forked for it; 0 until it is known."""

    address: Address
    pid: int = 0


@dataclass(frozen=True, slots=True)
class Invitation:
    """What one incarnation of a worker needs to join the bus; passed through memory only."""

    endpoint: str
    identity: bytes
    server_key: bytes = b""
    public_key: bytes = b""
    secret_key: bytes = b""


def routing_id(role: str, incarnation: int) -> bytes:
    """Return the routing id: the role and the generation (pitfall P49)."""
    return f"{role}.{incarnation}".encode()


class Bus:
    """Bind, invite, receive, send. With a `run_dir` the bus is an ipc socket with CURVE; without, it is inproc."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], run_dir: Path | None) -> None:
        """Open the sockets.

        Raises:
            ValueError: when the path is too long for an ipc socket; the text names it.
        """
        self.dropped: Counter[str] = Counter()
        path = run_dir / "bus" if run_dir else None
        if path and len(bytes(path)) > MAX_IPC_PATH_BYTES:
            raise ValueError(f"the path of the bus is longer than {MAX_IPC_PATH_BYTES} bytes: {path}")
        self._secure = path is not None
        self._allowed: dict[bytes, _Guest] = {}
        self.door = context.socket(zmq.REP)
        self.door.linger = 0
        self.socket = context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.router_mandatory = 1
        self.socket.sndhwm = HIGH_WATER_MARK
        self.socket.rcvhwm = HIGH_WATER_MARK
        self.socket.maxmsgsize = MAX_MESSAGE_BYTES
        self.socket.sndtimeo = 0
        self.socket.rcvtimeo = 0
        if path is None:
            self.endpoint = f"inproc://bulkhead-{id(self)}"
            self._server_key = b""
        else:
            self.endpoint = f"ipc://{path}"
            self._server_key, secret = zmq.curve_keypair()
            self.door.bind(_ZAP_ENDPOINT)
            self.socket.curve_secretkey = secret
            self.socket.curve_publickey = self._server_key
            self.socket.curve_server = 1
            self.socket.zap_domain = b"bulkhead"
        self.socket.bind(self.endpoint)

    def invite(self, role: str, incarnation: int) -> Invitation:
        """Return an invitation for a new incarnation; invitations to earlier ones of that role are withdrawn."""
        self._allowed = {key: guest for key, guest in self._allowed.items() if guest.address.role != role}
        identity = routing_id(role, incarnation)
        if not self._secure:
            self._allowed[identity] = _Guest(Address(role, incarnation))
            return Invitation(self.endpoint, identity)
        public, secret = zmq.curve_keypair()
        self._allowed[public] = _Guest(Address(role, incarnation))
        return Invitation(self.endpoint, identity, self._server_key, public, secret)

    def expect(self, role: str, incarnation: int, pid: int) -> None:
        """Say which process was forked for an invitation; before that nobody is let in with it."""
        for guest in self._allowed.values():
            if guest.address == Address(role, incarnation):
                guest.pid = pid

    def answer_door(self) -> None:
        """Let in the processes that hold the key given to them (and not withdrawn); never raises for what they send."""
        while True:
            try:
                frames = self.door.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            request_id = frames[1] if len(frames) > 1 else b""
            # ZAP 1.0: version, request id, domain, address, identity, mechanism, credentials (the raw public key).
            curve = len(frames) == 7 and frames[5] == b"CURVE"
            guest = self._allowed.get(z85.encode(frames[6])) if curve else None
            if guest is None or guest.pid != _peer_pid(frames[3], guest.pid):
                self.dropped["stranger"] += 1
                self.door.send_multipart([b"1.0", request_id, b"400", b"no such key", b"", b""])
            else:
                # The user id travels with each message: a worker cannot speak under another's routing id (H065).
                name = routing_id(guest.address.role, guest.address.incarnation)
                self.door.send_multipart([b"1.0", request_id, b"200", b"OK", name, b""])

    def receive(self) -> tuple[Address, ToSupervisor] | None:
        """Return the next valid message of a current incarnation, None when none is waiting."""
        while True:
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            except zmq.ZMQError as error:
                self.dropped[f"receive: {error}"] += 1
                return None
            if self._secure and frames[0].bytes != str(frames[-1].get("User-Id")).encode():
                self.dropped["false name"] += 1
                continue
            message = self._open([frame.bytes for frame in frames])
            if message is not None:
                return message

    def _open(self, frames: list[bytes]) -> tuple[Address, ToSupervisor] | None:
        if len(frames) != 2:
            self.dropped["frames"] += 1
            return None
        known = (guest.address for guest in self._allowed.values())
        address = next((a for a in known if routing_id(a.role, a.incarnation) == frames[0]), None)
        if address is None:
            self.dropped["unknown sender"] += 1
            return None
        try:
            return address, decode(frames[1], ToSupervisor)
        except MessageError as error:
            self.dropped[f"{address.role}: {error}"[:200]] += 1
            return None

    def send(self, address: Address, message: ToWorker) -> bool:
        """Hand a message over; False when that incarnation is not there or takes nothing (it is dead or stuck)."""
        try:
            self.socket.send_multipart([routing_id(address.role, address.incarnation), encode(message)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            self.dropped[f"send: {error}"] += 1
            return False
        return True

    def close(self) -> None:
        """Close the sockets; what was not sent is lost."""
        self.socket.close(0)
        self.door.close(0)


def _peer_pid(address: bytes, unknown: int) -> int:
    """Return the process at the other end of an ipc socket ("name:uid:gid:pid"), `unknown` where libzmq cannot tell."""
    *credentials, pid = address.split(b":")
    return int(pid) if len(credentials) == 3 and pid.isdigit() else unknown
