"""Which file a stream of lines follows: a plain name, or the newest of a kind, or another one in its place."""

import fnmatch
import os
import stat
from pathlib import Path

#: Where scripts of user jobs run what they run.
_INNER = "workDir"
_ENTRIES = 10_000


class Followed:
    """The file of a stream, opened when it is there and then kept, whatever is made beside it.

    Args:
        job_dir: where relative names are looked for.
        name: its name; with a "*" the newest file of that kind, there or in workDir.
        fallback: followed instead when that has not come `patience_s` after the fallback itself came; "" for none.
    """

    def __init__(self, job_dir: Path, name: str, fallback: str = "", patience_s: float = 0.0) -> None:
        self._job_dir = job_dir
        self._name = name
        self._fallback = fallback
        self._patience_s = patience_s
        self._since: float | None = None
        self.path: Path | None = None

    def open(self, mono: float, *, at_once: bool = False) -> int:
        """Return a descriptor of the file, -1 while there is none; with `at_once` the fallback is not put off."""
        for path in self._choices(mono, at_once=at_once):
            descriptor = _regular(path)
            if descriptor >= 0:
                self.path = path
                return descriptor
        return -1

    def _choices(self, mono: float, *, at_once: bool) -> list[Path]:
        if self.path is not None:
            return [self.path]
        plain = "*" not in self._name or "/" in self._name
        found = [self._job_dir / self._name] if plain else self._newest()
        found = [path for path in found if _status(path) is not None]
        if not found and self._fallback and (at_once or self._waited(mono)):
            found = [self._job_dir / self._fallback]
        return found

    def _newest(self) -> list[Path]:
        """Return the files of the kind, the newest first."""
        dated = []
        for folder in (self._job_dir, self._job_dir / _INNER):
            for name in fnmatch.filter(_names(folder), self._name):
                status = _status(folder / name)
                if status is not None and stat.S_ISREG(status.st_mode):
                    dated.append((status.st_mtime, folder / name))
        return [path for _, path in sorted(dated, reverse=True)]

    def _waited(self, mono: float) -> bool:
        if self._since is None and _status(self._job_dir / self._fallback) is not None:
            self._since = mono
        return self._since is not None and mono - self._since >= self._patience_s


def _names(folder: Path) -> list[str]:
    """Return the names in a directory, which is no link; those beyond a bound are not looked at."""
    status = _status(folder)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return []
    try:
        with os.scandir(folder) as entries:
            return [entry.name for _, entry in zip(range(_ENTRIES), entries, strict=False)]
    except OSError:
        return []


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None


def _regular(path: Path) -> int:
    """Return a descriptor of a regular file, -1 when there is none; a link is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return -1
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return -1
    return descriptor
