"""Job definitions that come as files: found, waited for, taken once (panda-protocol 5.2, 6; hpc-and-harvester 4.2).

A definition is on disk in the pilot's own room before the file is removed, and a file with the definition that this
pilot dealt with last is only removed: a death on any line neither loses a job nor runs one twice. A new pilot in the
same place runs it again: ARC starts a failed job anew in its old directory.
"""

import contextlib
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.files import read_regular, write_atomic
from host.watching import DirectoryWatch
from ipc.schema import AcquireJob
from jobs.decoding import MAX_BYTES, decode
from jobs.definition_error import DefinitionError
from jobs.ledger import fingerprint
from settings.handover import Handover

_LOG = logging.getLogger("reporter")
#: A file system that tells no changes is looked at again after so long.
_LOOK_AGAIN_S = 2.0
_BROKEN_TRIES, _BROKEN_PAUSE_S = 3, 2.0
_MAX_IDS = 10_000
#: Members of a definition that stay in the pilot's own room.
_SECRETS = frozenset({"secrets", "pilotSecrets", "pandaProxySecretKey"})


def take_job(handover: Handover, home: Path, task: AcquireJob, wait_s: float) -> str:
    """Return the next definition (JSON text of one flat object), "" when none comes within `wait_s`.

    Harvester is asked for a further job by the request file, which goes when a job is there.

    Raises:
        JobError: 1402, the file is still broken after 6 s; it stays where it is.
        OSError: the file cannot be read, kept or removed.
    """
    deadline = time.monotonic() + wait_s
    with DirectoryWatch(sorted({str(Path(place).parent) for place in handover.definition_files})) as watch:
        while True:
            definition = _take_one(handover, home, task, watch)
            left_s = deadline - time.monotonic()
            if definition or left_s <= 0:
                return definition
            if task.number and handover.more_jobs:
                _request(handover)
            watch.wait(min(left_s, _LOOK_AGAIN_S))


def definition_of(text: bytes) -> str:
    """Return the first job in a file: {"<PandaID>": {...}}, a list of jobs, one flat job, or url-encoded pairs.

    Raises:
        DefinitionError: 1402, it is none of these.
    """
    fields = decode(_without_list(text))
    jobs = [(key, job) for key, job in fields.items() if isinstance(job, dict)]
    if "PandaID" not in fields and jobs and len(jobs) == len(fields):
        key, job = jobs[0]
        if len(jobs) > 1:
            _LOG.warning("the job file holds %d jobs; only the first one (%s) is run", len(jobs), key)
        fields = {**job, "PandaID": job.get("PandaID", key)}
    if "PandaID" not in fields:
        raise DefinitionError("PandaID", "missing")
    return json.dumps(fields)


def definition_files(handover: Handover) -> Iterator[Path]:
    """Give the places of definitions, best first; those of single jobs below the access point come last."""
    yield from map(Path, handover.definition_files)
    if handover.jobs_from_files and handover.access_point:
        point = Path(handover.access_point)
        for number in _job_ids(point / handover.names.job_ids):
            yield point / number / handover.names.jobs


def _job_ids(path: Path) -> list[str]:
    try:
        ids = json.loads(read_regular(path, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return []
    if not isinstance(ids, list):
        return []
    return [str(item) for item in ids[:_MAX_IDS] if str(item).isascii() and str(item).isdigit()]


def _without_list(text: bytes) -> bytes:
    if not text.lstrip().startswith(b"["):
        return text
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return json.dumps(items[0]).encode() if items else b""


def _take_one(handover: Handover, home: Path, task: AcquireJob, watch: DirectoryWatch) -> str:
    for path in definition_files(handover):
        try:
            raw, definition = _read(path, watch)
        except FileNotFoundError:
            continue
        if task.number and fingerprint(definition) == task.taken:
            _LOG.warning("%s holds the job that was run last; it is removed", path)
            _remove(path)
            continue
        if task.keep_at:
            write_atomic(Path(task.keep_at), definition, mode=0o600)
        write_atomic(home / "job_definition.json", _without_secrets(raw, definition), mode=0o600)
        _remove(path)
        _remove(Path(handover.access_point) / handover.names.request, wanted=bool(handover.access_point))
        _LOG.info("a job was taken from %s", path)
        return definition
    return ""


def _read(path: Path, watch: DirectoryWatch) -> tuple[bytes, str]:
    """Return a file and its definition; who writes it may not have finished, so a broken one is read again."""
    deadline = time.monotonic() + _BROKEN_TRIES * _BROKEN_PAUSE_S
    while True:
        raw = read_regular(path, MAX_BYTES)
        try:
            return raw, definition_of(raw)
        except DefinitionError as error:
            if time.monotonic() >= deadline:
                raise JobError(ErrorCode.BADJOBDEFINITION, f"job file {path}: {error.detail}") from error
        watch.wait(_BROKEN_PAUSE_S)


def _without_secrets(raw: bytes, definition: str) -> bytes:
    """Return what is kept of a file for people: the file as it is, or the job alone when it holds secrets."""
    fields = json.loads(definition)
    if not _SECRETS & fields.keys():
        return raw
    shown = {key: value for key, value in fields.items() if key not in _SECRETS}
    return json.dumps({str(fields["PandaID"]): shown}).encode()


def _remove(path: Path, *, wanted: bool = True) -> None:
    if wanted:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()


def _request(handover: Handover) -> None:
    """Ask for one job, unless a request is there that Harvester has not seen."""
    path = Path(handover.access_point) / handover.names.request
    if handover.access_point and not path.exists():
        write_atomic(path, json.dumps({"nJobs": 1}))
