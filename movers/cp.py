"""cp: copies between file systems that are mounted here, hashing on the way.

Fails with 1331/1165 (no source), 1171/1172 and their like (mismatch), 1098/1333 (no space), 1099/1137 (else). A source
that changes while it is copied is an error worth a retry (hostile case H107).
"""

import os

from errors.codes import ErrorCode
from movers.base import (
    Capabilities,
    Moved,
    MoverError,
    Order,
    Report,
    check,
    default_code,
    open_source,
    os_failure,
)
from movers.checksums import add_range, hasher
from movers.copying import copy_hashed
from movers.landing import Landing, verify_whole

CAPABILITIES = Capabilities(schemes=("file",))


def move(order: Order, report: Report) -> Moved:
    """Copy; a destination that is already right is left alone, any other is replaced when the copy is whole."""
    source = open_source(order)
    try:
        status = source_status(source, order)
        with Landing(order) as landing:
            there = landing.present(status.st_size, lambda: order.checksum or source_checksum(source, order), report)
            if there is not None:
                return there
            landing.check_space(min(status.st_size, status.st_blocks * 512))
            partial = landing.create(status.st_mode & 0o777)
            target = hasher(order.checksum, order.checksum_type)
            copied = copy_hashed(source, partial, status.st_size, target, report, durable=order.direction == "out")
            if copied != status.st_size or changed(source, status):
                raise MoverError(default_code(order.direction), "the source changed while it was copied", retry=True)
            return verify_whole(order, landing, copied, target.text())
    except OSError as error:
        raise os_failure(error, order.direction, "copying") from error
    finally:
        os.close(source)


def source_status(source: int, order: Order) -> os.stat_result:
    """Return the status of the opened source once its size is one that may be moved.

    Raises:
        MoverError: empty where that is refused (1191), or of another size than announced (1175, 1139).
    """
    status = os.fstat(source)
    if status.st_size == 0 and order.refuse_empty:
        raise MoverError(ErrorCode.ZEROFILESIZE, "the source is empty")
    check(order._replace(checksum=""), status.st_size, "")
    return status


def source_checksum(source: int, order: Order, report: Report = lambda _done: None) -> str:
    """Return the checksum of the whole opened source."""
    target = hasher(order.checksum, order.checksum_type)
    size = os.fstat(source).st_size
    if add_range(target, source, 0, size, report) != size:
        raise MoverError(default_code(order.direction), "the source became shorter while it was read", retry=True)
    return target.text()


def changed(source: int, before: os.stat_result) -> bool:
    """Tell whether the opened source was written to since `before`."""
    after = os.fstat(source)
    return (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns)
