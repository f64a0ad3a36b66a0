"""The archive of a group of event ranges: an uncompressed, flat tar of their files (event-service 7.2)."""

import errno
import os
import stat
import tarfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, cast

from errors.codes import ErrorCode
from errors.exceptions import JobError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Counted:
    """A member's file that tells how much of all was read."""

    def __init__(self, stream: IO[bytes], before: int, report: Callable[[int], None]) -> None:
        self._stream = stream
        self.done = before
        self._report = report

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.done += len(data)
        self._report(self.done)
        return data


def make_tar(tar_path: str, members: Iterable[str], report: Callable[[int], None] = lambda _done: None) -> int:
    """Pack files under their base names; the tar is whole or absent, and on the disk. Return its size in bytes.

    Args:
        tar_path: what is there is replaced.
        members: absolute paths of regular files; no link is followed.
        report: called with the bytes packed so far.

    Raises:
        JobError: a member cannot be read (1165), there is no space (1098), or the tar could not be written (1137).
    """
    target = Path(tar_path)
    unfinished = target.with_name(f".{target.name}.part")
    try:
        unfinished.unlink(missing_ok=True)
        with unfinished.open("xb") as stream:
            with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
                done = 0
                for member in members:
                    done = _add(archive, member, done, report)
            stream.flush()
            os.fsync(stream.fileno())
            size = stream.tell()
        unfinished.replace(target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        code = ErrorCode.NOLOCALSPACE if error.errno in _FULL else ErrorCode.STAGEOUTFAILED
        raise JobError(code, f"{target.name}: {error}") from error
    except JobError:
        unfinished.unlink(missing_ok=True)
        raise
    return size


def _add(archive: tarfile.TarFile, member: str, done: int, report: Callable[[int], None]) -> int:
    try:
        descriptor = os.open(member, _OPEN)
    except OSError as error:
        raise JobError(ErrorCode.MISSINGOUTPUTFILE, f"{member}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise JobError(ErrorCode.MISSINGOUTPUTFILE, f"{member} is no regular file")
    with os.fdopen(descriptor, "rb") as stream:
        info = archive.gettarinfo(arcname=os.path.basename(member), fileobj=stream)  # noqa: PTH119 - text
        counted = _Counted(stream, done, report)
        archive.addfile(info, cast("IO[bytes]", counted))
        return counted.done
