"""One look into a job under way: a child process, its output, its deadline. Nothing here waits."""

import json
import os
import subprocess
from pathlib import Path
from typing import IO

from host.clock import Now
from host.processes import freeze_and_kill
from host.programs import program_arguments
from ipc.results import Inspected
from ipc.tasks import Inspect
from workers.monitor.looker import CORE_PREFIX, LIMIT_CHARS
from workers.worker import Desk

LIMIT_S = 20.0
#: gdb reads all of the payload's memory and writes it to disk.
GDB_LIMIT_S = 300.0
_READ = 65536
_KEPT_BYTES = 4 * LIMIT_CHARS
_REAP_S = 0.5


class Inspecting:
    """The work under the lease of an Inspect; over when `over` is set and the child is reaped.

    `next_at` is when (monotonic) something is due.
    """

    def __init__(self, lease: str, task: Inspect, desk: Desk, moment: Now) -> None:
        """Start the child; what cannot be started is told as a failure.

        Raises:
            OSError: no process can be started.
        """
        self.over = False
        self._lease = lease
        self._desk = desk
        self._task = task
        self._limit_s = GDB_LIMIT_S if task.words[:1] == ("gdb",) else LIMIT_S
        self.next_at = self._limit_at = moment.mono + self._limit_s
        self._text = b""
        self._process = subprocess.Popen(
            program_arguments("workers.monitor.looker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            start_new_session=True,
        )
        order = {"words": task.words, "job_dir": task.job_dir, "control_dir": task.control_dir}
        self._give(json.dumps(order).encode())
        os.set_blocking(self._number, False)
        desk.watch(self._number, self._read)

    @property
    def gone(self) -> bool:
        """Whether nothing is left to do, the child's reaping included."""
        return self.over and self._process.poll() is not None

    def act(self, moment: Now) -> None:
        """Give up a look that takes too long; reap a child that has ended."""
        if not self.over and moment.mono >= self._limit_at:
            self._text += f"\nnothing more within {self._limit_s:.0f} s\n".encode()
            self._finish()
        self.next_at = moment.mono + _REAP_S

    def cancel(self) -> None:
        """Stop looking and answer nothing."""
        if not self.over:
            self._end()

    @property
    def _number(self) -> int:
        return _pipe(self._process.stdout).fileno()

    def _give(self, order: bytes) -> None:
        """Write the order: shorter than a pipe's room, so this never waits."""
        stream = _pipe(self._process.stdin)
        try:
            stream.write(order)
        except BrokenPipeError:
            return  # it died: the end of its output tells
        finally:
            stream.close()

    def _read(self) -> None:
        try:
            data = os.read(self._number, _READ)
        except BlockingIOError:
            return
        if data:
            # Lists keep their beginning; what a tail shows is short already.
            self._text = (self._text + data)[:_KEPT_BYTES]
            return
        self._finish()

    def _finish(self) -> None:
        self._end()
        text = self._text.decode("utf-8", "replace").replace("\0", "")[:LIMIT_CHARS].rstrip("\n")
        self._desk.done(self._lease, Inspected(text=text, end_payload=self._left_core))

    @property
    def _left_core(self) -> bool:
        """Whether gdb did what it was asked for: the payload is of no use any more only then."""
        return self._task.words[:1] == ("gdb",) and any(Path(self._task.job_dir).glob(f"{CORE_PREFIX}*"))

    def _end(self) -> None:
        self.over = True
        self._desk.unwatch(self._number)
        if self._process.poll() is None:
            freeze_and_kill([self._process.pid], sessions=[self._process.pid])
        _pipe(self._process.stdout).close()


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    """Return one of the child's pipes, all of which were asked for."""
    if stream is None:
        raise ValueError("a child without pipes")
    return stream
