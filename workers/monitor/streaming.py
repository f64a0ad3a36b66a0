"""Real-time logs: the growth of a file, batch by batch, to a log server (behaviour 24).

The file itself is the buffer: a batch is read when the one before it was taken, and what cannot be kept up with is left
out and said so. How far it was taken is noted beside the job's control files, so that a new monitor goes on from there;
at worst a batch is sent twice. Nothing that happens here touches the job.
"""

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from errors.redaction import redact
from host.clock import Now
from host.files import read_bounded
from ipc.parts import LogStream
from ipc.tasks import Inspect, Watch
from workers.monitor.followed import Followed

_log = logging.getLogger("monitor")

BATCH_BYTES = 256 * 1024
LINE_CHARS = 16 * 1024
#: What is further behind than this is left out.
BEHIND_BYTES = 8 * 1024 * 1024
#: After the payload's end the rest is sent in haste, for so long at most.
FINISH_S = 10.0
_HASTE_S = 0.2
#: A batch that is under way for longer is given up, and sent again.
STUCK_S = 60.0
_NAME = "realtime.json"
#: Looks of the debug mode that make lines be sent: the newest file's tail, and one that was asked for.
_WAKING = ("newest", "tail")


class Stream:
    """One file and its server; `next_at` is when (monotonic) there is something to do, `note` says how far it is."""

    def __init__(self, task: Watch, stream: LogStream, ca_path: str, moment: Now, number: int = 0) -> None:
        from workers.monitor.pushing import Pusher  # noqa: PLC0415 - most monitors need no HTTP

        self.next_at = moment.mono + stream.period_s
        self._stream = stream
        self._job_id = task.job_id
        self._file = Followed(Path(task.job_dir), stream.file, stream.fallback, stream.patience_s)
        self.note = Path(task.control_dir) / (f"realtime.{number}.json" if number else _NAME)
        self._pusher = Pusher(stream, ca_path)
        self._descriptor = -1
        self._noted = _noted(self.note)
        self._taken = 0
        self._under_way = 0
        self._sent_at = 0.0
        self._give_up_at = 0.0
        self._trouble = ""

    def act(self, moment: Now) -> bool:
        """Take the outcome of the batch before, send the next one; False when nothing is left to do."""
        self._hear()
        if self._pusher.busy and moment.mono - self._sent_at > STUCK_S:
            self._pusher.give_up()
        finishing = self._give_up_at > 0
        if not self._pusher.busy and not self._send(moment) and finishing:
            return False
        if finishing and moment.mono >= self._give_up_at:
            return False
        self.next_at = moment.mono + (_HASTE_S if finishing else self._stream.period_s)
        return True

    def finish(self, moment: Now) -> None:
        """Send the rest, within a few seconds; the file may be removed meanwhile."""
        self._open(moment, at_once=True)
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
                self.note.write_text(json.dumps({"taken": self._taken, "file": str(self._file.path)}))

    def _send(self, moment: Now) -> bool:
        """Hand the next batch to the pusher; False when there is none, or its server does not take any at the end."""
        if not self._open(moment) or (self._trouble and self._give_up_at):
            return False
        lines, self._under_way = read_lines(self._descriptor, self._taken, whole=self._give_up_at == 0)
        if not lines:
            self._taken = self._under_way
            return False
        self._sent_at = moment.mono
        self._pusher.send([redact(line) for line in lines], moment.wall)
        return True

    def _open(self, moment: Now, *, at_once: bool = False) -> bool:
        if self._descriptor < 0:
            self._descriptor = self._file.open(moment.mono, at_once=at_once)
            # What was noted of another file says nothing of this one.
            same = self._noted.get("file", str(self._file.path)) == str(self._file.path)
            self._taken = int(self._noted.get("taken", 0)) if same else 0
        return self._descriptor >= 0


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


def _noted(path: Path) -> dict[str, Any]:
    """Return what a monitor before noted: how far it was taken, and of which file; {} for nothing."""
    try:
        found = json.loads(read_bounded(path, 8192) or "{}")
        return {"taken": max(0, int(found["taken"])), **({"file": found["file"]} if "file" in found else {})}
    except (ValueError, TypeError, KeyError):
        return {}


class Streams:
    """The streams of a monitor, by the lease of their Watch."""

    def __init__(self, ca_path: str) -> None:
        self._ca_path = ca_path
        self._dormant: dict[str, Watch] = {}
        self._waiting: dict[str, Watch] = {}
        self._ended: set[str] = set()
        self._streams: dict[str, list[Stream]] = {}

    def begin(self, lease: str, task: Watch, moment: Now) -> None:
        """Follow the files of a Watch, if it names any.

        Dormant ones wait to be woken if nobody follows them. What a Watch before follows (with other secrets, say) is
        followed from where that one ends, so that no line goes out twice.
        """
        if task.stream is None:
            return
        if task.stream.dormant and Path(task.control_dir) not in self._followed():
            self._dormant[lease] = task
            return
        self._waiting[lease] = task
        self._begin_waiting(moment)

    def wake(self, look: Inspect, moment: Now) -> None:
        """Begin the dormant stream of the job that is looked into; a tail's own file is the one to follow."""
        verb, *arguments = look.words
        for lease, task in list(self._dormant.items()):
            if task.job_dir != look.job_dir or verb not in _WAKING or task.stream is None:
                continue
            del self._dormant[lease]
            stream = replace(task.stream, dormant=False)
            if verb == "tail":
                stream = replace(stream, file=arguments[-1], fallback=stream.fallback or stream.file)
            self.begin(lease, replace(task, stream=stream), moment)

    def finish(self, lease: str, moment: Now) -> None:
        """Send the rest of the streams of a Watch, then forget them."""
        self._dormant.pop(lease, None)
        if lease in self._waiting:
            self._ended.add(lease)
        for stream in self._streams.get(lease, ()):
            stream.finish(moment)
        self.tick(moment)

    def tick(self, moment: Now) -> None:
        """Do what is due."""
        for lease, streams in list(self._streams.items()):
            for stream in list(streams):
                if moment.mono >= stream.next_at and not stream.act(moment):
                    stream.close()
                    streams.remove(stream)
            if not streams:
                del self._streams[lease]
        self._begin_waiting(moment)

    def next_times(self) -> Iterator[float]:
        """Yield when something is due."""
        return (stream.next_at for streams in self._streams.values() for stream in streams)

    def _followed(self) -> set[Path]:
        """Return the control directories of the jobs whose files are followed."""
        return {stream.note.parent for streams in self._streams.values() for stream in streams}

    def _begin_waiting(self, moment: Now) -> None:
        for lease, task in list(self._waiting.items()):
            if task.stream is None or Path(task.control_dir) in self._followed():
                continue
            del self._waiting[lease]
            files = (task.stream, *(replace(task.stream, file=name, fallback="") for name in task.stream.more_files))
            self._streams[lease] = [
                Stream(task, stream, self._ca_path, moment, number) for number, stream in enumerate(files)
            ]
            if lease in self._ended:
                self._ended.discard(lease)
                for stream in self._streams[lease]:
                    stream.finish(moment)
