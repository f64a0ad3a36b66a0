"""Plain files as job source and job sink: `--job-file` in, `--report-file` out.

The job file holds one job definition, a JSON object. The report is a JSON object, replaced atomically at each update:
the last state and error, the last update, and all updates in order.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

from errors.codes import ErrorCode
from host.clock import now, utc_text
from host.files import read_bounded, read_regular, write_atomic
from ipc.results import JobAcquired, NoJob, UpdateAnswered
from ipc.tasks import AcquireJob, SendUpdate
from settings.settings import Settings
from workers.reporter.exchange import MAX_ANSWER_BYTES, Conversation, Failure, LocalCall, Lost, Outcome, Reply
from workers.reporter.foreign_json import ForeignJsonError, read_object, write_object
from workers.reporter.server_v1 import Exchange


def read_document(path: Path) -> bytes:
    """Return a regular file of at most 64 MiB.

    Raises:
        OSError: it cannot be read, is not a regular file, or is larger; the text names the path.
    """
    return read_regular(path, MAX_ANSWER_BYTES)


class FileSource:
    """One job from a file, then the end. Made anew (after a death) it gives its job once more."""

    def __init__(self, settings: Settings) -> None:
        self._path = Path(settings.job_file)
        self._limit_s = settings.http_timeout_s
        self._given = False

    def acquire(self, _task: AcquireJob) -> Conversation:
        """Read the job."""
        return Exchange(
            what=f"job file {self._path.name}",
            limit_s=self._limit_s,
            ask=lambda: LocalCall(run=partial(read_document, self._path)),
            read=self._read,
        )

    def _read(self, reply: Reply) -> Outcome:
        if self._given:
            return NoJob(reason=f"the job of {self._path} was given", end=True)
        if isinstance(reply, Lost):
            return Failure(text=f"job file: {reply.text}", code=int(ErrorCode.BADJOBDEFINITION), retry=False)
        try:
            definition = write_object(read_object(reply.body))
        except ForeignJsonError as error:
            text = f"job file {self._path} holds {error}"
            return Failure(text=text, code=int(ErrorCode.BADJOBDEFINITION), retry=False)
        self._given = True
        return JobAcquired(definition=definition)


class FileSink:
    """Updates kept in a report file."""

    def __init__(self, settings: Settings) -> None:
        self._path = Path(settings.report_file)
        self._limit_s = settings.http_timeout_s

    def deliver(self, task: SendUpdate) -> Conversation:
        """Add one update to the report; the same one sent again takes its own place."""
        return Exchange(
            what=f"report {task.sequence}",
            limit_s=self._limit_s,
            ask=lambda: LocalCall(run=partial(add_update, self._path, task)),
            read=_stored,
        )


def _stored(reply: Reply) -> Outcome:
    if isinstance(reply, Lost):
        return Failure(text=f"report file: {reply.text}", code=reply.code, retry=True)
    return UpdateAnswered(stored=True)


def add_update(path: Path, task: SendUpdate) -> bytes:
    """Put an update into the report at `path`, after those before it.

    Entries of the same call and job with this number or a later one come from a run before this one, or from the same
    update sent before; they are replaced.

    Raises:
        OSError: the report could not be written; it then is what it was.
        ForeignJsonError: the update is not a JSON object.
    """
    body = read_object(task.body.encode("utf-8", "replace"))
    job_id = body.get("job_id", 0)
    entry = {
        "sequence": task.sequence,
        "call": task.call,
        "job_id": job_id,
        "final": task.final,
        "written": utc_text(now().wall),
        "arguments": body,
    }
    same = (task.call, job_id)
    updates = [e for e in _updates(path) if (e.get("call"), e.get("job_id")) != same or _earlier(e, task.sequence)]
    updates.append(entry)
    of_job = [
        e["arguments"] for e in updates if isinstance(e.get("arguments"), dict) and "job_status" in e["arguments"]
    ]
    last = of_job[-1] if of_job else {}
    report = {
        "job_id": last.get("job_id", 0),
        "job_status": last.get("job_status", ""),
        "final": any(e.get("final") is True for e in updates),
        "pilot_error_code": last.get("pilot_error_code", 0),
        "pilot_error_diag": last.get("pilot_error_diag", ""),
        "last_update": last,
        "updates": updates,
    }
    write_atomic(path, json.dumps(report, indent=1) + "\n")
    return b""


def _updates(path: Path) -> list[dict[str, Any]]:
    """Return the updates in a report, none when it is absent or not a report."""
    text = read_bounded(path, MAX_ANSWER_BYTES)
    try:
        updates = read_object(text.encode("utf-8", "replace")).get("updates")
    except ForeignJsonError:
        return []
    return [entry for entry in updates if isinstance(entry, dict)] if isinstance(updates, list) else []


def _earlier(entry: dict[str, Any], sequence: int) -> bool:
    number = entry.get("sequence")
    return isinstance(number, int) and number < sequence
