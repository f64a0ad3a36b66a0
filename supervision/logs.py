"""The pilot's log: one file that every pilot process appends to, and standard output for the batch system.

Logging never raises and never stops a process, also on a full disk (pitfall P72). Nothing that looks like a
secret gets into it (P118).
"""

import logging
import sys
import time
from pathlib import Path

from errors.redaction import RedactingFormatter

_FORMAT = "%(asctime)s | %(levelname)-7s | %(name)-10s | %(message)s"


def begin_log(path: Path | None, *, debug: bool, to_stdout: bool) -> None:
    """Send this process's log to `path` (appended) and to standard output; whatever was set before is dropped."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    logging.raiseExceptions = False
    handlers: list[logging.Handler] = []
    if path is not None:
        try:
            handlers.append(logging.FileHandler(path, mode="a", encoding="utf-8", errors="replace"))
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
        handler = logging.FileHandler(path, mode="a", encoding="utf-8", errors="replace")
    except OSError as error:
        logging.getLogger("supervisor").info("the log cannot be shown as %s: %s", path, error.strerror)
        return
    handler.setFormatter(_formatter())
    logging.getLogger().addHandler(handler)


def _formatter() -> logging.Formatter:
    formatter = RedactingFormatter(_FORMAT, datefmt="%Y-%m-%d %H:%M:%S")
    formatter.converter = time.gmtime
    return formatter
