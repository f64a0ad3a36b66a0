"""ln: makes a symbolic link to an input that is mounted here; the input's size and checksum are verified by reading it.

Codes as those of `cp`. Outputs cannot be linked (1137): what they point to is removed with the job directory.
"""

import os

from errors.codes import ErrorCode
from movers import cp
from movers.base import (
    Capabilities,
    Moved,
    MoverError,
    Order,
    Report,
    check,
    default_code,
    local_path,
    open_source,
    os_failure,
)
from movers.landing import Landing

CAPABILITIES = Capabilities(schemes=("file",), directions=("in",))


def move(order: Order, report: Report) -> Moved:
    """Verify the source, then link the destination to it."""
    if order.direction != "in":
        raise MoverError(ErrorCode.STAGEOUTFAILED, "outputs cannot be linked")
    source = open_source(order)
    try:
        status = cp.source_status(source, order)
        # Without an announced checksum there is nothing to compare with, and the bytes stay where they are.
        checksum = cp.source_checksum(source, order, report) if order.checksum else ""
        if cp.changed(source, status):
            raise MoverError(default_code("in"), "the source changed while it was read", retry=True)
        check(order, status.st_size, checksum)
        target = local_path(order.source)
        # A link has no mode of its own, and that of the source is not ours to change.
        with Landing(order._replace(mode=0)) as landing:
            landing.adopt(lambda name, folder: os.symlink(target, name, dir_fd=folder))
            landing.settle()
            return Moved(status.st_size, checksum, landing.path)
    except OSError as error:
        raise os_failure(error, "in", "linking") from error
    finally:
        os.close(source)
