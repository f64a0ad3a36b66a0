"""Removes directory trees that others filled: whatever is in them, nothing outside is touched.

Everything is done relative to open directories and no link is followed. A tree of any depth is removed with a handful
of descriptors: its inner directories are first moved up to the top, one by one (hostile case H099).
"""

# ruff: noqa: PTH101, PTH117 - pathlib costs 6 ms of the start
import errno
import os
import stat

from errors.codes import ErrorCode
from movers.base import MoverError, Report

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_trees(root: str, paths: list[str], report: Report) -> int:
    """Remove `paths` (files or whole trees), all of them strictly below `root`; what is gone already is fine.

    `report` is called with the number of things removed so far.

    Returns:
        How many things were removed.

    Raises:
        MoverError: a path is not below `root` (1303, permanent), or something cannot be removed (1303, retry).
    """
    removal = _Removal(report)
    for path in paths:
        parts = _parts_below(root, path)
        try:
            folder = _open_parent(root, parts)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _failure(error) from error
        try:
            removal.remove(folder, parts[-1])
        except OSError as error:
            raise _failure(error) from error
        finally:
            os.close(folder)
    return removal.count


def _failure(error: OSError) -> MoverError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return MoverError(ErrorCode.FILEHANDLINGFAILURE, "a link or a file stands where a directory should be")
    return MoverError(ErrorCode.FILEHANDLINGFAILURE, f"removing: {error.strerror}", retry=True)


def _parts_below(root: str, path: str) -> list[str]:
    base, target = os.path.normpath(root), os.path.normpath(path)
    if not os.path.isabs(base) or base == "/" or not target.startswith(base + "/") or ".." in path.split("/"):
        raise MoverError(ErrorCode.FILEHANDLINGFAILURE, "refused to remove what is not below the work directory")
    return target[len(base) + 1 :].split("/")


def _open_parent(root: str, parts: list[str]) -> int:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts[:-1]:
        try:
            inner = os.open(part, _DIRECTORY, dir_fd=folder)
        finally:
            os.close(folder)
        folder = inner
    return folder


class _Removal:
    """Counts while it removes."""

    def __init__(self, report: Report) -> None:
        self.count = 0
        self._moved = 0
        self._report = report

    def _removed(self) -> None:
        self.count += 1
        if self.count % 64 == 0:
            self._report(self.count)

    def remove(self, folder: int, name: str) -> None:
        """Remove one entry of the directory `folder`."""
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=folder)
                self._removed()
                return
            top = _open_directory(folder, name)
        except FileNotFoundError:
            return
        try:
            while inner := self._empty(top):
                for one in inner:
                    self._flatten(top, one)
        finally:
            os.close(top)
        self._rmdir(folder, name)

    def _empty(self, folder: int) -> list[str]:
        """Unlink all files in `folder`; return its directories."""
        inner = []
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    inner.append(entry.name)
                else:
                    try:
                        os.unlink(entry.name, dir_fd=folder)
                    except FileNotFoundError:
                        continue
                    self._removed()
        return inner

    def _flatten(self, top: int, name: str) -> None:
        """Move the directories in `name` up to `top`, unlink its files, remove it."""
        try:
            folder = _open_directory(top, name)
        except FileNotFoundError:
            return
        try:
            for inner in self._empty(folder):
                self._moved += 1
                _make_writable(folder, inner)
                os.rename(inner, f".removed.{os.getpid()}.{self._moved}", src_dir_fd=folder, dst_dir_fd=top)
        finally:
            os.close(folder)
        self._rmdir(top, name)

    def _rmdir(self, folder: int, name: str) -> None:
        try:
            os.rmdir(name, dir_fd=folder)
        except FileNotFoundError:
            return
        self._removed()


def _open_directory(folder: int, name: str) -> int:
    """Open a directory, making it ours to read and empty first where its owner took those rights away."""
    _make_writable(folder, name)
    return os.open(name, _DIRECTORY, dir_fd=folder)


def _make_writable(folder: int, name: str) -> None:
    status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode) or status.st_mode & 0o700 == 0o700:
        return
    # Through a descriptor, since chmod by name would follow a link put there meanwhile.
    handle = os.open(name, os.O_PATH | _DIRECTORY, dir_fd=folder)
    try:
        os.chmod(f"/proc/self/fd/{handle}", 0o700)
    finally:
        os.close(handle)
