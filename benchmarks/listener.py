"""Listening to a pilot's bulletin: the pictures that its supervisor publishes after each step."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from benchmarks.scenario import WrongOutcomeError

Picture = dict[str, Any]


class Listener:
    """A subscriber of one bulletin."""

    def __init__(self, bulletin: Path) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.subscribe(b"")
        self._socket.connect(f"ipc://{bulletin}")

    def __enter__(self) -> "Listener":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._context.destroy(0)

    def first(self, wanted: Callable[[Picture], bool], timeout_s: float, what: str) -> tuple[float, Picture]:
        """Return the first picture from now on that is as wanted, and the monotonic time at which it came.

        Raises:
            WrongOutcomeError: none came in time.
        """
        deadline = time.monotonic() + timeout_s
        while self._socket.poll(max(0, int((deadline - time.monotonic()) * 1000))):
            picture = json.loads(self._socket.recv())
            if wanted(picture):
                return time.monotonic(), picture
        raise WrongOutcomeError(f"no picture within {timeout_s} s: {what}")


def worker(picture: Picture, role: str) -> Picture:
    """Return a role's entry of a picture."""
    return dict(next(entry for entry in picture["workers"] if entry["role"] == role))


def stage_in_s(bulletin: Path, job_id: int, timeout_s: float = 120.0) -> float:
    """Return how long the supervisor had a job in `staging_in`, by its own clock.

    Raises:
        WrongOutcomeError: the job was not seen in it, or not after it.
    """

    def state(picture: Picture) -> str:
        return next((str(job["state"]) for job in picture["jobs"] if job["job_id"] == job_id), "")

    with Listener(bulletin) as listener:
        _, began = listener.first(lambda picture: state(picture) == "staging_in", timeout_s, "the job is staging in")
        _, ended = listener.first(lambda picture: state(picture) != "staging_in", timeout_s, "the job has its input")
    if state(ended) not in {"starting", "running"}:
        raise WrongOutcomeError(f"the job is {state(ended)} after its stage-in")
    return float(ended["wall"]) - float(began["wall"])
