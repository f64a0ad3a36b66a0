"""The guardian: starts the supervisor, passes signals on, starts it again if it dies or hangs. Nothing else (DESIGN 2).

It knows no ZeroMQ and no network, reads no file and understands no option. The supervisor talks to it through a pipe,
in lines: "place PATH" (where it lives, given back to it when it is started again), "silence S" (how long it may be
silent), "beat". The signals that arrived are given again to each new supervisor, which may have died of knowing them.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from host import kernel

#: Exit status of a supervisor that ended by an exception: it is started again.
CRASHED = 113
_BURST, _PERIOD_S = 5, 300.0
_GAP_S = 2.0
_FORK_PAUSE_S = 1.0
_FAILED = 1


class Watchman(NamedTuple):
    """What a supervisor knows of its guardian: the pipe to write to, and where its last incarnation lived."""

    pipe: int
    place: str
    incarnation: int

    def tell(self, word: str) -> None:
        """Say one line; a guardian that is gone or busy is seen elsewhere."""
        with contextlib.suppress(OSError):
            os.write(self.pipe, os.fsencode(word) + b"\n")


class _Supervised:
    """The supervisor as the guardian sees it; no dataclass: those cost this small process 2 MiB and 15 ms."""

    def __init__(self) -> None:
        self.pid = 0
        self.pipe = -1
        self.place = ""
        self.silence_s = 60.0
        self.heard_at = 0.0
        self.rest = b""
        self.incarnation = 0
        self.deaths: list[float] = []


def guard(run_supervisor: Callable[[Watchman], int]) -> int:
    """Run `run_supervisor` in a child until it returns; return the exit code for the batch system."""
    kernel.open_standard_descriptors()
    kernel.default_dispositions()
    kernel.block((*kernel.TRAPPED, signal.SIGCHLD))
    kernel.become_subreaper()
    descriptor = kernel.open_signalfd((*kernel.TRAPPED, signal.SIGCHLD))
    child = _Supervised()
    seen: list[int] = []
    _start(child, run_supervisor, descriptor)
    _close_memory()
    _show_title()
    while True:
        before = time.monotonic()
        timeout_s = max(0.0, child.heard_at + child.silence_s - before)
        ready, _, _ = select.select([descriptor, child.pipe], [], [], timeout_s)
        if time.monotonic() - before - timeout_s > _GAP_S:
            child.heard_at = time.monotonic()  # the whole pilot stood still: that is not silence (P96)
        if child.pipe in ready:
            _listen(child)
        for record in kernel.read_signals(descriptor):
            if record.number != signal.SIGCHLD:
                seen.append(record.number)
                _pass_on(child.pid, [record.number])
        if time.monotonic() >= child.heard_at + child.silence_s:
            _pass_on(child.pid, [signal.SIGKILL])
            child.heard_at = time.monotonic()
        code = _reap(child.pid)
        if code is None:
            continue
        if code >= 0 and code != CRASHED:
            return code
        if not _may_restart(child):
            return 128 - code if code < 0 else _FAILED
        _start(child, run_supervisor, descriptor)
        _pass_on(child.pid, seen)


def _start(child: _Supervised, run_supervisor: Callable[[Watchman], int], signal_fd: int) -> None:
    if child.pipe >= 0:
        _listen(child)
        os.close(child.pipe)
    read_end, write_end = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    child.incarnation += 1
    while True:
        try:
            pid = os.fork()  # noqa: TID251 - the guardian is single-threaded and must stay without libraries
            break
        except BlockingIOError:  # the payload took all processes that the slot has; it runs on meanwhile
            select.select([], [], [], _FORK_PAUSE_S)
    if pid == 0:
        os.close(read_end)
        os.close(signal_fd)
        status = CRASHED
        try:
            status = run_supervisor(Watchman(write_end, child.place, child.incarnation))
        except Exception:  # noqa: BLE001 - before there is a log; the guardian goes on by the status
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)  # noqa: TID251 - the child must not fall back into the guardian's frames
    os.close(write_end)
    child.pid, child.pipe, child.rest, child.heard_at = pid, read_end, b"", time.monotonic()


def _listen(child: _Supervised) -> None:
    with contextlib.suppress(BlockingIOError):
        data = os.read(child.pipe, 65536)
        child.heard_at = time.monotonic()
        *lines, child.rest = (child.rest + data).split(b"\n")
        for line in lines:
            word, _, value = os.fsdecode(line).partition(" ")
            if word == "place":
                child.place = value
            elif word == "silence":
                child.silence_s = float(value)


def _pass_on(pid: int, numbers: Sequence[int]) -> None:
    for number in numbers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _reap(supervisor_pid: int) -> int | None:
    """Reap whoever ended, orphans of a dead supervisor too; return the supervisor's code if it ended."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == supervisor_pid:
            code = os.waitstatus_to_exitcode(status)


def _may_restart(child: _Supervised) -> bool:
    now = time.monotonic()
    child.deaths = [at for at in child.deaths if now - at < _PERIOD_S] + [now]
    return len(child.deaths) <= _BURST


def _close_memory() -> None:
    """Close the memory, which has the environment in it; where /proc hides, no supervisor could tell its guardian."""
    if not kernel.proc_hides():
        kernel.hide_memory()


def _show_title() -> None:
    """Name this process; optional, and done after the supervisor was started, as it costs some milliseconds."""
    with contextlib.suppress(ImportError):
        import setproctitle  # noqa: PLC0415

        setproctitle.setproctitle("bulkhead: guardian")
