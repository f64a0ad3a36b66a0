"""A job that was handed out is on disk before anybody is told of it: a death in between must not lose it.

The server hands a job out once. So its definition is written first, and a job request that is made again (the worker
or the supervisor died before the journal had the job) is answered from there. The journal's fingerprint of the last
definition that was dealt with says when the file is old.

One reporter asks at a time: that of a supervisor which died waits for the answer under way and keeps it, and the next
one waits for the lock on the directory.
"""

import contextlib
import fcntl
import logging
import os
from pathlib import Path

from host.files import read_bounded, write_atomic
from ipc.results import JobAcquired
from ipc.tasks import AcquireJob, AcquireRanges
from jobs.ledger import fingerprint
from workers.reporter.exchange import MAX_ANSWER_BYTES

_LOG = logging.getLogger("reporter")


def kept_job(task: AcquireJob) -> JobAcquired | None:
    """Return the job that an earlier request got and that nobody has dealt with; None when there is none."""
    if not task.keep_at:
        return None
    definition = read_bounded(Path(task.keep_at), MAX_ANSWER_BYTES)
    if not definition or fingerprint(definition) == task.taken:
        return None
    _LOG.warning("a job that was handed out before is taken from %s", task.keep_at)
    return JobAcquired(definition=definition)


def keep_job(task: AcquireJob, job: JobAcquired) -> None:
    """Write the job's definition (mode 0600); a disk that cannot take it is told of in the log, no more."""
    if not task.keep_at:
        return
    try:
        write_atomic(Path(task.keep_at), job.definition, mode=0o600)
    except OSError as error:
        _LOG.warning("the job's definition cannot be kept in %s: %s", task.keep_at, error)


class Turnstile:
    """The right to ask for a job or for ranges, held from the request to the moment when its answer is told or kept."""

    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def enter(self, lease: str, task: AcquireJob | AcquireRanges) -> bool:
        """Take the right for a lease; False while another reporter has it. Without a place there is nothing to hold."""
        if not task.keep_at or lease in self._held:
            return True
        try:
            descriptor = os.open(Path(task.keep_at).parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:  # a file system without locks
            os.close(descriptor)
            return True
        self._held[lease] = descriptor
        return True

    def leave(self, lease: str) -> None:
        """Give the right back."""
        descriptor = self._held.pop(lease, None)
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)
