"""Job definitions that come as files: found, waited for, taken once (panda-protocol 5.2, 6; hpc-and-harvester 4.2).

A definition is on disk in the pilot's own room before it is taken out of the file, and one that this pilot dealt with
last is only taken out: a death on any line neither loses a job nor runs one twice. The other jobs of a file stay in it
until their turn comes, so the next pilot in that place finds them too. A new pilot in the same place runs a job that is
there again: ARC starts a failed job anew in its old directory.
"""

import contextlib
import errno
import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.files import read_regular, write_atomic
from host.watching import DirectoryWatch
from ipc.tasks import AcquireJob
from jobs.decoding import MAX_BYTES
from jobs.definition_error import DefinitionError
from jobs.ledger import fingerprint
from settings.handover import Handover
from slot.job_lists import definition_of, without_first
from slot.turnover import Turnover

_LOG = logging.getLogger("reporter")
#: A file system that tells no changes is looked at again after so long.
_LOOK_AGAIN_S = 2.0
_BROKEN_TRIES, _BROKEN_PAUSE_S = 3, 2.0
_SETTLE_S = 0.2
_MAX_IDS = 10_000
#: What no waiting mends: no regular file or one that is too large (no number), no right to read it, a loop of links.
_NEVER = frozenset({None, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO})
#: Members of a definition that stay in the pilot's own room.
_SECRETS = frozenset({"secrets", "pilotSecrets", "pandaProxySecretKey"})


def take_job(handover: Handover, home: Path, task: AcquireJob, wait_s: float, turnover: Turnover | None = None) -> str:
    """Return the next definition (JSON text of one flat object), "" when none comes within `wait_s`.

    Harvester is asked for a further job by the request file, which goes when a job is there; with `wait_s` 0 nobody is
    asked.

    Raises:
        JobError: 1402, the file is still broken after 6 s, or is none that may be read; it stays where it is.
        OSError: the file cannot be read for the moment, kept or removed.
    """
    deadline = time.monotonic() + wait_s
    with DirectoryWatch(sorted({str(Path(place).parent) for place in handover.definition_files})) as watch:
        while True:
            definition = _take_one(handover, home, task, watch)
            left_s = deadline - time.monotonic()
            if definition or left_s <= 0:
                return definition
            if task.number and handover.more_jobs:
                (turnover or Turnover()).look(handover)
                _request(handover)
            watch.wait(min(left_s, _LOOK_AGAIN_S))


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


def _take_one(handover: Handover, home: Path, task: AcquireJob, watch: DirectoryWatch) -> str:
    taken = task.taken if task.number else ""
    for path in definition_files(handover):
        found = _first_new(path, taken, watch)
        if found is None:
            continue
        raw, definition = found
        if task.keep_at:
            write_atomic(Path(task.keep_at), definition, mode=0o600)
        write_atomic(home / "job_definition.json", _for_people(raw, definition), mode=0o600)
        _drop_first(path, raw)
        _drop_copies(handover, path, {fingerprint(definition), taken})
        _remove(Path(handover.access_point) / handover.names.request, wanted=bool(handover.access_point))
        _LOG.info("a job was taken from %s", path)
        return definition
    return ""


def _first_new(path: Path, taken: str, watch: DirectoryWatch) -> tuple[bytes, str] | None:
    """Return a file and its first job, without the one that was `taken` last; None when there is no file."""
    while True:
        try:
            raw, definition = _read(path, watch)
        except FileNotFoundError:
            return None
        if fingerprint(definition) != taken:
            return raw, definition
        _LOG.warning("%s holds the job that was run last; it is removed", path)
        _drop_first(path, raw)


def _drop_first(path: Path, raw: bytes) -> None:
    """Take the first job out of a file; a file with no other job is removed."""
    rest = without_first(raw)
    if rest:
        write_atomic(path, rest, mode=path.stat().st_mode & 0o777)
    else:
        _remove(path)


def _drop_copies(handover: Handover, path: Path, taken: set[str]) -> None:
    """Take the jobs that were dealt with out of other files too: wrappers copy the file beside the pilot."""
    for other in map(Path, handover.definition_files):
        try:
            while other != path and fingerprint(definition_of(raw := read_regular(other, MAX_BYTES))) in taken:
                _drop_first(other, raw)
        except (OSError, JobError):
            continue  # no file, or one of which is told when its turn comes


def _read(path: Path, watch: DirectoryWatch) -> tuple[bytes, str]:
    """Return a file and its definition; who writes it may not have finished, so a broken one is read again."""
    deadline = time.monotonic() + _BROKEN_TRIES * _BROKEN_PAUSE_S
    while True:
        try:
            raw = _settled(path, watch)
        except OSError as error:
            if error.errno in _NEVER:
                raise JobError(ErrorCode.BADJOBDEFINITION, f"job file: {error}") from error
            raise
        try:
            return raw, definition_of(raw)
        except DefinitionError as error:
            if time.monotonic() >= deadline:
                raise JobError(ErrorCode.BADJOBDEFINITION, f"job file {path}: {error.detail}") from error
        watch.wait(_BROKEN_PAUSE_S)


def _settled(path: Path, watch: DirectoryWatch) -> bytes:
    """Return a file that does not grow any more: url-encoded pairs that are cut look whole.

    Raises:
        OSError: it cannot be read.
    """
    raw = read_regular(path, MAX_BYTES)
    while not raw.lstrip().startswith((b"{", b"[")):
        deadline = time.monotonic() + _SETTLE_S
        while (left_s := deadline - time.monotonic()) > 0:
            watch.wait(left_s)
        before, raw = raw, read_regular(path, MAX_BYTES)
        if raw == before:
            break
    return raw


def _for_people(raw: bytes, definition: str) -> bytes:
    """Return what is kept of a file for people: the file as it is, or the job alone when it holds more, or secrets."""
    fields = json.loads(definition)
    if not _SECRETS & fields.keys() and not without_first(raw):
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
