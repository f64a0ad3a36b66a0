"""Harvester's output dump (panda-protocol 5.5): what a job leaves, never in the way of what Harvester has not read.

Harvester takes the file by renaming it to "<name>.read". An unread one is taken back by the same means, by renaming,
and comes again with the new entries in it: so nothing is lost or told twice, whoever is faster.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from host.files import read_regular, write_atomic

_LOG = logging.getLogger("reporter")
_MAX_BYTES = 64 * 1024 * 1024

Entry = dict[str, object]


def entries(report: Mapping[str, Mapping[str, object]], log_lfn: str, folders: Sequence[Path]) -> list[Entry]:
    """Return the dump's entries of a job's file report, the log first; files that lie nowhere here are left out.

    Args:
        report: The job's file report (panda-protocol 4.1): LFN -> guid, fsize, checksum, surl.
        log_lfn: Which of them is the log.
        folders: Where a file may lie that its SURL does not lead to, best first.
    """
    found = []
    for lfn in sorted(report, key=lambda name: name != log_lfn):
        path = local_path(lfn, str(report[lfn].get("surl", "")), folders)
        if path is None:
            _LOG.warning("%s lies nowhere on this machine and is not in the dump", lfn)
            continue
        entry: Entry = {"type": "log" if lfn == log_lfn else "output", "path": str(path)}
        entry.update({name: report[lfn][name] for name in ("guid", "fsize") if report[lfn].get(name)})
        if report[lfn].get("adler32"):
            entry["chksum"] = report[lfn]["adler32"]
        found.append(entry)
    return found


def local_path(lfn: str, surl: str, folders: Sequence[Path]) -> Path | None:
    """Return the place of a file that was brought out, None when it is not on this machine."""
    direct = surl.removeprefix("file://")
    if direct.startswith("/") and Path(direct).is_file():
        return Path(direct)
    return next((folder / lfn for folder in folders if (folder / lfn).is_file()), None)


def write_dump(path: Path, job_id: int, job_entries: Sequence[Entry]) -> None:
    """Put a job's entries into the dump, in place of those that it has there already.

    Raises:
        OSError: it could not be written; entries taken back then wait beside it and come with the next call.
    """
    taken_back = path.with_name(f".{path.name}.unread")
    merged = _entries_in(taken_back)
    if not taken_back.exists():
        try:
            path.rename(taken_back)
        except FileNotFoundError:
            pass
        else:
            merged = _entries_in(taken_back)
    merged[str(job_id)] = list(job_entries)
    write_atomic(path, json.dumps(merged))
    taken_back.unlink(missing_ok=True)


def _entries_in(path: Path) -> dict[str, object]:
    """Return what a dump holds; one that is none is kept beside it under another name."""
    try:
        held = json.loads(read_regular(path, _MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError):
        held = None
    except OSError as error:
        if error.errno is not None:
            raise
        held = None  # too large, or no file at all
    if isinstance(held, dict):
        return held
    _LOG.warning("%s held no dump; it is kept as %s.bad", path, path.name)
    path.rename(path.with_name(f"{path.name}.bad"))
    return {}
