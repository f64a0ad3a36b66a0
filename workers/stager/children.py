"""The mover children: started, given orders, read, killed, reaped. Nothing here waits.

A child is known by its slot. Killing takes its whole session, so that the tool that a mover started goes with it. The
one place where children are reaped is here (P24); one that cannot die yet (a hung file system) is left to itself: its
slot gets a new child at once, and it is reaped when it goes.
"""

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any, Protocol

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


class Children:
    """The pool of children; `heard` gets (slot, line), `died` gets (slot, text)."""

    def __init__(
        self, watcher: Watcher, heard: Callable[[int, dict[str, Any]], None], died: Callable[[int, str], None]
    ) -> None:
        self._watcher = watcher
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
        data = json.dumps(message).encode() + b"\n"
        assert child.process.stdin is not None  # noqa: S101 - for the type checker: it was asked for
        try:
            # An order has some hundred bytes and the child takes one at a time: the pipe has room.
            written = os.write(child.process.stdin.fileno(), data)
        except OSError as error:
            written, text = 0, f"the mover does not listen: {error.strerror}"
        else:
            text = "the order is too large"
        if written != len(data):
            self.kill(slot)
            self._died(slot, text)

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
        )
        child = _Child(process)
        self._by_slot[slot] = child
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None  # noqa: S101 - for the type checker: all three were asked for
            os.set_blocking(stream.fileno(), False)
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        self._watcher.watch(process.stdout.fileno(), lambda: self._read_answers(slot, child))
        self._watcher.watch(process.stderr.fileno(), lambda: self._read_stderr(child))
        with contextlib.suppress(OSError, AttributeError):
            child.pidfd = os.pidfd_open(process.pid)
            self._watcher.watch(child.pidfd, lambda: self._ended(slot, child))
        return child

    def _read_answers(self, slot: int, child: _Child) -> None:
        data = _read_now(child.process.stdout)
        if data is None:
            return
        if not data or len(child.line) > _LINE_LIMIT:
            self._ended(slot, child)
            return
        *lines, child.line = (child.line + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            if not isinstance(message, dict):
                self._ended(slot, child)
                return
            if self._by_slot.get(slot) is child:
                self._heard(slot, message)

    def _read_stderr(self, child: _Child) -> None:
        data = _read_now(child.process.stderr)
        if data is None:
            return
        child.stderr = (child.stderr + data)[-_STDERR_KEPT:]
        if not data and child.process.stderr is not None:
            self._watcher.unwatch(child.process.stderr.fileno())

    def _ended(self, slot: int, child: _Child) -> None:
        """Handle the end of a child, or of its answers; what it still said is read first."""
        if self._by_slot.get(slot) is not child:
            self.reap()
            return
        if child.pidfd >= 0:
            self._watcher.unwatch(child.pidfd)
        data = _read_now(child.process.stdout)
        if data:
            *lines, child.line = (child.line + data).split(b"\n")
            for line in lines:
                with contextlib.suppress(ValueError):
                    self._heard(slot, json.loads(line))
        if self._by_slot.get(slot) is not child:
            return
        self._read_stderr(child)
        del self._by_slot[slot]
        self._end(child)
        self._died(slot, _epitaph(child))

    def _end(self, child: _Child) -> None:
        """Kill the child's session (its pid is ours until it is reaped, P14) and let go of it."""
        if child.process.returncode is None:
            freeze_and_kill([child.process.pid], sessions=[child.process.pid])
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.process.pid, signal.SIGKILL)
        self._close_pipes(child)
        self._dying.append(child)
        self.reap()

    def _close_pipes(self, child: _Child) -> None:
        for stream in (child.process.stdout, child.process.stderr):
            if stream is not None:
                self._watcher.unwatch(stream.fileno())
                stream.close()
        if child.process.stdin is not None:
            child.process.stdin.close()

    def _close_pidfd(self, child: _Child) -> None:
        if child.pidfd >= 0:
            self._watcher.unwatch(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = -1


def _read_now(stream: Any) -> bytes | None:
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
        how = "the mover closed its answers"
    elif code < 0:
        how = f"the mover was ended by signal {-code}"
    else:
        how = f"the mover left with exit code {code}"
    last = child.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    return f"{how}: {last[0]}" if last else how
