"""The pilot's log: one file that every pilot process appends to, and standard output for the batch system.

Logging never raises and never stops a process, also on a full disk (pitfall P72). Nothing that looks like a
secret gets into it (P118).
"""

import contextlib
import io
import logging
import os
import stat
import sys
import time
from io import TextIOWrapper
from pathlib import Path

from errors.redaction import RedactingFormatter

_FORMAT = "%(asctime)s | %(levelname)-7s | %(name)-10s | %(message)s"


class _OwnFile(logging.FileHandler):
    """A log that is appended to; a link, FIFO or device that somebody put in its place is removed, not followed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, mode="a", encoding="utf-8", errors="replace")

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISREG(path.lstat().st_mode):
                path.unlink()  # a directory cannot be removed so, and is told
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o644)
        return TextIOWrapper(io.FileIO(descriptor, "a"), self.encoding, self.errors, line_buffering=True)


def begin_log(path: Path | None, *, debug: bool, to_stdout: bool) -> None:
    """Send this process's log to `path` (appended) and to standard output; whatever was set before is dropped."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = []
    if path is not None:
        try:
            handlers.append(_OwnFile(path))
        except OSError as error:
            print(f"the log {path} cannot be written: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
    if to_stdout and sys.stdout is not None:
        handlers.append(logging.StreamHandler(sys.stdout))
    for handler in handlers:
        handler.setFormatter(_formatter())
        root.addHandler(handler)
    root.setLevel(logging.DEBUG if debug else logging.INFO)


def also_log(path: Path) -> None:
    """Write this process's lines to a second file as well; one that cannot be written is done without."""
    try:
        handler = _OwnFile(path)
    except OSError as error:
        logging.getLogger("supervisor").info("the log cannot be shown as %s: %s", path, error.strerror)
        return
    handler.setFormatter(_formatter())
    logging.getLogger().addHandler(handler)


def _formatter() -> logging.Formatter:
    formatter = RedactingFormatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S")
    formatter.converter = time.gmtime
    return formatter
