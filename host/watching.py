"""Waits for a change in directories: inotify where it works, a bounded wait where it does not (network storage)."""

import ctypes
import os
import select
from collections.abc import Iterable
from types import TracebackType

_CLOEXEC_NONBLOCK = os.O_CLOEXEC | os.O_NONBLOCK
_IN_CLOSE_WRITE, _IN_MOVED_TO, _IN_CREATE = 0x8, 0x80, 0x100
_MASK = _IN_CLOSE_WRITE | _IN_MOVED_TO | _IN_CREATE


class DirectoryWatch:
    """Sees files appear in directories; changes between two waits are not lost. Use it as a context manager."""

    def __init__(self, directories: Iterable[str]) -> None:
        """Begin to watch; a directory that cannot be watched is left out, and is seen by whoever looks again."""
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor: int = libc.inotify_init1(_CLOEXEC_NONBLOCK)
        if self._descriptor >= 0:
            for directory in directories:
                libc.inotify_add_watch(self._descriptor, os.fsencode(directory), _MASK)

    def __enter__(self) -> "DirectoryWatch":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def wait(self, timeout_s: float) -> None:
        """Return when something changed, at the latest after `timeout_s`."""
        watched = [self._descriptor] if self._descriptor >= 0 else []
        ready, _, _ = select.select(watched, [], [], max(0.0, timeout_s))
        if ready:
            os.read(self._descriptor, 65536)
