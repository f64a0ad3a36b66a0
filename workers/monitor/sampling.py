"""Reads what a payload's processes use and what its directory holds. Nothing here fails for what vanishes meanwhile."""

import contextlib
import json
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from host.files import read_bounded
from host.processes import Identity, ProcessRow, boot_id, read_row, tree_of
from workers.monitor.machine import DirectorySample, TreeSample

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
_REFRESH = 6
_DEPTH_LIMIT = 64


def boot_s() -> float:
    """Return the seconds since boot, those of the host's sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def read_identity(path: Path) -> Identity | None:
    """Return the identity that the shim wrote (`payload.json`, `shim.json`), None when it is not there (yet)."""
    try:
        mark = json.loads(read_bounded(path, 4096) or "null")
        return Identity(pid=mark["pid"], start_ticks=mark["start_ticks"], boot_id=mark["boot_id"])
    except (ValueError, TypeError, KeyError):
        return None


class Tree:
    """The processes of one payload. Strangers are looked at once and then left out, so a busy node costs little."""

    def __init__(
        self, payload: Identity, shim: Identity | None, since_ticks: int | None = None, *, another: bool = False
    ) -> None:
        """Take the two roots: daemons of the payload come home to the shim.

        Args:
            payload: its first process.
            shim: its launcher.
            since_ticks: the start of the first of the job's processes, where there were others before.
            another: one of them was seen: what this one uses comes on top of that.
        """
        self.payload = payload
        self._since_ticks = payload.start_ticks if since_ticks is None else since_ticks
        self._another = another
        self._shim = shim
        self._strangers: set[str] = set()
        self._looks = 0

    @property
    def age_s(self) -> float:
        """Seconds since the start of the payload, or of the first of the job's processes."""
        return max(0.0, boot_s() - self._since_ticks / _TICKS)

    def sample(self, *, with_pss: bool) -> TreeSample | None:
        """Return what the tree uses now, None when the payload is over. PSS is what costs: it may be left out."""
        first = read_row(self.payload.pid)
        if first is None or first.start_ticks != self.payload.start_ticks or self.payload.boot_id != boot_id():
            return None
        rows = self._rows()
        shim_pid = self._shim.pid if self._shim is not None else 0
        own = [row for row in rows if row.pid != shim_pid and row.state not in "ZX"]
        memory = [_memory(row.pid, with_pss=with_pss) for row in own]
        flow = [_io(row.pid) for row in own]
        io = tuple(sum(column) for column in zip(*flow, strict=True))
        another, self._another = self._another, False
        pss, rss, vmem, swap = (sum(column) for column in zip(*memory, strict=True)) if memory else (0, 0, 0, 0)
        return TreeSample(
            age_s=self.age_s,
            processes=len(own),
            # The shim's row counts for those of its children that it has reaped, the zombies for themselves.
            cpu_s=sum(row.ticks for row in rows) / _TICKS,
            io_bytes=sum(io[:2]),
            io=io,
            pss_kb=pss if with_pss else -1,
            rss_kb=rss,
            vmem_kb=vmem,
            swap_kb=swap,
            another=another,
        )

    def _rows(self) -> list[ProcessRow]:
        self._looks += 1
        if self._looks % _REFRESH == 0:  # a stranger's pid may have been given to a process of the payload
            self._strangers.clear()
        table: dict[int, ProcessRow] = {}
        names = {entry.name for entry in os.scandir("/proc") if entry.name.isdigit()}
        for name in names - self._strangers:
            row = read_row(int(name))
            if row is not None:
                table[row.pid] = row
        roots = [self.payload.pid]
        if self._shim is not None and self._shim.pid in table:
            roots += [self._shim.pid] * (table[self._shim.pid].start_ticks == self._shim.start_ticks)
        rows = tree_of(roots, table, [self.payload.pid])
        self._strangers = (names & self._strangers) | {str(pid) for pid in table.keys() - {row.pid for row in rows}}
        return rows


def _memory(pid: int, *, with_pss: bool) -> tuple[int, int, int, int]:
    """Return PSS, RSS, virtual memory and swap of a process in kB; zeros when it is gone."""
    try:
        sizes = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
        vmem, rss = int(sizes[0]) * _PAGE_KB, int(sizes[1]) * _PAGE_KB
    except (OSError, ValueError, IndexError):
        return 0, 0, 0, 0
    rollup = _keyed(f"/proc/{pid}/smaps_rollup", "Pss:", "Swap:") if with_pss else {}
    swap = rollup.get("Swap:")
    if swap is None:
        swap = _keyed(f"/proc/{pid}/status", "VmSwap:").get("VmSwap:", 0)
    # Another user's process (a setuid container) or an old kernel: RSS is the next best.
    return rollup.get("Pss:", rss), rss, vmem, swap


def _keyed(path: str, *keys: str) -> dict[str, int]:
    """Return the numbers behind `keys` in a file of "key number" lines; what cannot be read is left out."""
    values: dict[str, int] = {}
    with contextlib.suppress(OSError, ValueError):
        for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(keys):
                words = line.split()
                values[words[0]] = int(words[1])
    return values


_IO_KEYS = ("rchar:", "wchar:", "read_bytes:", "write_bytes:")


def _io(pid: int) -> tuple[int, ...]:
    """Return the bytes a process and its reaped children moved: read and written by any call, from and to disk."""
    found = _keyed(f"/proc/{pid}/io", *_IO_KEYS)
    return tuple(found.get(key, 0) for key in _IO_KEYS)


# ---------------------------------------------------------------- disk
def free_disk_bytes(path: Path) -> int:
    """Return the space left for this user where `path` is, -1 when it cannot be known."""
    try:
        status = os.statvfs(path)
    except OSError:
        return -1
    return status.f_bavail * status.f_frsize


def outputs(job_dir: Path, names: tuple[str, ...]) -> tuple[tuple[int, float], ...]:
    """Return size and time of change of each file, (-1, 0) for one that is not there."""
    marks = []
    for name in names:
        try:
            status = (job_dir / name).lstat()
        except OSError:
            marks.append((-1, 0.0))
        else:
            marks.append((status.st_size, status.st_mtime))
    return tuple(marks)


class Directory:
    """The job directory, walked a bounded step at a time. Links are not followed, other file systems not entered."""

    def __init__(self, path: Path, ignored: tuple[str, ...] = ("pilotlog", "memory_monitor")) -> None:
        """Take the top; changes of files whose names begin with one of `ignored` (the pilot's own) are no sign."""
        self.latest = DirectorySample()
        self._path = path
        self._ignored = ignored
        self._walk: Iterator[None] | None = None

    @property
    def walking(self) -> bool:
        """Whether a walk has begun that is not at its end."""
        return self._walk is not None

    def step(self, entries_limit: int, time_limit_s: float) -> bool:
        """Go on with the walk for as many entries and as long as allowed; True when `latest` is new."""
        if self._walk is None:
            self._walk = self._entries()
        stop_at = time.monotonic() + time_limit_s
        for _ in range(entries_limit):
            if next(self._walk, self) is self:
                self._walk = None
                return True
            if time.monotonic() >= stop_at:
                break
        return False

    def _entries(self) -> Iterator[None]:
        """Yield after each entry; at the end `latest` is the sum of all."""
        occupied = size = count = 0
        newest = 0.0
        linked: set[tuple[int, int]] = set()
        for entry, status in self._files():
            yield
            if entry is None or status is None:
                continue
            # A file with holes occupies less than its size says; one with several names occupies its place once.
            if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in linked:
                occupied += min(status.st_size, status.st_blocks * 512 + 4096)
            if status.st_nlink > 1:
                linked.add((status.st_dev, status.st_ino))
            if not entry.name.startswith(self._ignored):
                newest = max(newest, status.st_mtime)
                count += 1
                size += status.st_size
        self.latest = DirectorySample(size_bytes=occupied, touched=(newest, count, size))

    def _files(self) -> Iterator[tuple[os.DirEntry[str] | None, os.stat_result | None]]:
        """Yield every file below the top with its status, and (None, None) for every other entry."""
        stack = [(str(self._path), 0)]
        device = _device(self._path)
        while stack:
            top, depth = stack.pop()
            # Directories are removed or closed to us while they are read.
            with contextlib.suppress(OSError), os.scandir(top) as entries:
                for entry in entries:
                    status = _status(entry)
                    if status is not None and stat.S_ISDIR(status.st_mode):
                        if status.st_dev == device and depth < _DEPTH_LIMIT:
                            stack.append((entry.path, depth + 1))
                        yield None, None
                    else:
                        yield (None, None) if status is None else (entry, status)


def _status(entry: os.DirEntry[str]) -> os.stat_result | None:
    try:
        return entry.stat(follow_symlinks=False)
    except OSError:
        return None


def _device(path: Path) -> int:
    try:
        return path.stat().st_dev
    except OSError:
        return -1
