"""How a file lands at a local destination: whole, checked, and in one step (pitfalls P60, P80, P81, H110).

The bytes go to a partial file beside the destination, made anew (O_EXCL, links not followed); a leftover of a dead
attempt is removed first. `settle` renames it. What stood there before is replaced, by inputs and outputs alike, as the
tools in use do; a reader sees the old file or the new one. Outputs are made durable, inputs are not: they can be
fetched again.
"""

# ruff: noqa: PTH103, PTH108, PTH118 - pathlib costs 6 ms of the start
import contextlib
import os
import stat
from collections.abc import Callable
from types import TracebackType
from typing import Self

from errors.codes import ErrorCode
from movers.base import Moved, MoverError, Order, Report, check, default_code, local_path, os_failure, partial_name
from movers.checksums import add_range, hasher

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Landing:
    """The destination's directory, and a partial file in it that is removed unless it is settled."""

    def __init__(self, order: Order) -> None:
        """Open (make, where needed) the destination's directory and remove what a dead attempt left there.

        Raises:
            MoverError: the directory cannot be made or opened (1199 in, 1134 out; no space 1098, 1333).
        """
        self._order = order
        self.path = local_path(order.destination)
        folder, self.name = os.path.split(self.path)
        if not self.name:
            raise MoverError(ErrorCode.FILEHANDLINGFAILURE, "the destination is a directory")
        self.partial = partial_name(self.name, order.token)
        self.descriptor = -1
        self._pending = False
        try:
            os.makedirs(folder, exist_ok=True)
            self.folder = os.open(folder, _DIRECTORY)
        except OSError as error:
            raise _folder_failure(error, order.direction) from error
        try:
            self._remove_partial()
        except BaseException:
            os.close(self.folder)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._pending:
                with contextlib.suppress(MoverError):
                    self._remove_partial()
            if self.descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(self.descriptor)
        finally:
            os.close(self.folder)

    def _remove_partial(self) -> None:
        try:
            os.unlink(self.partial, dir_fd=self.folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise os_failure(error, self._order.direction, "removing a partial file") from error

    def create(self, mode: int = 0o644) -> int:
        """Return the descriptor of the new partial file; `settle` closes it."""
        try:
            self.descriptor = os.open(self.partial, _NEW, mode | 0o600, dir_fd=self.folder)
        except FileExistsError as error:
            code = default_code(self._order.direction)
            raise MoverError(code, "another mover makes the same file", retry=True) from error
        except OSError as error:
            raise os_failure(error, self._order.direction, "creating the partial file") from error
        self._pending = True
        return self.descriptor

    def adopt(self, make: Callable[[str, int], None]) -> None:
        """Have `make(name, dir_fd)` create the partial file as a link of either kind.

        Raises:
            OSError: as `make` does.
        """
        make(self.partial, self.folder)
        self._pending = True

    def check_space(self, needed_bytes: int) -> None:
        """Refuse what certainly does not fit, before the disk is full (P89): 1098 in, 1333 out."""
        room = os.fstatvfs(self.folder)
        if room.f_blocks and needed_bytes > room.f_bavail * room.f_frsize:
            code = ErrorCode.NOLOCALSPACE if self._order.direction == "in" else ErrorCode.NOREMOTESPACE
            free = room.f_bavail * room.f_frsize
            raise MoverError(code, f"no space left on device: {needed_bytes} bytes needed, {free} free")

    def settle(self) -> None:
        """Give the partial file its mode and its final name; afterwards the destination is the new file.

        Raises:
            MoverError: it could not be written out or renamed, or another mover meddled (worth a retry).
        """
        order = self._order
        try:
            if self.descriptor >= 0:
                if order.mode:
                    os.fchmod(self.descriptor, order.mode)
                if order.direction == "out":
                    os.fsync(self.descriptor)
                descriptor, self.descriptor = self.descriptor, -1
                status = os.fstat(descriptor)
                os.close(descriptor)  # NFS tells here of a full disk
            else:
                status = self._look(self.partial)
            if not os.path.samestat(status, self._look(self.partial)):
                self._pending = False
                raise MoverError(default_code(order.direction), "the partial file was replaced by another", retry=True)
            os.rename(self.partial, self.name, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            self._pending = False
            if not os.path.samestat(status, self._look(self.name)):
                raise MoverError(default_code(order.direction), "the destination was replaced by another", retry=True)
            if order.direction == "out":
                with contextlib.suppress(OSError):  # some file systems cannot sync a directory
                    os.fsync(self.folder)
        except OSError as error:
            raise os_failure(error, order.direction, "writing the destination") from error

    def _look(self, name: str) -> os.stat_result:
        return os.stat(name, dir_fd=self.folder, follow_symlinks=False)

    def present(self, size_bytes: int, checksum: Callable[[], str], report: Report) -> Moved | None:
        """Return the file that is there already when it has this size and checksum, None otherwise (P81).

        `checksum` is called only when a regular file of the right size is there.
        """
        try:
            descriptor = os.open(self.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.folder)
        except OSError:
            return None
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or status.st_size != size_bytes:
                return None
            wanted = checksum()
            target = hasher(wanted, "")
            if add_range(target, descriptor, 0, size_bytes, report) != size_bytes or target.text() != wanted:
                return None
            if self._order.mode:
                os.fchmod(descriptor, self._order.mode)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return Moved(size_bytes, wanted, self.path)


def _folder_failure(error: OSError, direction: str) -> MoverError:
    failure = os_failure(error, direction, "making the destination's directory")
    if failure.code != default_code(direction):
        return failure
    code = ErrorCode.MKDIR if direction == "in" else ErrorCode.MKDIR_STORAGE
    return MoverError(code, failure.text, retry=failure.retry)


def make_link(order: Order) -> None:
    """Make (or replace) the symbolic link `order.link` to the local destination.

    Raises:
        MoverError: it could not be made (as for any file written).
    """
    link = Order(source=order.destination, destination=order.link, direction="in", token=order.token, time_limit_s=0.0)
    target = local_path(order.destination)
    with Landing(link) as landing:
        try:
            landing.adopt(lambda name, folder: os.symlink(target, name, dir_fd=folder))
        except OSError as error:
            raise os_failure(error, "in", "making a link to the destination") from error
        landing.settle()


def discard_partial(order: Order) -> None:
    """Remove what a killed attempt at `order` left beside its destination, if anything.

    Raises:
        MoverError: it is there and cannot be removed.
    """
    folder, name = os.path.split(local_path(order.destination))
    try:
        os.unlink(os.path.join(folder, partial_name(name, order.token)))
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise os_failure(error, order.direction, "removing a partial file") from error


def verify_whole(order: Order, landing: Landing, size_bytes: int, checksum: str) -> Moved:
    """Check what was written against `order`, settle it, and say what is there now.

    Raises:
        MoverError: as `base.check` and `Landing.settle`.
    """
    check(order, size_bytes, checksum)
    landing.settle()
    return Moved(size_bytes, checksum, landing.path)
