"""The worker's end of the bus: one DEALER, made after the fork in a context of its own (pitfall P47)."""

import zmq

from ipc.bus import HIGH_WATER_MARK, MAX_MESSAGE_BYTES, Invitation
from ipc.codec import MessageError, decode, encode
from ipc.schema import ToSupervisor, ToWorker


class Link:
    """Send to and receive from the supervisor without ever blocking."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], invitation: Invitation) -> None:
        """Connect as the incarnation that was invited."""
        self.dropped = 0
        self.socket = context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.routing_id = invitation.identity
        self.socket.sndhwm = HIGH_WATER_MARK
        self.socket.rcvhwm = HIGH_WATER_MARK
        self.socket.maxmsgsize = MAX_MESSAGE_BYTES
        if invitation.server_key:
            self.socket.curve_serverkey = invitation.server_key
            self.socket.curve_publickey = invitation.public_key
            self.socket.curve_secretkey = invitation.secret_key
        self.socket.connect(invitation.endpoint)

    def send(self, message: ToSupervisor) -> bool:
        """Queue a message; False when the queue is full (the supervisor is stuck: what is lost is asked for again)."""
        try:
            self.socket.send(encode(message), zmq.NOBLOCK)
        except zmq.Again:
            self.dropped += 1
            return False
        return True

    def receive(self) -> ToWorker | None:
        """Return the next message, None when none is waiting; broken ones are counted and dropped."""
        while True:
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return None
            try:
                message: ToWorker = decode(frame, ToWorker)
            except MessageError:
                self.dropped += 1
                continue
            return message

    def close(self, linger_ms: int) -> None:
        """Close; messages still queued have `linger_ms` to leave."""
        self.socket.close(linger_ms)
