"""Files that are whole or absent (pitfall P60), and the opening of files that others may have tampered with."""

import contextlib
import os
import stat
from pathlib import Path


def write_atomic(path: Path, data: bytes | str, mode: int = 0o644) -> None:
    """Replace `path` by `data`: temporary name, fsync, rename, fsync of the directory.

    Raises:
        OSError: when it could not be written; `path` then holds what it held before.
    """
    raw = data.encode() if isinstance(data, str) else data
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(raw)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_directory(path.parent)


def read_regular(path: Path, limit_bytes: int) -> bytes:
    """Return a regular file of at most `limit_bytes`; links are followed.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger; the text names the path.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        with open(descriptor, "rb", closefd=False) as stream:
            data = stream.read(limit_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > limit_bytes:
        raise OSError(f"{path} is larger than {limit_bytes} bytes")
    return data


def sync_directory(path: Path) -> None:
    """Make renames and creations in `path` durable; file systems that cannot are left alone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_bounded(path: Path, limit_bytes: int, *, tail: bool = False) -> str:
    """Return at most `limit_bytes` of a regular file as text, "" when it is absent or not a regular file.

    Foreign bytes are replaced (P99); links are not followed; with `tail` the end is read instead of the beginning.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        # fdopen refuses directories with an exception, and leaves the descriptor open then.
        os.close(descriptor)
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        if tail and status.st_size > limit_bytes:
            stream.seek(status.st_size - limit_bytes)
        return stream.read(limit_bytes).decode("utf-8", "replace")
