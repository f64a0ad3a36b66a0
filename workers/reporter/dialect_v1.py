"""The server's v1 dialect: tasks into HTTP requests, answers into results (panda-protocol 1.3-1.7, 12). Pure.

A refusal arrives as HTTP 200: `success` is looked at first, then `data.StatusCode`; the content type is ignored.
"""

import gzip
import re
from typing import Any

from ipc.results import JobAcquired, NoJob, UpdateAnswered
from settings.server import server_url
from settings.settings import VERSION, Settings
from workers.reporter.answers import (
    NO_JOBS,
    RETRYABLE_CODES,
    command_of,
    garbage,
    pilot_secrets_of,
    refused_by_status,
    status_code,
)
from workers.reporter.exchange import Failure, HttpRequest, Lost, Outcome, Reply
from workers.reporter.foreign_json import ForeignJsonError, read_object, write_object
from workers.reporter.quoting import quote

_CALL = re.compile(r"(?:(?P<module>[a-z]+)/)?(?P<method>[a-z_]+)", re.ASCII)
_PERMANENT_MESSAGES = re.compile(
    r"Argument error|Type error|SSL secure connection|\brole\b|expecting (?:POST|GET)"
    r"|Invalid job|not allowed|forbidden|\bauthorized\b|token key is (?:invalid|missing)|since .* ?is missing on ",
    re.IGNORECASE,
)
#: A definition crosses the bus as text in JSON: twice its size at worst, below the bus's 64 MiB.
_MAX_DEFINITION = 30 * 1024 * 1024


def user_agent(settings: Settings) -> str:
    """Return "pilot/<version> (Python <x.y.z>; <system> <machine>)"."""
    return f"pilot/{VERSION} (Python {settings.python}; {settings.platform})"


def post(settings: Settings, call: str, arguments: str, *, compress: bool = True) -> HttpRequest:
    """Return the request of a v1 call.

    Args:
        settings: Server and versions.
        call: "<module>/<method>"; the module is "pilot" when left out.
        arguments: JSON text of the call's arguments.
        compress: Send the body as gzip.

    Raises:
        ValueError: `call` is not the name of a call.
    """
    name = _CALL.fullmatch(call)
    if name is None:
        raise ValueError(f"{call[:80]!r} is not a call of the server")
    body = arguments.encode("utf-8", "replace")
    headers = [
        ("User-Agent", user_agent(settings)),
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    ]
    if compress:
        body = gzip.compress(body, 6, mtime=0)
        headers.append(("Content-Encoding", "gzip"))
    return HttpRequest(
        method="POST",
        url=f"{server_url(settings)}/api/v1/{name['module'] or 'pilot'}/{name['method']}",
        headers=tuple(headers),
        body=body,
        authenticated=True,
    )


def read_job(reply: Reply) -> Outcome:
    """Return the job in the answer to acquire_jobs, NoJob, or why there is neither."""
    opened = _open(reply)
    if isinstance(opened, Failure):
        return opened
    message, data, refusal = opened
    if message.lower().startswith("no jobs") or status_code(data) == NO_JOBS:
        return NoJob(reason=message or "no jobs in PanDA")
    if refusal is not None:
        # An answer with a StatusCode is waited after as one without a job (1.6).
        return NoJob(reason=refusal.text) if status_code(data) and refusal.retry else refusal
    jobs = data.get("jobs")
    if jobs == []:
        return NoJob(reason="an empty list of jobs")
    try:
        return JobAcquired(definition=first_definition(jobs))
    except ForeignJsonError as error:
        return garbage(str(error))


def first_definition(jobs: Any) -> str:
    """Return the text of the first job; one was asked for, what else a server sends is not for this pilot."""
    if not isinstance(jobs, list):
        raise ForeignJsonError("an answer without a list of jobs")
    if not isinstance(jobs[0], dict):
        raise ForeignJsonError("a job that is not an object")
    definition = write_object(jobs[0])
    if len(definition) > _MAX_DEFINITION:
        raise ForeignJsonError(f"a job of {len(definition)} bytes")
    return definition


def read_update(reply: Reply) -> Outcome:
    """Return how the server took an update; `alreadydone` and `badattemptnr` count as taken (P68)."""
    opened = _open(reply)
    if isinstance(opened, Failure):
        return opened
    message, data, refusal = opened
    if refusal is not None:
        return refusal
    secrets = pilot_secrets_of(data)
    return UpdateAnswered(stored=True, command=command_of(data), message=message, pilot_secrets=secrets)


def _open(reply: Reply) -> tuple[str, dict[str, Any], Failure | None] | Failure:
    """Return what `open_envelope` does, with data that are no object as an empty one."""
    opened = open_envelope(reply)
    if isinstance(opened, Failure):
        return opened
    message, data, refusal = opened
    return message, data if isinstance(data, dict) else {}, refusal


def open_envelope(reply: Reply) -> tuple[str, Any, Failure | None] | Failure:
    """Return the message, the data and the refusal (None when there is none) of an answer that is one."""
    if isinstance(reply, Lost):
        return Failure(text=reply.text, code=reply.code, retry=True)
    if reply.status != 200:
        return refused_by_status(reply)
    try:
        envelope = read_object(reply.body)
    except ForeignJsonError as error:
        return garbage(str(error))
    success, data = envelope.get("success"), envelope.get("data")
    message = quote(envelope.get("message") or "")
    if not isinstance(success, bool):
        return garbage("an answer that does not say whether it is a success")
    fields = data if isinstance(data, dict) else {}
    code = status_code(fields)
    if code is None:
        return garbage("a StatusCode that is not a number")
    return message, data, _refusal(success=success, code=code, message=message)


def _refusal(*, success: bool, code: int, message: str) -> Failure | None:
    if success and code == 0:
        return None
    text = f"the server answers: {message or 'no reason'} (StatusCode {code})"
    if code != 0:
        return Failure(text=text, retry=code in RETRYABLE_CODES)
    return Failure(text=text, retry=_PERMANENT_MESSAGES.search(message) is None)
