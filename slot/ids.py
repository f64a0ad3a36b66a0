"""The PandaIDs of the jobs that were taken, for the wrapper (`pandaIDs.out`) and for Harvester (pull mode)."""

import json
import logging
import os
from pathlib import Path

from host.files import read_bounded, write_atomic
from jobs.identity import identify
from settings.settings import Settings

_LOG = logging.getLogger("reporter")
_MAX_BYTES = 1024 * 1024
_FILE = "pandaIDs.out"


def note_job(settings: Settings, definition: str) -> None:
    """Append a job's id where it is looked for, once; what cannot be written is told in the log, no more."""
    job_id = identify(definition).job_id
    if job_id is None:
        return
    for folder in _wrapper_folders(settings):
        try:
            _append(folder / _FILE, str(job_id))
        except OSError as error:
            _LOG.info("%s cannot be written in %s: %s", _FILE, folder, error.strerror)
        else:
            break
    handover = settings.handover
    if handover.access_point and not handover.jobs_from_files:
        try:
            _add_id(Path(handover.access_point) / handover.names.job_ids, job_id)
        except OSError as error:
            _LOG.warning("Harvester cannot be told of job %s: %s", job_id, error)


def _wrapper_folders(settings: Settings) -> list[Path]:
    """Return where the wrapper may look, best first (behaviour 5, 6)."""
    source = dict(settings.environment).get("PANDA_PILOT_SOURCE", "")
    beside = Path(settings.launch_dir) / "pilot3"
    named = [Path(source)] if source else []
    return [folder for folder in (*named, beside, Path(settings.launch_dir)) if folder.is_dir()]


def _append(path: Path, job_id: str) -> None:
    if job_id in read_bounded(path, _MAX_BYTES).split():
        return
    # Without O_NONBLOCK a FIFO in its place would hold the reporter for ever.
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, flags, 0o644)
    try:
        os.write(descriptor, f"{job_id}\n".encode())
    finally:
        os.close(descriptor)


def _add_id(path: Path, job_id: int) -> None:
    try:
        ids = json.loads(read_bounded(path, _MAX_BYTES) or "[]")
    except (ValueError, RecursionError):
        ids = []
    ids = ids if isinstance(ids, list) else []
    if job_id not in ids:
        write_atomic(path, json.dumps([*ids, job_id]))
