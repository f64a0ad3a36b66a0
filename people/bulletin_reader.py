"""Listening to a running pilot's bulletin (supervision/bulletin.py): pictures come by themselves, nothing is asked."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import zmq

from supervision.bulletin import NAME

Picture = dict[str, Any]


class Listener:
    """One subscription. `socket` can be put into a poller; `newest` takes what has come."""

    def __init__(self, run_dir: Path) -> None:
        """Subscribe to the pilot whose runtime directory is `run_dir`; the socket need not be there yet."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        self.socket.linger = 0
        self.socket.connect(f"ipc://{run_dir / NAME}")
        self.socket.subscribe(b"")
        # The publisher is told only of topics that are new to it; one of our own has it greet us with a picture even
        # when others listen already.
        self.socket.subscribe(b"new listener " + uuid4().bytes)

    def pictures(self) -> list[Picture]:
        """Return the pictures that have come, oldest first."""
        found: list[Picture] = []
        while True:
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return found
            value = json.loads(frame)
            if isinstance(value, dict):
                found.append(value)

    def wait(self, timeout_s: float) -> Picture | None:
        """Return the newest picture, None when none comes within `timeout_s`."""
        if not self.socket.poll(int(timeout_s * 1000)):
            return None
        found = self.pictures()
        return found[-1] if found else None

    def close(self) -> None:
        """Unsubscribe."""
        self.socket.close(0)
        self._context.term()


def is_published(run_dir: Path | None) -> bool:
    """Tell whether there is a bulletin to listen to (it may be a dead pilot's)."""
    return run_dir is not None and (run_dir / NAME).is_socket()
