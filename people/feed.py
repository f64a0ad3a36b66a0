"""What happens to a pilot as one stream of events: pictures, deaths of its supervisor, its end, Ctrl-C, the clock."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import zmq

from host import kernel
from host.processes import identify, open_pidfd
from people.bulletin_reader import Listener, Picture, is_published
from people.reader import where_it_lives

#: How long to wait between looks for a supervisor that is just starting.
_SEEK_S = 0.05


@dataclass(frozen=True, slots=True)
class PictureCame:
    """The pilot published a picture."""

    picture: Picture


@dataclass(frozen=True, slots=True)
class SupervisorSeen:
    """A supervisor publishes: the first one, or one that was started again."""

    pid: int
    wall: float


@dataclass(frozen=True, slots=True)
class SupervisorLost:
    """The supervisor's process ended."""

    pid: int
    wall: float


@dataclass(frozen=True, slots=True)
class Interrupted:
    """Somebody wants this command to end."""

    number: int


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Nothing happened for a while."""


@dataclass(frozen=True, slots=True)
class PilotEnded:
    """The last event: the guardian's process ended."""


Event: TypeAlias = PictureCame | SupervisorSeen | SupervisorLost | Interrupted | ClockTicked | PilotEnded


class Feed:
    """The stream of one pilot; a context manager."""

    def __init__(self, pilot_pid: int, base_dir: Path, signal_fd: int, tick_s: float) -> None:
        """Follow the pilot whose guardian is `pilot_pid` and whose -a is `base_dir`.

        Args:
            pilot_pid: A child of this process, not yet reaped.
            base_dir: Where its main directory is going to be.
            signal_fd: Descriptor with the signals that people end this command with.
            tick_s: Longest time without an event.
        """
        self._pilot_pid = pilot_pid
        self._base_dir = base_dir
        self._signal_fd = signal_fd
        self._tick_s = tick_s
        self._pilot_fd = os.pidfd_open(pilot_pid)
        self._listener: Listener | None = None
        self._supervisor_pid = 0
        self._supervisor_fd = -1
        self._lost_pid = 0

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, *_: object) -> None:
        self._forget_supervisor()
        os.close(self._pilot_fd)

    def main_dir(self) -> Path | None:
        """Return the pilot's main directory, None before it was made."""
        found = list(self._base_dir.glob(f"PanDA_Pilot3_{self._pilot_pid}_*"))
        return found[0] if found else None

    def events(self) -> Iterator[Event]:
        """Give the events until the pilot has ended."""
        while True:
            if self._listener is None and self._seek():
                yield SupervisorSeen(self._supervisor_pid, time.time())
            ready = self._wait()
            happened = False
            for event in self._collect(ready):
                happened = True
                yield event
            if self._pilot_fd in ready:
                yield PilotEnded()
                return
            if not happened:
                yield ClockTicked()

    def _wait(self) -> set[object]:
        poller = zmq.Poller()
        poller.register(self._pilot_fd, zmq.POLLIN)
        poller.register(self._signal_fd, zmq.POLLIN)
        if self._listener is not None:
            poller.register(self._listener.socket, zmq.POLLIN)
            if self._supervisor_fd >= 0:
                poller.register(self._supervisor_fd, zmq.POLLIN)
        wait_s = _SEEK_S if self._listener is None else self._tick_s
        return {thing for thing, _ in poller.poll(int(wait_s * 1000))}

    def _collect(self, ready: set[object]) -> Iterator[Event]:
        for record in kernel.read_signals(self._signal_fd):
            yield Interrupted(record.number)
        if self._listener is not None:
            yield from (PictureCame(picture) for picture in self._listener.pictures())
        if self._supervisor_fd >= 0 and self._supervisor_fd in ready:
            lost = self._supervisor_pid
            self._forget_supervisor()
            if self._pilot_fd not in ready:
                yield SupervisorLost(lost, time.time())

    def _seek(self) -> bool:
        """Look for a supervisor to listen to; True when one was found."""
        main_dir = self.main_dir()
        if main_dir is None:
            return False
        pid, run_dir = where_it_lives(main_dir)
        if run_dir is None or pid in (0, self._lost_pid) or not is_published(run_dir):
            return False
        who = identify(pid)
        descriptor = open_pidfd(who) if who is not None else None
        if descriptor is None:
            return False
        self._listener = Listener(run_dir)
        self._supervisor_pid, self._supervisor_fd = pid, descriptor
        return True

    def _forget_supervisor(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._supervisor_fd >= 0:
            with contextlib.suppress(OSError):
                os.close(self._supervisor_fd)
        self._lost_pid, self._supervisor_fd = self._supervisor_pid, -1
