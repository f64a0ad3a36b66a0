"""The workers as running things: processes (the rule) or threads (where a site forbids forking), behind one face."""

import contextlib
import logging
import os
import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import zmq

from host.processes import Identity, identify, open_pidfd
from ipc.bus import Bus
from ipc.link import Link
from settings.settings import Settings
from supervision.launcher import Briefing, fork_worker, self_identity
from workers.duties import make_duty, preload
from workers.worker import Post, serve

#: The exit code of a worker that could not even be forked; the signal of libzmq when it lacks something.
_STILLBORN = -int(signal.SIGABRT)


class Crew(Protocol):
    """Start, kill and notice the deaths of workers."""

    def start(self, role: str, incarnation: int) -> None:
        """Bring an incarnation to life; it will say Hello."""

    def kill(self, role: str, incarnation: int) -> None:
        """End an incarnation for good and forget it; it is not waited for."""

    def descriptors(self) -> list[int]:
        """Return descriptors that become readable when a worker may have ended."""

    def deaths(self) -> list[tuple[str, int, int]]:
        """Return (role, incarnation, exit code) of the workers that ended since the last call, each once."""

    def pids(self) -> dict[str, int]:
        """Return the process ids of the living workers by role."""


class ProcessCrew:
    """Workers as forked processes, each watched through its pidfd and asked for its exit code through multiprocess."""

    def __init__(self, bus: Bus, settings: Settings, log_path: Path | None, guardian: Identity | None) -> None:
        self._bus = bus
        self._settings = settings
        self._log_path = log_path
        self._guardian = guardian
        self._me = self_identity()
        self._alive: dict[tuple[str, int], tuple[Any, int | None]] = {}
        self._given_up: list[Any] = []
        self._stillborn: list[tuple[str, int, int]] = []
        self._forked = False

    def start(self, role: str, incarnation: int) -> None:
        """Fork it. The first reporter does not wait for its code to be loaded here: the first request depends on it."""
        if role != "reporter" or self._forked:
            preload(role)
        self._forked = True
        briefing = Briefing(
            role=role,
            incarnation=incarnation,
            invitation=self._bus.invite(role, incarnation),
            settings=self._settings,
            log_path=self._log_path,
            supervisor=self._me,
            guardian=self._guardian,
        )
        try:
            process = fork_worker(briefing)
        except OSError as error:
            # The payload took what the slot has of processes or descriptors: this one died before it lived.
            logging.getLogger("supervisor").warning("no %s can be started: %s", role, error)
            self._stillborn.append((role, incarnation, _STILLBORN))
            return
        self._bus.expect(role, incarnation, process.pid)
        identity = identify(process.pid)
        self._alive[role, incarnation] = (process, open_pidfd(identity) if identity else None)

    def kill(self, role: str, incarnation: int) -> None:
        """SIGKILL it; the process object is kept, so that the death is reaped whenever it comes."""
        entry = self._alive.pop((role, incarnation), None)
        if entry is None:
            return
        process, descriptor = entry
        if descriptor is not None:
            os.close(descriptor)
        # A child that was not reaped keeps its pid, so this cannot hit another process.
        if process.exitcode is None:
            process.kill()
        self._given_up.append(process)

    def descriptors(self) -> list[int]:
        """Return the pidfds."""
        return [descriptor for _, descriptor in self._alive.values() if descriptor is not None]

    def deaths(self) -> list[tuple[str, int, int]]:
        """Reap what ended, whether still wanted or given up."""
        self._given_up = [process for process in self._given_up if process.exitcode is None]
        ended, self._stillborn = self._stillborn, []
        for (role, incarnation), (process, descriptor) in list(self._alive.items()):
            exit_code = process.exitcode
            if exit_code is not None:
                del self._alive[role, incarnation]
                if descriptor is not None:
                    os.close(descriptor)
                ended.append((role, incarnation, exit_code))
        return ended

    def pids(self) -> dict[str, int]:
        """Return the living ones."""
        return {role: process.pid for (role, _), (process, _) in self._alive.items()}


class ThreadCrew:
    """Workers as threads of the supervisor; one that was given up is fenced out and left to end by itself."""

    def __init__(self, bus: Bus, settings: Settings, context: Any, guardian: Identity | None) -> None:
        self._bus = bus
        self._settings = settings
        self._context: zmq.Context[zmq.Socket[bytes]] = context
        self._guardian = guardian
        self._ended: list[tuple[str, int, int]] = []
        self._abandoned: set[tuple[str, int]] = set()
        self._read_end, self._write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def start(self, role: str, incarnation: int) -> None:
        """Start the thread, with its end of the bus made here: an inproc peer must find the bus bound."""
        link = Link(self._context, self._bus.invite(role, incarnation))
        name = f"{role}.{incarnation}"
        threading.Thread(target=self._work, args=(role, incarnation, link), name=name, daemon=True).start()

    def _work(self, role: str, incarnation: int, link: Link) -> None:
        post = Post(role=role, incarnation=incarnation, beat_s=self._settings.tuning.beat_s, supervisor_pid=0)
        settings = replace(self._settings, isolation="thread")
        code = 0
        try:
            serve(link, post, make_duty(role, settings, self._guardian))
        except Exception:
            logging.getLogger(role).exception("the worker ends by an error of its own")
            code = 1
        finally:
            self._ended.append((role, incarnation, code))
            with contextlib.suppress(OSError):
                os.write(self._write_end, b".")

    def kill(self, role: str, incarnation: int) -> None:
        """Fence it out: its identity is withdrawn at the next invitation, its end is no news any more."""
        self._abandoned.add((role, incarnation))

    def descriptors(self) -> list[int]:
        """Return the pipe that a thread's end writes to."""
        return [self._read_end]

    def deaths(self) -> list[tuple[str, int, int]]:
        """Return the ends that are news."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._read_end, 4096)
        ended, self._ended = self._ended, []
        return [entry for entry in ended if entry[:2] not in self._abandoned]

    def pids(self) -> dict[str, int]:
        """Return this process for all of them."""
        return {}
