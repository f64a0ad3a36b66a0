"""The mover children: started, given orders, read, killed, reaped. Nothing here waits.

A child is known by its slot. Killing takes its whole session, so that the tool that a mover started goes with it. The
one place where children are reaped is here (P24); one that cannot die yet (a hung file system) is left to itself: its
slot gets a new child at once, and it is reaped when it goes.
"""

import contextlib
import json
import os
import subprocess
from collections.abc import Callable
from typing import IO, Any, Protocol

from host.processes import freeze_and_kill
from movers.child import arguments

_READ = 65536
_LINE_LIMIT = 1024 * 1024
_STDERR_KEPT = 16384


class Watcher(Protocol):
    """What the children need of the worker's loop."""

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call `callback` whenever `descriptor` is readable."""

    def unwatch(self, descriptor: int) -> None:
        """Forget `descriptor`."""


class _Child:
    """One child: its process, its pipes and what came through them."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.pidfd = -1
        self.line = b""
        self.stderr = b""
        self.unsent = b""


class Children:
    """The pool of children; `heard` gets (slot, line), `died` gets (slot, text)."""

    def __init__(
        self,
        watcher: Watcher,
        heard: Callable[[int, dict[str, Any]], None],
        died: Callable[[int, str], None],
        ca_path: str = "",
    ) -> None:
        self._watcher = watcher
        # The one thing that a mover needs and that may have come by an option.
        self._environment = {**os.environ, "X509_CERT_DIR": ca_path} if ca_path else None
        self._heard = heard
        self._died = died
        self._by_slot: dict[int, _Child] = {}
        self._dying: list[_Child] = []

    def give(self, slot: int, message: dict[str, Any]) -> None:
        """Write an order to the slot's child, starting it where there is none; a failure of that comes by `died`."""
        try:
            child = self._by_slot.get(slot) or self._start(slot)
        except OSError as error:
            self._died(slot, f"a mover could not be started: {error.strerror}")
            return
        child.unsent += json.dumps(message).encode() + b"\n"
        self._send(slot, child)

    def flush(self) -> None:
        """Write what did not fit into the pipes; needed while `unsent`."""
        for slot, child in list(self._by_slot.items()):
            if child.unsent:
                self._send(slot, child)

    @property
    def unsent(self) -> bool:
        """Whether an order waits for room in a pipe (no descriptor tells of that)."""
        return any(child.unsent for child in self._by_slot.values())

    def _send(self, slot: int, child: _Child) -> None:
        try:
            child.unsent = child.unsent[os.write(_number(child.process.stdin), child.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            # It does not listen any more: its exit tells more, and is near.
            child.unsent = b""
            if child.pidfd < 0:
                self._bury(slot, child)

    def kill(self, slot: int) -> None:
        """Kill the slot's child with its whole session."""
        child = self._by_slot.pop(slot, None)
        if child is not None:
            self._end(child)

    def dismiss(self) -> None:
        """Let all children go: they leave at the end of their input."""
        for child in self._by_slot.values():
            self._close_pipes(child)
            self._dying.append(child)
        self._by_slot.clear()
        self.reap()

    def stop(self) -> None:
        """Kill all children; they are the kernel's to reap when this process ends."""
        for slot in list(self._by_slot):
            self.kill(slot)
        for child in self._dying:
            _kill_session(child)
        self.reap()

    @property
    def waiting(self) -> bool:
        """Whether `reap` is to be called again because no descriptor tells of an end."""
        return any(child.pidfd < 0 for child in self._dying)

    @property
    def pids(self) -> list[int]:
        """The pids of the children that may get orders, by slot."""
        return [child.process.pid for _slot, child in sorted(self._by_slot.items())]

    def reap(self) -> None:
        """Reap the children that have ended."""
        for child in list(self._dying):
            if child.process.poll() is not None:
                self._dying.remove(child)
                self._close_pidfd(child)

    def _start(self, slot: int) -> _Child:
        process = subprocess.Popen(
            arguments("workers.stager.child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            env=self._environment,
        )
        child = _Child(process)
        self._by_slot[slot] = child
        for stream in (process.stdin, process.stdout, process.stderr):
            os.set_blocking(_number(stream), False)
        self._watcher.watch(_number(process.stdout), lambda: self._read_answers(slot, child))
        self._watcher.watch(_number(process.stderr), lambda: self._read_stderr(child))
        with contextlib.suppress(OSError, AttributeError):
            child.pidfd = os.pidfd_open(process.pid)
            self._watcher.watch(child.pidfd, lambda: self._ended(slot, child))
        return child

    def _read_answers(self, slot: int, child: _Child) -> None:
        data = _read_now(child.process.stdout)
        if data is None or self._by_slot.get(slot) is not child:
            return
        if data:
            self._hear(slot, child, data)
            return
        # The end of the answers is not yet that of the child: its exit tells more, and is near.
        self._watcher.unwatch(_number(child.process.stdout))
        if child.pidfd < 0:
            self._bury(slot, child)

    def _hear(self, slot: int, child: _Child, data: bytes) -> None:
        *lines, child.line = (child.line + data).split(b"\n")
        if len(child.line) > _LINE_LIMIT:
            self._bury(slot, child)
        for line in lines:
            if self._by_slot.get(slot) is not child:
                return
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if isinstance(message, dict):
                self._heard(slot, message)
            else:
                self._bury(slot, child)

    def _read_stderr(self, child: _Child) -> None:
        data = _read_now(child.process.stderr)
        if data:
            child.stderr = (child.stderr + data)[-_STDERR_KEPT:]
        elif data is not None and child.process.stderr is not None and not child.process.stderr.closed:
            self._watcher.unwatch(child.process.stderr.fileno())

    def _ended(self, slot: int, child: _Child) -> None:
        """Handle a readable pidfd; what the child still said is read first."""
        if self._by_slot.get(slot) is not child:
            self.reap()
            return
        # The descriptor's number may be that of a child before, closed in this very turn of the loop: look, not reap.
        if os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return
        self._watcher.unwatch(child.pidfd)
        while data := _read_now(child.process.stdout):
            self._hear(slot, child, data)
        self._bury(slot, child)

    def _bury(self, slot: int, child: _Child) -> None:
        """Give up a child that ended or talks nonsense."""
        if self._by_slot.get(slot) is not child:
            return
        self._read_stderr(child)
        del self._by_slot[slot]
        self._end(child)
        self._died(slot, _epitaph(child))

    def _end(self, child: _Child) -> None:
        _kill_session(child)
        self._close_pipes(child)
        self._dying.append(child)
        self.reap()

    def _close_pipes(self, child: _Child) -> None:
        for stream in (child.process.stdout, child.process.stderr):
            if stream is not None and not stream.closed:
                self._watcher.unwatch(_number(stream))
                stream.close()
        if child.process.stdin is not None:
            child.process.stdin.close()

    def _close_pidfd(self, child: _Child) -> None:
        if child.pidfd >= 0:
            self._watcher.unwatch(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = -1


def _kill_session(child: _Child) -> None:
    """Kill the child and all of its session; its pid is ours until it is reaped (P14)."""
    if child.process.returncode is None:
        freeze_and_kill([child.process.pid], sessions=[child.process.pid])


def _number(stream: IO[bytes] | None) -> int:
    """Return the descriptor of one of a child's pipes, all of which were asked for."""
    if stream is None:
        raise ValueError("a child without pipes")
    return stream.fileno()


def _read_now(stream: IO[bytes] | None) -> bytes | None:
    """Return what is there to read: None for nothing yet, b"" for the end."""
    if stream is None or stream.closed:
        return b""
    try:
        return os.read(stream.fileno(), _READ)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _epitaph(child: _Child) -> str:
    code = child.process.returncode
    if code is None:
        how = "the mover does not answer"
    elif code < 0:
        how = f"the mover was ended by signal {-code}"
    else:
        how = f"the mover left with exit code {code}"
    last = child.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"{how}: {last[0]}" if last else how
