"""Real-time logs: the growth of a file, batch by batch, to a log server (behaviour 24).

The file itself is the buffer: a batch is read when the one before it was taken, and what cannot be kept up with is left
out and said so. How far it was taken is noted beside the job's control files, so that a new monitor goes on from there;
at worst a batch is sent twice. Nothing that happens here touches the job.
"""

import contextlib
import json
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from errors.redaction import redact
from host.clock import Now
from host.files import read_bounded
from ipc.schema import LogStream, Watch

_log = logging.getLogger("monitor")

BATCH_BYTES = 256 * 1024
LINE_CHARS = 16 * 1024
#: What is further behind than this is left out.
BEHIND_BYTES = 8 * 1024 * 1024
#: After the payload's end the rest is sent in haste, for so long at most.
FINISH_S = 10.0
_HASTE_S = 0.2
_NAME = "realtime.json"


class Stream:
    """One file and its server; `next_at` is when (monotonic) there is something to do, `note` says how far it is."""

    def __init__(self, task: Watch, stream: LogStream, ca_path: str, moment: Now) -> None:
        from workers.monitor.pushing import Pusher  # noqa: PLC0415 - most monitors need no HTTP

        self.next_at = moment.mono + stream.period_s
        self._stream = stream
        self._job_id = task.job_id
        self._path = Path(task.job_dir) / stream.file
        self.note = note_of(task)
        self._pusher = Pusher(stream, ca_path)
        self._descriptor = -1
        self._taken = _noted(self.note)
        self._under_way = 0
        self._give_up_at = 0.0
        self._trouble = ""

    def act(self, moment: Now) -> bool:
        """Take the outcome of the batch before, send the next one; False when nothing is left to do."""
        self._hear()
        finishing = self._give_up_at > 0
        if not self._pusher.busy and not self._send(moment) and finishing:
            return False
        if finishing and moment.mono >= self._give_up_at:
            return False
        self.next_at = moment.mono + (_HASTE_S if finishing else self._stream.period_s)
        return True

    def finish(self, moment: Now) -> None:
        """Send the rest, within a few seconds; the file may be removed meanwhile."""
        self._open()
        self._give_up_at = moment.mono + FINISH_S
        self.next_at = moment.mono

    def close(self) -> None:
        """Let go of file and thread."""
        self._pusher.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _hear(self) -> None:
        trouble = self._pusher.outcome()
        if trouble is None:
            return
        if trouble and trouble != self._trouble:
            _log.warning("real-time logs are not taken: job=%d %s", self._job_id, trouble)
        self._trouble = trouble
        if not trouble:
            self._taken = self._under_way
            with contextlib.suppress(OSError):
                self.note.write_text(json.dumps({"taken": self._taken}), encoding="ascii")

    def _send(self, moment: Now) -> bool:
        """Hand the next batch to the pusher; False when there is none, or its server does not take any at the end."""
        if not self._open() or (self._trouble and self._give_up_at):
            return False
        lines, self._under_way = read_lines(self._descriptor, self._taken, whole=self._give_up_at == 0)
        if not lines:
            self._taken = self._under_way
            return False
        self._pusher.send([redact(line) for line in lines], moment.wall)
        return True

    def _open(self) -> bool:
        if self._descriptor < 0:
            try:
                descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except OSError:
                return False
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                return False
            self._descriptor = descriptor
        return True


def read_lines(descriptor: int, taken: int, *, whole: bool) -> tuple[list[str], int]:
    """Return the next lines of a file and how far they reach.

    Args:
        descriptor: a regular file.
        taken: bytes that are dealt with; a file that is shorter was begun anew.
        whole: leave a last line without its end for later.
    """
    size = os.fstat(descriptor).st_size
    taken = taken if taken <= size else 0
    lines = []
    if size - taken > BEHIND_BYTES:
        lines.append(f"[{size - taken - BATCH_BYTES} bytes are left out here]")
        taken = size - BATCH_BYTES
    data = os.pread(descriptor, BATCH_BYTES, taken)
    goes_on = b"\n" in data and taken + len(data) < size
    if goes_on or (whole and len(data) < BATCH_BYTES):
        data = data[: data.rfind(b"\n") + 1]
    text = data.decode("utf-8", "replace")
    lines += [line[:LINE_CHARS] for line in text.split("\n") if line.strip()]
    return lines, taken + len(data)


def note_of(task: Watch) -> Path:
    """Return the file that says how far the file of a Watch was taken."""
    return Path(task.control_dir) / _NAME


def _noted(path: Path) -> int:
    try:
        return max(0, int(json.loads(read_bounded(path, 4096) or '{"taken": 0}')["taken"]))
    except (ValueError, TypeError, KeyError):
        return 0


class Streams:
    """The streams of a monitor, by the lease of their Watch.

    A Watch that is given again, with other secrets say, begins where the stream before it ends: one file is never sent
    by two at a time.
    """

    def __init__(self, ca_path: str) -> None:
        self._ca_path = ca_path
        self._streams: dict[str, Stream] = {}
        self._waiting: dict[str, Watch] = {}
        self._ended: set[str] = set()

    def begin(self, lease: str, task: Watch, moment: Now) -> None:
        """Follow the file of a Watch, if it names one."""
        if task.stream is not None:
            self._waiting[lease] = task
            self._begin_waiting(moment)

    def finish(self, lease: str, moment: Now) -> None:
        """Send the rest of a stream, then forget it."""
        if lease in self._waiting:
            self._ended.add(lease)
        elif lease in self._streams:
            self._streams[lease].finish(moment)
            self.tick(moment)

    def tick(self, moment: Now) -> None:
        """Do what is due."""
        for lease, stream in list(self._streams.items()):
            if moment.mono >= stream.next_at and not stream.act(moment):
                stream.close()
                del self._streams[lease]
        self._begin_waiting(moment)

    def next_times(self) -> Iterator[float]:
        """Yield when something is due."""
        return (stream.next_at for stream in self._streams.values())

    def _begin_waiting(self, moment: Now) -> None:
        busy = {stream.note for stream in self._streams.values()}
        for lease, task in list(self._waiting.items()):
            if task.stream is None or note_of(task) in busy:
                continue
            del self._waiting[lease]
            self._streams[lease] = Stream(task, task.stream, self._ca_path, moment)
            busy.add(note_of(task))
            if lease in self._ended:
                self._ended.discard(lease)
                self._streams[lease].finish(moment)
