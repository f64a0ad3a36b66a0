"""The files of a job that is fed with events: its ledger of ranges, the outputs that the payload names."""

import json
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from events.channel import Output
from events.ledger import Entry, line_of, read_entries
from host.files import read_bounded

LEDGER = "es_ledger.jsonl"
_LEDGER_LIMIT_BYTES = 1024**3


class LedgerFile:
    """The ledger on disk: appended to and synced, never changed."""

    def __init__(self, control_dir: Path) -> None:
        """Open it, or make it.

        Raises:
            OSError: it cannot be opened.
        """
        path = control_dir / LEDGER
        self.entries = read_entries(read_bounded(path, _LEDGER_LIMIT_BYTES))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        self._descriptor = os.open(path, flags, 0o600)
        os.write(self._descriptor, b"\n")  # ends the line that a death may have torn

    def append(self, entries: Iterable[Entry], wall: float) -> None:
        """Add entries, all of them on the disk when this returns.

        Raises:
            OSError: they are not.
        """
        text = "".join(line_of({"t": round(wall, 3), **entry}) for entry in entries).encode()
        while text:
            text = text[os.write(self._descriptor, text) :]
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def ranges_of(text: str, job_dir: str, *, local_names: bool) -> tuple[dict[str, Any], ...]:
    """Return the ranges of an answer; with `local_names` each says where its file is (or its name, when not here)."""
    ranges: list[dict[str, Any]] = json.loads(text)
    if local_names:
        for each in ranges:
            name = str(each.get("LFN") or "")
            path = os.path.join(job_dir, os.path.basename(name))  # noqa: PTH118, PTH119 - text in, text out
            each["PFN"] = path if name and Path(path).exists() else name
    return tuple(ranges)


def measured(output: Output, job_dir: str) -> tuple[tuple[str, ...], int, str]:
    """Return the absolute paths of an output's files and their size in all; the problem with them, "" for none.

    Only regular files inside the job directory are taken: they are brought away under the pilot's name and removed.
    """
    root = os.path.realpath(job_dir)
    paths, size = [], 0
    for name in output.paths:
        path = os.path.realpath(os.path.join(root, name))  # noqa: PTH118 - an absolute name stays what it is
        try:
            found = Path(path).stat(follow_symlinks=False)
        except (OSError, ValueError) as error:
            return (), 0, f"{name}: {error}"
        if not stat.S_ISREG(found.st_mode) or not path.startswith(f"{root}/"):
            return (), 0, f"{name} is not a file of this job"
        paths.append(path)
        size += found.st_size
    return tuple(paths), size, ""


def remove(paths: Iterable[str], job_dir: str) -> None:
    """Remove files of the job directory, given by absolute path or by name; what is gone is gone."""
    root = os.path.realpath(job_dir)
    for name in paths:
        path = os.path.join(root, name)  # noqa: PTH118 - an absolute name stays what it is
        if os.path.realpath(path).startswith(f"{root}/"):
            Path(path).unlink(missing_ok=True)
