"""Where `bulkhead run` works: one directory of its own, made anew for each run, with everything to look at afterwards.

<dir>/.bulkhead-run         says that the directory is ours and may be emptied; locked while a run is under way
<dir>/storage/              the storage element of the embedded server: inputs, outputs, logs
<dir>/pilot/                the pilot's -a directory
<dir>/pilot.out             what the pilot wrote to its standard output and error
<dir>/server-record.jsonl   every request that the server got, with its answer
"""

import fcntl
import os
import shutil
from pathlib import Path

_MARK = ".bulkhead-run"


class WorkAreaError(RuntimeError):
    """The directory cannot be used; the text says what to do."""


class WorkArea:
    """The directory, locked from its making to `close`."""

    def __init__(self, root: Path) -> None:
        """Make the directory, or empty it when a run before made it.

        Raises:
            WorkAreaError: it holds something else, is in use, or cannot be made.
        """
        self.root = root.absolute()
        self.storage = self.root / "storage"
        self.pilot = self.root / "pilot"
        self.pilot_output = self.root / "pilot.out"
        self.record = self.root / "server-record.jsonl"
        try:
            self._lock = self._claim()
            self._empty()
            self.storage.mkdir()
            self.pilot.mkdir()
        except OSError as error:
            raise WorkAreaError(f"{self.root} cannot be used: {error.strerror}; name another with --dir") from error

    def _claim(self) -> int:
        mark = self.root / _MARK
        if self.root.is_dir() and not mark.exists() and any(self.root.iterdir()):
            raise WorkAreaError(f"{self.root} is not empty and no run of ours made it; name another with --dir")
        self.root.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise WorkAreaError(f"another `bulkhead run` works in {self.root}; name another with --dir") from None
        return descriptor

    def _empty(self) -> None:
        for path in (self.storage, self.pilot):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
        for path in (self.pilot_output, self.record):
            path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Return the free disk space there."""
        return shutil.disk_usage(self.root).free

    def close(self) -> None:
        """Let the next run have it."""
        os.close(self._lock)
