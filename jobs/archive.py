"""The log archive: which members of a job directory go into it, and how it is made.

The directory was written by a payload: nothing in it is trusted. No link is followed, nothing but regular files is
opened, names and counts are bounded (pitfalls P99, P116; hostile cases H093, H099, H100). A member that vanishes,
shrinks or cannot be read costs a note, never the archive. Links that stay inside are kept as links, others are left
out with a note; so are hard links' other names: each is packed as a file of its own.
"""

import errno
import fnmatch
import io
import os
import re
import stat
import tarfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from errors.codes import ErrorCode
from errors.exceptions import JobError
from errors.texts import one_line

#: Left out wherever they lie: core files, secrets, byte code, partial files of transfers (names, as in a shell).
LEFT_OUT = (
    "core",
    "core.[0-9]*",
    "*.core",
    "panda_secrets.json",
    "x509up_u*",
    "*_proxy",
    "*.proxy",
    "*.pyc",
    "__pycache__",
    ".*.part",
)
NOTES_NAME = "left_out.txt"
MAX_MEMBERS = 50_000
MAX_MEMBER_BYTES = 2 * 1024**3
MAX_NAME_BYTES = 1024
MAX_DEPTH = 64
_MAX_NOTES = 500
#: What an entry that was looked at, and a member that was packed, count for besides their bytes: a million empty files
#: are work as well, and who waits for the archive must see that it goes on.
ENTRY_BYTES = 512
_COMPRESSION = 3
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class ArchiveMade(NamedTuple):
    """The archive's size in bytes, how many members it has, and what was left out and why."""

    size_bytes: int
    members: int
    notes: tuple[str, ...]


class _Member(NamedTuple):
    """One entry below the job directory: its name relative to it, and its status when it was seen."""

    name: str
    status: os.stat_result
    link: str = ""


def _nothing(_value: int) -> None:
    """Report to nobody."""


def make_archive(
    job_dir: str,
    archive_path: str,
    top_name: str,
    exclude: Iterable[str] = (),
    extras: Iterable[str] = (),
    report: Callable[[int], None] = _nothing,
    announce: Callable[[int], None] = _nothing,
) -> ArchiveMade:
    """Pack `job_dir` into a gzip tar at `archive_path`; the file is whole or absent, and on the disk.

    Args:
        job_dir: the directory; one that is gone is packed as if it were empty.
        archive_path: may lie in `job_dir`; it is then left out.
        top_name: the single directory that holds all members.
        exclude: paths relative to `job_dir` or absolute, of files or whole trees, or patterns with "*" or "?" that
            are compared with the relative path and with the last part of it.
        extras: paths of regular files to add at the top under their own names; they win over members of that name.
        report: called with the bytes packed so far; each entry counts as ENTRY_BYTES, twice when it is packed.
        announce: called once with the bytes there are.

    Raises:
        JobError: no space left (1098), or the archive could not be written (1320).
    """
    archive = Path(archive_path)
    notes = _Notes()
    unfinished = archive.with_name(f".{archive.name}.part")
    try:
        looked = _Done(report)
        chosen = choose_members(job_dir, [*exclude, archive_path], notes, looked)
        archive.parent.mkdir(parents=True, exist_ok=True)
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
        try:
            with open(descriptor, "wb") as stream:  # noqa: PTH123 - a descriptor
                packer = _Packer(stream, top_name, notes, looked)
                files = [Path(extra) for extra in extras]
                to_come = sum(min(member.status.st_size, MAX_MEMBER_BYTES) + ENTRY_BYTES for member in chosen)
                announce(looked.bytes + to_come)
                packer.pack(job_dir, chosen, files)
                stream.flush()
                os.fsync(stream.fileno())
                size = stream.tell()
            unfinished.replace(archive)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
    except (OSError, tarfile.TarError) as error:
        no_space = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        code = ErrorCode.NOLOCALSPACE if no_space else ErrorCode.LOGFILECREATIONFAILURE
        raise JobError(code, f"log archive: {error}") from error
    return ArchiveMade(size, packer.members, tuple(notes.lines))


class _Notes:
    """What was left out, bounded."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.more = 0

    def add(self, name: str, why: str) -> None:
        if len(self.lines) < _MAX_NOTES:
            self.lines.append(f"{one_line(os.fsencode(name).decode('utf-8', 'replace'))}: {why}")
        else:
            self.more += 1

    def text(self) -> str:
        last = [f"and {self.more} more"] if self.more else []
        return "".join(f"{line}\n" for line in [*self.lines, *last])


class _Done:
    """What was done so far, reported as it grows."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self.bytes = 0
        self._report = report

    def count(self, more_bytes: int) -> None:
        self.bytes += more_bytes
        self._report(self.bytes)


def choose_members(job_dir: str, exclude: Iterable[str], notes: _Notes, done: _Done) -> list[_Member]:
    """Return what is to be packed, in a fixed order; what is left out against expectation is noted."""
    if not Path(job_dir).is_dir():
        notes.add("(directory)", "it does not exist")
        return []
    left_out = _Exclusion(job_dir, exclude)
    chosen: list[_Member] = []
    total = 0
    for member in _walk(job_dir, left_out, notes):
        total += 1
        done.count(ENTRY_BYTES)
        if len(chosen) < MAX_MEMBERS:
            chosen.append(member)
    if total > len(chosen):
        notes.add("(directory)", f"{total - len(chosen)} of {total} members are too many")
    chosen.sort(key=lambda member: os.fsencode(member.name))
    return chosen


_LEFT_OUT = re.compile("|".join(fnmatch.translate(pattern) for pattern in LEFT_OUT))


class _Exclusion:
    """Tells what is left out on purpose."""

    def __init__(self, job_dir: str, exclude: Iterable[str]) -> None:
        base = job_dir.rstrip("/") + "/"
        names = [entry.removeprefix(base).strip("/") for entry in exclude]
        self._exact = {name.removeprefix("./") for name in names}
        self._patterns = [name for name in names if "*" in name or "?" in name]

    def __contains__(self, name: str) -> bool:
        if name in self._exact:
            return True
        last = name.rpartition("/")[2]
        if _LEFT_OUT.match(last):
            return True
        return any(fnmatch.fnmatchcase(name, each) or fnmatch.fnmatchcase(last, each) for each in self._patterns)


def _walk(job_dir: str, left_out: _Exclusion, notes: _Notes) -> Iterator[_Member]:
    """Yield the regular files, inner links and directories on the same file system, relative to `job_dir`."""
    root = os.path.realpath(job_dir)

    def unreadable(error: OSError) -> None:
        notes.add(str(error.filename), f"cannot be read ({error.strerror})")

    device = -1
    for folder, folders, files, handle in os.fwalk(job_dir, onerror=unreadable):
        here = os.path.relpath(folder, job_dir)
        prefix = "" if here == "." else here + "/"
        if device < 0:
            device = os.fstat(handle).st_dev
        deep = prefix.count("/") >= MAX_DEPTH
        kept = []
        for last in [*folders, *files]:
            name = prefix + last
            if name in left_out:
                continue
            member = _look(name, last, handle, root, notes)
            if member is None:
                continue
            if stat.S_ISDIR(member.status.st_mode):
                if deep or member.status.st_dev != device:
                    notes.add(name, "too deep" if deep else "another file system")
                    continue
                kept.append(last)
            yield member
        folders[:] = kept


def _look(name: str, last: str, handle: int, root: str, notes: _Notes) -> _Member | None:
    """Return the member `name`, None (with a note) when it is not one to pack."""
    if len(os.fsencode(name)) > MAX_NAME_BYTES:
        notes.add(name[:80], "its name is too long")
        return None
    try:
        status = os.stat(last, dir_fd=handle, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode):
            return _Member(name, status)
        if not stat.S_ISLNK(status.st_mode):
            notes.add(name, "not a regular file")
            return None
        link = os.readlink(last, dir_fd=handle)
    except OSError as error:
        notes.add(name, f"cannot be read ({error.strerror})")
        return None
    target = os.path.normpath(os.path.join(root, os.path.dirname(name), link))  # noqa: PTH118, PTH120 - not resolved
    if os.path.isabs(link) or not target.startswith(root + "/"):  # noqa: PTH117
        notes.add(name, "a link that leads out of the job directory")
        return None
    return _Member(name, status, link)


class _Packer:
    """Writes members to the archive."""

    def __init__(self, stream: IO[bytes], top_name: str, notes: _Notes, done: _Done) -> None:
        self._stream = stream
        self._top = top_name
        self._notes = notes
        self._done = done
        self.members = 0

    def pack(self, job_dir: str, chosen: list[_Member], extras: list[Path]) -> None:
        """Write all members, then the extras, then the notes."""
        with tarfile.open(
            fileobj=self._stream,
            mode="w:gz",
            format=tarfile.PAX_FORMAT,
            compresslevel=_COMPRESSION,
        ) as tar:
            top = tarfile.TarInfo(self._top)
            top.type, top.mode, top.mtime = tarfile.DIRTYPE, 0o755, int(time.time())
            tar.addfile(top)
            taken = {extra.name for extra in extras} | {NOTES_NAME}
            for member in chosen:
                if member.name not in taken:
                    self._add(tar, job_dir, member)
                self._done.count(ENTRY_BYTES)
            for extra in extras:
                self._add_file(tar, extra.name, partial(os.open, extra, _OPEN & ~os.O_NOFOLLOW))
            text = self._notes.text().encode()
            if text:
                info = tarfile.TarInfo(f"{self._top}/{NOTES_NAME}")
                info.size, info.mtime = len(text), int(time.time())
                tar.addfile(info, io.BytesIO(text))

    def _info(self, name: str, status: os.stat_result) -> tarfile.TarInfo:
        info = tarfile.TarInfo(f"{self._top}/{name}")
        info.mode, info.mtime = stat.S_IMODE(status.st_mode) & 0o777, int(status.st_mtime)
        return info

    def _add(self, tar: tarfile.TarFile, job_dir: str, member: _Member) -> None:
        if stat.S_ISREG(member.status.st_mode):
            self._add_file(tar, member.name, partial(_open_below, job_dir, member.name))
            return
        info = self._info(member.name, member.status)
        if member.link:
            info.type, info.linkname = tarfile.SYMTYPE, member.link
        else:
            info.type = tarfile.DIRTYPE
        tar.addfile(info)
        self.members += 1

    def _add_file(self, tar: tarfile.TarFile, path: str, opener: Callable[[], int]) -> None:
        """Add the regular file that `opener` opens, as `path`."""
        try:
            descriptor = opener()
        except OSError as error:
            self._notes.add(path, f"cannot be read ({error.strerror})")
            return
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)  # of a directory no stream can be made
            self._notes.add(path, "not a regular file")
            return
        with open(descriptor, "rb", buffering=0) as stream:  # noqa: PTH123 - a descriptor
            info = self._info(path, status)
            info.size = min(status.st_size, MAX_MEMBER_BYTES)
            if info.size < status.st_size:
                self._notes.add(path, f"only its first {info.size} of {status.st_size} bytes")
            source = _Reader(stream, self._done.count)
            tar.addfile(info, source)  # type: ignore[arg-type]
            self.members += 1
            if source.padded:
                self._notes.add(path, f"{source.padded} bytes at its end could not be read, they are zeros here")


class _Reader:
    """Reads a file that may shrink or fail while it is read: as many bytes come as were announced, zeros if need be."""

    def __init__(self, stream: IO[bytes], count: Callable[[int], None]) -> None:
        self._stream = stream
        self._count = count
        self.padded = 0

    def read(self, size: int) -> bytes:
        """Return exactly `size` bytes."""
        data = b""
        while len(data) < size and not self.padded:
            try:
                more = self._stream.read(size - len(data))
            except OSError:
                more = b""
            if not more:
                break
            data += more
        self._count(len(data))
        missing = size - len(data)
        self.padded += missing
        return data + bytes(missing)


def _open_below(base: str, path: str) -> int:
    """Open `path` below `base` without following a link on the way: each directory from the one before.

    Raises:
        OSError: as for open; a link in the way is ELOOP or ENOTDIR.
    """
    *folders, last = path.split("/")
    handle = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for folder in folders:
            inner = os.open(folder, _OPEN | os.O_DIRECTORY, dir_fd=handle)
            os.close(handle)
            handle = inner
        return os.open(last, _OPEN, dir_fd=handle)
    finally:
        os.close(handle)
