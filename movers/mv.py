"""mv: gives an output its place in a local storage by a hard link, by a copy where that cannot be.

The source is read once for its checksum and no byte is written. Its name in the job directory stays until that
directory is removed: so the order can be carried out again after a death, which a rename could not promise. Inputs are
never taken away from where they are: they are linked to, as `ln` does.
"""

import os

from movers import cp, ln
from movers.base import Capabilities, Moved, MoverError, Order, Report, check, default_code, open_source, os_failure
from movers.landing import Landing

CAPABILITIES = Capabilities(schemes=("file",))


def move(order: Order, report: Report) -> Moved:
    """Link the output to its destination; codes as those of `cp`."""
    if order.direction == "in":
        return ln.move(order, report)
    source = open_source(order)
    try:
        status = cp.source_status(source, order)
        checksum = cp.source_checksum(source, order, report)
        if cp.changed(source, status):
            raise MoverError(default_code("out"), "the source changed while it was read", retry=True)
        check(order, status.st_size, checksum)
        with Landing(order) as landing:
            there = landing.present(status.st_size, lambda: checksum, report)
            if there is not None:
                return there
            try:
                # By its descriptor: the very file that was checked, whatever its name stands for by now.
                landing.adopt(
                    lambda name, folder: os.link(
                        f"/proc/self/fd/{source}", name, dst_dir_fd=folder, follow_symlinks=True
                    )
                )
            except OSError:
                # Another file system, or one without hard links.
                return cp.move(order, report)
            if order.mode:
                os.fchmod(source, order.mode)
            os.fsync(source)
            landing.settle()
            return Moved(status.st_size, checksum, landing.path)
    except OSError as error:
        raise os_failure(error, "out", "moving") from error
    finally:
        os.close(source)
