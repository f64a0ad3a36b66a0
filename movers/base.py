"""The contract of all movers: the order, what comes back, and how a failure is told.

A mover is a module with `CAPABILITIES` and `move(order, report)`. It runs in a child process of its own that may be
killed on any line, so it promises: the destination's name never stands for partial bytes (temporary name in the
destination's directory, rename after size and checksum agree), and an order carried out twice ends the same way.
"""

# ruff: noqa: PTH115, PTH116, PTH118 - pathlib costs 6 ms of the start
import errno
import os
import stat
from collections.abc import Callable
from typing import NamedTuple, Protocol

from errors.codes import ErrorCode

Report = Callable[[int], None]


class Order(NamedTuple):
    """One file to move.

    Attributes:
        source: path, `file://` URL, or URL of one of the mover's schemes.
        destination: likewise.
        direction: "in" (to this node) or "out".
        size_bytes: -1 where unknown.
        checksum: "adler32:0a1b2c3d" or "md5:...", "" where unknown.
        checksum_type: the checksum to compute when `checksum` is "".
        token: names whoever may write the partial file: the same for every attempt at one task, so that what a dead
            attempt left is found; different for different tasks, so that they never share a partial file.
        root: a local source of direction "out" must lie below this directory once links are followed; "" for anywhere.
        time_limit_s: the mover gives up by itself then; 0 for no limit (the stager kills it anyway, later).
        mode: permission bits of a local destination, 0 leaves them.
        link: path of a symbolic link to make to a local destination, "" for none.
        refuse_empty: a source of 0 bytes is an error.
    """

    source: str
    destination: str
    direction: str
    size_bytes: int = -1
    checksum: str = ""
    checksum_type: str = "adler32"
    token: str = ""
    root: str = ""
    time_limit_s: float = 0.0
    mode: int = 0
    link: str = ""
    refuse_empty: bool = False


class Moved(NamedTuple):
    """What is now at the destination: size in bytes, checksum as in `Order`, and the final path or URL."""

    size_bytes: int
    checksum: str
    url: str


class Capabilities(NamedTuple):
    """What a mover can do.

    Attributes:
        schemes: URL schemes of the remote side; "file" stands for local paths as well.
        directions: "in", "out", or both.
        resumes: goes on from a partial file.
        needs_replicas: wants the replicas of a file looked up before.
        reports_bytes: calls `report` itself; otherwise the growth of the partial file is watched for it.
    """

    schemes: tuple[str, ...]
    directions: tuple[str, ...] = ("in", "out")
    resumes: bool = False
    needs_replicas: bool = False
    reports_bytes: bool = True


class MoverError(Exception):
    """A transfer failed.

    Attributes:
        code: pilot error code.
        text: what happened, for people, without secrets.
        retry: the same order may succeed when it is tried again.
        missing: the source does not exist.
    """

    def __init__(self, code: int, text: str, *, retry: bool = False, missing: bool = False) -> None:
        super().__init__(code, text)
        self.code = int(code)
        self.text = text
        self.retry = retry
        self.missing = missing


class Mover(Protocol):
    """A module of this folder, as `registry.find` returns it."""

    CAPABILITIES: Capabilities

    def move(self, order: Order, report: Report) -> Moved:
        """Carry out `order`, calling `report` with the bytes done so far.

        Raises:
            MoverError: when it failed; the destination is as it was before.
        """


def local_path(location: str) -> str:
    """Return the path that `location` (a path, `file:///path` or `file://localhost/path`) names.

    Raises:
        MoverError: for another host or scheme, or an empty or relative path (1303, permanent).
    """
    path = location
    if location.lower().startswith("file:"):
        rest = location[5:]
        if rest.startswith("//"):
            host, slash, tail = rest[2:].partition("/")
            if host.lower() not in ("", "localhost"):
                raise MoverError(ErrorCode.FILEHANDLINGFAILURE, "a file URL that names another host")
            rest = slash + tail
        path = rest
        if "%" in rest:
            from urllib.parse import unquote  # noqa: PLC0415 - seldom needed, and the child must start fast

            path = unquote(rest)
    elif "://" in location:
        raise MoverError(ErrorCode.FILEHANDLINGFAILURE, f"not a local path: scheme {location.split(':', 1)[0]}")
    if not path.startswith("/") or "\0" in path:
        raise MoverError(ErrorCode.FILEHANDLINGFAILURE, "not an absolute path")
    return path


def partial_name(name: str, token: str) -> str:
    """Return the name under which `name` is written until it is whole; at most 255 bytes."""
    tail = f".{token or 'mover'}.part"
    head = os.fsencode(name)[: 254 - len(os.fsencode(tail))]
    return "." + os.fsdecode(head) + tail


def partial_path(order: Order) -> str:
    """Return the partial file of an order with a local destination."""
    folder, name = os.path.split(local_path(order.destination))
    return os.path.join(folder, partial_name(name, order.token))


def default_code(direction: str) -> ErrorCode:
    """Return the code of a failure that nothing more is known of: 1099 in, 1137 out."""
    return ErrorCode.STAGEINFAILED if direction == "in" else ErrorCode.STAGEOUTFAILED


#: Errors of a file system that may pass: an overloaded server, a stale handle, a table that is full.
_PASSING = frozenset(
    (
        errno.EAGAIN,
        errno.EBUSY,
        errno.EINTR,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.ETIMEDOUT,
        errno.EREMOTEIO,
        errno.ENOENT,
    )
)
_NO_SPACE = frozenset((errno.ENOSPC, errno.EDQUOT))


def os_failure(error: OSError, direction: str, doing: str) -> MoverError:
    """Name a system error met while `doing` something: no space is 1098 in and 1333 out, else 1099 and 1137."""
    text = f"{doing}: {error.strerror or error}"
    if error.errno in _NO_SPACE:
        code = ErrorCode.NOLOCALSPACE if direction == "in" else ErrorCode.NOREMOTESPACE
        return MoverError(code, text)
    return MoverError(default_code(direction), text, retry=error.errno in _PASSING)


def missing_source(direction: str) -> MoverError:
    """Return the error of a source that does not exist: 1331 in, 1165 out."""
    code = ErrorCode.MISSINGINPUTFILE if direction == "in" else ErrorCode.MISSINGOUTPUTFILE
    return MoverError(code, "the source does not exist", missing=True)


def open_source(order: Order) -> int:
    """Return a descriptor of the local source, which is a regular file and lies where it may.

    Raises:
        MoverError: missing (1331, 1165), not a regular file, outside of `order.root`, unreadable (1099, 1165).
    """
    path = local_path(order.source)
    refusal = default_code("in") if order.direction == "in" else ErrorCode.MISSINGOUTPUTFILE
    try:
        # Looked at before it is opened: opening a device may do something, opening a FIFO may wake its writer.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise MoverError(refusal, "the source is not a regular file")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise missing_source(order.direction) from None
    except OSError as error:
        failure = os_failure(error, order.direction, "opening the source")
        raise MoverError(refusal, failure.text, retry=failure.retry) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise MoverError(refusal, "the source is not a regular file")
    if order.root and not _lies_below(descriptor, path, order.root):
        os.close(descriptor)
        raise MoverError(refusal, "the source is a link that leads out of the job directory")
    return descriptor


def _lies_below(descriptor: int, path: str, root: str) -> bool:
    """Tell whether the file that was opened (not the one that the path names by now) is below `root`."""
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        real = os.path.realpath(path)
    return real.startswith(os.path.realpath(root).rstrip("/") + "/")


def check(order: Order, size_bytes: int, checksum: str) -> None:
    """Compare what was moved with what was announced.

    Raises:
        MoverError: other size (1175 in, 1139 out) or checksum (adler32 1171, 1172; md5 1145, 1141); worth a retry.
    """
    inward = order.direction == "in"
    if order.size_bytes >= 0 and size_bytes != order.size_bytes:
        code = ErrorCode.GETWRONGSIZE if inward else ErrorCode.PUTWRONGSIZE
        raise MoverError(code, f"size {size_bytes} instead of {order.size_bytes} bytes", retry=True)
    if order.checksum and checksum != order.checksum:
        if order.checksum.startswith("md5:"):
            code = ErrorCode.GETMD5MISMATCH if inward else ErrorCode.PUTMD5MISMATCH
        else:
            code = ErrorCode.GETADMISMATCH if inward else ErrorCode.PUTADMISMATCH
        raise MoverError(code, f"checksum {checksum} instead of {order.checksum}", retry=True)
