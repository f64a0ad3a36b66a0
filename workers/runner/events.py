"""How many events a payload without a job report read and wrote, by the files it left (behaviour 13)."""

import os
import re
from pathlib import Path

from host.files import read_bounded

_LIMIT_BYTES = 1024 * 1024
_ENTRIES_LIMIT = 10_000
_SUMMARY_STARTS = ("AthSummary", "AthenaSummary")
_MOST = 2**53
_METADATA_EVENTS = re.compile(r'att_name="events"\s+att_value="(\d{1,15})"', re.ASCII)
_READ = re.compile(r"^Events Read: *(\d{1,15})\b", re.ASCII | re.MULTILINE)
_WRITTEN = re.compile(r"^Events Written: *(\d{1,15})\b", re.ASCII | re.MULTILINE)


def counted_events(job_dir: Path) -> tuple[int, int]:
    """Return the events read and written, 0 where nothing tells.

    `metadata.xml` (the sum over its files) comes before the oldest AthSummary* or AthenaSummary* file. No XML is
    parsed: a payload's file can be anything.
    """
    found = [int(number) for number in _METADATA_EVENTS.findall(read_bounded(job_dir / "metadata.xml", _LIMIT_BYTES))]
    if sum(found):
        return min(sum(found), _MOST), 0
    text = read_bounded(job_dir / name, _LIMIT_BYTES) if (name := _oldest_summary(job_dir)) else ""
    return _number(_READ, text), _number(_WRITTEN, text)


def _number(pattern: re.Pattern[str], text: str) -> int:
    match = pattern.search(text)
    return min(int(match[1]), _MOST) if match else 0


def _oldest_summary(job_dir: Path) -> str:
    found: list[tuple[float, str]] = []
    try:
        with os.scandir(job_dir) as entries:
            for _, entry in zip(range(_ENTRIES_LIMIT), entries, strict=False):
                if entry.name.startswith(_SUMMARY_STARTS) and entry.is_file(follow_symlinks=False):
                    found.append((entry.stat(follow_symlinks=False).st_mtime, entry.name))
    except OSError:  # the payload may have removed its directory
        return ""
    return min(found)[1] if found else ""
