"""The supervisor's loop: one poller; whatever wakes it becomes events, `step` decides, what it asks is done here.

The order in each turn is: commit the ledger (one durable transaction), then act;
only a worker's start goes first. A crash on any line in between is made
good by the next supervisor: what was decided is in the journal, what was not done is begun again by `step`.
"""

import contextlib
import logging
import os
import signal
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from core.actions import Action, EndPayload, KillWorker, Leave, Say, Send, StartWorker
from core.ending import secrets_left
from core.events import Begun, Event, GuardianDied, Heard, SignalArrived, Suspended, Tick, WorkerDied
from core.state import Pilot
from core.step import next_deadline, step
from host import kernel
from host.clock import Now, now, wait_ms
from host.processes import Identity, open_pidfd
from ipc.bus import Address, Bus
from jobs.journal import Journal
from supervision.bulletin import Bulletin
from supervision.crew import Crew
from supervision.guardian import Watchman
from supervision.lastmeans import end_payload
from supervision.place import Place, drop_ballast
from supervision.refuge import bring_back, is_damaged, leave_room, new_journal

#: The kernel sends this one when the guardian dies, where pidfds are not known.
GUARDIAN_GONE = signal.SIGRTMIN + 1
_SUSPENDED_S = 2.0
_COMMIT_PAUSE_S = 1.0
#: So long a journal may refuse what is written before another is begun elsewhere.
_REFUSAL_S = 5.0


@dataclass(slots=True, kw_only=True)
class Hull:
    """What the loop holds in its hands; `facts` are the journal's notes for other pilots."""

    place: Place
    journal: Journal
    facts: dict[str, object]
    bus: Bus
    bulletin: Bulletin
    crew: Crew
    watchman: Watchman
    guardian: Identity
    signal_fd: int
    beat_s: float
    crash_at: str = ""


class Loop:
    """Run a pilot until it leaves."""

    def __init__(self, hull: Hull, pilot: Pilot) -> None:
        self._hull = hull
        self._pilot = pilot
        self._log = logging.getLogger("supervisor")
        self._guardian_fd = open_pidfd(hull.guardian)
        self._guardian_gone = False
        self._crash_count = 0

    def run(self) -> int:
        """Return the pilot's exit code once it has left."""
        self._turn(Begun(), now())
        while not self._pilot.left:
            ready, gap_s = self._wait()
            if gap_s > _SUSPENDED_S:
                self._turn(Suspended(gap_s), now())
            for event in self._collect(ready):
                self._turn(event, now())
            self._turn(Tick(), now())
            self._hull.watchman.tell("beat")
        if self._guardian_fd is not None:
            os.close(self._guardian_fd)
        return self._pilot.exit_code

    def settle(self) -> None:
        """Leave a refuge at the end: nothing is left to be taken over, or it is back where a later pilot looks."""
        place = self._hull.place
        if place.elsewhere is not None and (not self.has_jobs() or bring_back(place, self._pilot.ledger, now().wall)):
            leave_room(place)

    def remove_secrets(self) -> None:
        """Remove the files with secrets of the jobs that a later pilot must finish (pitfall P119)."""
        for path in secrets_left(self._pilot.ledger):
            with contextlib.suppress(OSError):
                Path(path).unlink()

    def has_jobs(self) -> bool:
        """Tell whether the ledger holds jobs that a later pilot must finish."""
        return bool(self._pilot.ledger.jobs)

    def _wait(self) -> tuple[set[Any], float]:
        """Wait for anything; also return by how much the wake-up came too late (a suspended host)."""
        poller = zmq.Poller()
        hull = self._hull
        for thing in (hull.bus.socket, hull.bus.door, hull.bulletin.socket, hull.signal_fd, *hull.crew.descriptors()):
            poller.register(thing, zmq.POLLIN)
        if self._guardian_fd is not None and not self._guardian_gone:
            poller.register(self._guardian_fd, zmq.POLLIN)
        before = now()
        deadline = min(next_deadline(self._pilot, before) or before.mono + hull.beat_s, before.mono + hull.beat_s)
        timeout_ms = wait_ms(deadline, before.mono) or 0
        ready = {thing for thing, _ in poller.poll(timeout_ms)}
        return ready, now().mono - before.mono - timeout_ms / 1000

    def _collect(self, ready: set[Any]) -> Iterator[Event]:
        """Turn what is ready into events. Messages come before deaths: a worker's last words count."""
        hull = self._hull
        for record in kernel.read_signals(hull.signal_fd):
            if record.number == GUARDIAN_GONE:
                yield from self._guardian_lost()
            elif record.number != signal.SIGCHLD:
                yield SignalArrived(record.number, signal.Signals(record.number).name, record.sender_pid)
        if self._guardian_fd in ready:
            yield from self._guardian_lost()
        hull.bus.answer_door()
        if hull.bulletin.greet():
            hull.bulletin.publish(self._pilot, hull.crew.pids(), now())
        yield from self._messages()
        deaths = hull.crew.deaths()
        if deaths:
            yield from self._messages()
        for role, incarnation, exit_code in deaths:
            yield WorkerDied(role, incarnation, exit_code)
        _reap_orphans(set(hull.crew.pids().values()))

    def _messages(self) -> Iterator[Event]:
        while (received := self._hull.bus.receive()) is not None:
            address, message = received
            yield Heard(address.role, address.incarnation, message)

    def _guardian_lost(self) -> Iterator[Event]:
        if not self._guardian_gone and os.getppid() != self._hull.guardian.pid:
            self._guardian_gone = True
            yield GuardianDied()

    def _decide(self, event: Event, moment: Now) -> tuple[Pilot, list[Action]]:
        """Step; a message that the core cannot digest costs its sender's life, not the supervisor's (DESIGN 3)."""
        if not isinstance(event, Heard):
            return step(self._pilot, event, moment)
        try:
            return step(self._pilot, event, moment)
        except Exception:  # noqa: BLE001 - logged, and turned into the death of the sender
            self._log.critical("a message of the %s could not be handled", event.role, exc_info=True)
            self._hull.crew.kill(event.role, event.incarnation)
            return step(self._pilot, WorkerDied(event.role, event.incarnation, -signal.SIGABRT), moment)

    def _turn(self, event: Event, moment: Now) -> None:
        before = self._pilot
        after, actions = self._decide(event, moment)
        # A worker holds nothing, so its start need not wait for the disk: a killed one is back that much sooner.
        for action in actions:
            if isinstance(action, StartWorker):
                self._perform(action)
        if after.ledger is not before.ledger:
            self._crash_point("commit-before")
            self._commit(before, after, actions, moment)
            self._crash_point("commit-after")
        self._pilot = after
        for action in actions:
            self._crash_point("action-before")
            if not isinstance(action, StartWorker):
                self._perform(action)
            self._crash_point("action-after")
        if after is not before:
            self._hull.bulletin.publish(after, self._hull.crew.pids(), moment)
        stood_s = now().mono - moment.mono
        if stood_s > _SUSPENDED_S:
            # A disk that kept this process waiting: nobody was silent, they were just not heard.
            self._turn(Suspended(stood_s), now())

    def _commit(self, before: Pilot, after: Pilot, actions: list[Action], moment: Now) -> None:
        """Write the ledger; on a full disk give the reserve back and try until it is written (nothing may be lost).

        One that cannot be written at all goes on elsewhere: the payload must not outlive the disk unseen.
        """
        texts = tuple(action.text for action in actions if isinstance(action, Say))
        began = now().mono
        while True:
            try:
                self._hull.journal.commit(before.ledger, after.ledger, moment.wall, texts)
            except sqlite3.Error as error:
                freed = drop_ballast(self._hull.place)
                self._log.error("the journal cannot be written (%s); reserve given back: %s", error, freed)
                self._hull.watchman.tell("beat")
                if freed:
                    continue
                if (is_damaged(error) or now().mono - began >= _REFUSAL_S) and self._move_journal(after, moment):
                    return
                self._pause(_COMMIT_PAUSE_S)
            else:
                return

    def _move_journal(self, after: Pilot, moment: Now) -> bool:
        hull = self._hull
        found = new_journal(hull.place, hull.facts, after.ledger, moment.wall)
        if found is None:
            return False
        with contextlib.suppress(sqlite3.Error):
            hull.journal.close()
        leave_room(hull.place)
        hull.place, hull.journal = found
        hull.watchman.tell(f"place {hull.place.line()}")
        return True

    def _pause(self, pause_s: float) -> None:
        """Wait on what may free disk space: a worker that ends."""
        poller = zmq.Poller()
        for descriptor in self._hull.crew.descriptors():
            poller.register(descriptor, zmq.POLLIN)
        poller.poll(int(pause_s * 1000))

    def _perform(self, action: Action) -> None:
        hull = self._hull
        if isinstance(action, Send):
            hull.bus.send(Address(action.role, action.incarnation), action.message)
        elif isinstance(action, StartWorker):
            hull.crew.start(action.role, action.incarnation)
        elif isinstance(action, KillWorker):
            hull.crew.kill(action.role, action.incarnation)
        elif isinstance(action, EndPayload):
            end_payload(action.control_dir)
        elif isinstance(action, Say):
            self._log.log(action.level, action.text)
        elif isinstance(action, Leave):
            self._log.info("the pilot leaves with exit code %d", action.exit_code)

    def _crash_point(self, kind: str) -> None:
        """Kill this very process at the n-th point of a kind when a test asks for it ("commit-after:7")."""
        if not self._hull.crash_at:
            return
        wanted, _, count = self._hull.crash_at.partition(":")
        if wanted == kind:
            self._crash_count += 1
            if self._crash_count == int(count):
                os.kill(os.getpid(), signal.SIGKILL)


def _reap_orphans(own: set[int]) -> None:
    """Reap the orphans that came to this subreaper; the workers' exit codes are left to their owners."""
    while True:
        try:
            seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if seen is None or seen.si_pid in own:
            return
        with contextlib.suppress(ChildProcessError):
            os.waitpid(seen.si_pid, os.WNOHANG)
