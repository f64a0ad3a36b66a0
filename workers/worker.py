"""The loop every worker shares: one poller for the bus, the supervisor's life, the duty's descriptors and deadlines.

The loop itself sends the beats, so a stuck loop looks stuck (DESIGN 3). A worker holds nothing that cannot be made
again: it may be killed on any line. It leaves when told to, and when the supervisor is gone.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import zmq

from host.clock import Now, now, wait_ms
from ipc.link import Link
from ipc.observations import Observation
from ipc.results import Result
from ipc.schema import (
    SCHEMA_VERSION,
    Assign,
    Beat,
    Cancel,
    Done,
    Failed,
    Heed,
    Hello,
    Observed,
    Progress,
    Stop,
    ToWorker,
)
from ipc.tasks import Task

STOP_LINGER_MS = 200
ACTIVE_BEAT_S = 0.5


class Duty(Protocol):
    """What a role does. Every method returns soon; waiting is left to the loop (descriptors, deadlines)."""

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin `task`; end it later with desk.done or desk.failed under the same lease."""

    def cancel(self, lease: str, moment: Now) -> None:
        """Stop the work under `lease` and answer nothing; an unknown lease is ignored."""

    def tick(self, moment: Now) -> None:
        """Called after each wake-up: deadlines that have passed are handled here."""

    def next_deadline(self) -> float | None:
        """Return the monotonic time of the next call of tick that is needed, None for none."""

    def progress(self) -> tuple[Progress, ...]:
        """Return what moves, for the beat."""

    def stop(self) -> None:
        """End what must not outlive the worker (movers; never the payload)."""


@runtime_checkable
class Heeder(Protocol):
    """A duty whose work asks for what other roles do."""

    def heed(self, message: Heed, moment: Now) -> None:
        """Take what became of something that the work under `message.lease` wanted; unknown leases are ignored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A worker's place: its role, incarnation, beat period, and how to see that the supervisor is gone."""

    role: str
    incarnation: int
    beat_s: float
    supervisor_pid: int
    supervisor_fd: int | None = None
    show_title: Callable[[str], None] = lambda _doing: None


class Desk:
    """What a duty may ask of the loop: to send, to watch a descriptor, to show what it is doing."""

    def __init__(self, link: Link, post: Post) -> None:
        """Take the link; the loop owns it."""
        self._link = link
        self._post = post
        self._title = ""
        self.poller = zmq.Poller()
        self.callbacks: dict[int, Callable[[], None]] = {}
        self.log = logging.getLogger(post.role)

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `descriptor` is readable (or its other end is closed)."""
        self.callbacks[descriptor] = callback
        self.poller.register(descriptor, zmq.POLLIN)

    def unwatch(self, descriptor: int) -> None:
        """Forget `descriptor`; one that is not watched is ignored."""
        if self.callbacks.pop(descriptor, None) is not None:
            self.poller.unregister(descriptor)

    def done(self, lease: str, result: Result) -> None:
        """End the work under `lease` well."""
        self._link.send(Done(lease=lease, result=result))

    def failed(self, lease: str, code: int, diag: str, *, retry: bool = False) -> None:
        """End the work under `lease` with a catalogue code."""
        self._link.send(Failed(lease=lease, code=code, diag=diag, retry=retry))

    def observed(self, lease: str, observation: Observation) -> None:
        """Tell a fact about the work under `lease`."""
        self._link.send(Observed(lease=lease, observation=observation))

    def show(self, doing: str) -> None:
        """Put what the worker is doing into its process title."""
        if doing != self._title:
            self._title = doing
            self._post.show_title(doing)


def serve(link: Link, post: Post, make_duty: Callable[[Desk], Duty]) -> None:
    """Work until told to stop or until the supervisor is gone.

    Hello goes first, before the duty is made: the duty may import heavy libraries, and the first beat follows it.
    """
    desk = Desk(link, post)
    desk.poller.register(link.socket, zmq.POLLIN)
    if post.supervisor_fd is not None:
        desk.poller.register(post.supervisor_fd, zmq.POLLIN)
    link.send(Hello(schema=SCHEMA_VERSION, role=post.role, incarnation=post.incarnation, pid=os.getpid()))
    duty = make_duty(desk)
    desk.show("idle")
    last_beat = now().mono
    try:
        while True:
            # While bytes move the beats come faster, for the people who watch; an idle worker hardly wakes.
            next_beat = last_beat + (min(post.beat_s, ACTIVE_BEAT_S) if duty.progress() else post.beat_s)
            deadline = duty.next_deadline()
            wake_at = next_beat if deadline is None else min(next_beat, deadline)
            ready = dict(desk.poller.poll(wait_ms(wake_at, now().mono)))
            if _supervisor_gone(post, ready) or not _read_bus(link, duty):
                return
            for descriptor in [key for key in ready if isinstance(key, int)]:
                callback = desk.callbacks.get(descriptor)
                if callback is not None:
                    callback()
            moment = now()
            duty.tick(moment)
            if moment.mono >= next_beat:
                link.send(Beat(progress=duty.progress()))
                last_beat = moment.mono
    finally:
        duty.stop()
        link.close(STOP_LINGER_MS)


def _supervisor_gone(post: Post, ready: dict[object, int]) -> bool:
    if post.supervisor_fd is not None:
        return post.supervisor_fd in ready
    # Without a pidfd (old kernels, thread mode) the parent is looked at; a thread's parent is the pilot itself.
    return post.supervisor_pid != 0 and os.getppid() != post.supervisor_pid


def _read_bus(link: Link, duty: Duty) -> bool:
    """Handle what waits on the bus; False when told to stop."""
    while True:
        message: ToWorker | None = link.receive()
        if message is None:
            return True
        if isinstance(message, Stop):
            return False
        if isinstance(message, Assign):
            duty.assign(message.lease, message.task, now())
        elif isinstance(message, Cancel):
            duty.cancel(message.lease, now())
        elif isinstance(message, Heed) and isinstance(duty, Heeder):
            duty.heed(message, now())
