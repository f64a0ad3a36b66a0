"""What a pilot leaves for who started it when it begins and when it ends, whatever became of its jobs in between."""

import contextlib
import errno
import json
import logging
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from errors.catalogue import diagnostics, load
from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.files import read_bounded, read_regular, write_atomic
from jobs.decoding import MAX_BYTES
from jobs.identity import identify
from settings.settings import Settings
from slot.job_files import definition_files
from slot.job_lists import definition_of
from slot.updates import write_attributes, write_heartbeat

HEARTBEAT = "worker_heartbeat.json"
_HARVESTERS_KILL_NAME = "kill_worker.json"
_FINAL = ("finished", "failed")
#: What opening something that is no plain file says.
_NOT_A_FILE = frozenset({errno.ELOOP, errno.ENXIO})
_LOG = logging.getLogger("supervisor")
_STATE_BYTES = 64 * 1024 * 1024


def begin(settings: Settings, wall: float) -> None:
    """Clear away what a pilot before left in the same place, and write the files that must exist from the start."""
    if settings.handover.harvester:
        for path in _kill_files(settings):
            _try(partial(path.unlink, missing_ok=True))
        _try(partial(touch_heartbeat, settings))
    if settings.handover.updates_to_files:
        _try(lambda: write_heartbeat(Path(settings.home), first_body(settings, _waiting_definition(settings)), wall))


def end(settings: Settings, exit_code: int, wall: float, *, jobs_left: bool) -> None:
    """Say that the pilot is over; the kill file, which ends the worker, is the last file of all."""
    if settings.handover.updates_to_files and not jobs_left:
        _try(partial(_settle, settings, exit_code, wall))
    if settings.handover.harvester:
        # A job that is still brought now would have nobody to run it.
        request = Path(settings.handover.access_point) / settings.handover.names.request
        _try(partial(request.unlink, missing_ok=True))
        for path in _kill_files(settings):
            _try(partial(write_atomic, path, "{}"))


def _try(write: Callable[[], None]) -> None:
    """Write one file; one that cannot be written hinders none of the others."""
    try:
        write()
    except OSError as error:
        _LOG.error("files for who started the pilot cannot be written: %s", error)


def touch_heartbeat(settings: Settings) -> None:
    """Renew the time of worker_heartbeat.json, by the clock of the file system (hpc-and-harvester 4.7).

    Raises:
        OSError: it cannot be written.
    """
    path = Path(settings.handover.access_point) / HEARTBEAT
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o644)
    except OSError as error:
        if error.errno not in _NOT_A_FILE:
            raise
        write_atomic(path, "")  # in place of a link or a FIFO
        return
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def first_body(settings: Settings, definition: str) -> dict[str, Any]:
    """Return the update that stands for a job until its first own one; `job_id` is 0 while none is known."""
    identity = identify(definition)
    return {
        "job_id": identity.job_id or 0,
        "job_status": "starting",
        "attempt_nr": max(0, identity.attempt_nr or 0),
        "site_name": settings.queue,
        "node": settings.node,
        "scheduler_id": settings.scheduler_id,
        "pilot_id": settings.pilot_id,
        "job_output_report": "",
        "meta_data": "",
    }


def show_log(log: Path, launch_dir: Path) -> bool:
    """Give the pilot's log a second name in the wrapper's directory, a hard link: the wrapper looks at its age.

    Returns:
        False when that cannot be (another file system): somebody has to write a second log there.
    """
    shown = launch_dir / log.name
    if log.absolute() == shown.absolute():
        return True
    temporary = shown.with_name(f".{shown.name}.{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        os.link(log, temporary)
        temporary.replace(shown)
    except OSError:
        return False
    finally:
        # Two names of one file: the rename does nothing and leaves both.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
    return True


def _kill_files(settings: Settings) -> list[Path]:
    """Return the kill files: both names, at the access point and in the pilot's home (panda-protocol 5.3)."""
    folders = dict.fromkeys((settings.home, settings.handover.access_point))
    names = dict.fromkeys((settings.handover.names.kill, _HARVESTERS_KILL_NAME))
    return [Path(folder) / name for folder in folders for name in names if folder]


def _waiting_definition(settings: Settings) -> str:
    for path in definition_files(settings.handover):
        try:
            return definition_of(read_regular(path, MAX_BYTES))
        except (OSError, JobError):
            continue  # whoever takes the job says what is wrong with it
    return ""


def _settle(settings: Settings, exit_code: int, wall: float) -> None:
    """Say "failed" if the last job did not come to its end: ARC takes an absent or open heartbeat.json for success."""
    try:
        body = json.loads(read_bounded(Path(settings.home) / "heartbeat_new.json", _STATE_BYTES))
    except (ValueError, RecursionError):
        body = {}
    if not isinstance(body, dict) or not isinstance(body.get("job_id"), int):
        body = first_body(settings, "")
    if body.get("job_status") in _FINAL:
        return
    code = _code_of_exit(exit_code)
    text = diagnostics(code, f"the pilot ended with exit code {exit_code} before a job came to its end")
    ended = {**body, "job_status": "failed", "pilot_error_code": code, "pilot_error_diag": text}
    if settings.handover.harvester_updates and ended["job_id"]:
        write_attributes(settings, ended, wall)
    write_heartbeat(Path(settings.home), ended, wall)


def _code_of_exit(exit_code: int) -> int:
    """Return the pilot error that an exit code stands for; 1008 for one that stands for none."""
    exits: dict[str, dict[str, Any]] = load()["process_exits"]
    found = (int(code) for code, row in exits.items() if row["exit"] == exit_code and int(code) > 0)
    return next(found, int(ErrorCode.GENERALERROR))
