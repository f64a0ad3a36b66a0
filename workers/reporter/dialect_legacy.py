"""The server's legacy dialect: tasks into HTTP requests, answers into results (panda-protocol 1.3-1.7). Pure.

The body of a request is always gzip, without a header that says so. An answer is JSON or url-encoded pairs whose values
are texts; StatusCode, the command and the job lie at its top level.
"""

import gzip
import json
from collections.abc import Mapping
from typing import Any, NoReturn
from urllib.parse import parse_qsl, urlencode

from ipc.results import JobAcquired, NoJob, UpdateAnswered
from jobs.literals import parse_literal
from settings.server import server_url
from settings.settings import Settings
from workers.reporter.answers import (
    NO_JOBS,
    RETRYABLE_CODES,
    command_of,
    garbage,
    pilot_secrets_of,
    refused_by_status,
    status_code,
)
from workers.reporter.call_names import CallNames, renamed
from workers.reporter.dialect_v1 import first_definition, user_agent
from workers.reporter.exchange import Failure, HttpRequest, Lost, Outcome, Reply
from workers.reporter.foreign_json import ForeignJsonError, read_object
from workers.reporter.quoting import quote

_MAX_PAIRS = 2000
_MAX_LITERAL = 1024 * 1024


def ask(settings: Settings, call: CallNames, arguments: Mapping[str, object]) -> HttpRequest:
    """Return the request of a call.

    Args:
        settings: Server and versions.
        call: The call's names.
        arguments: Under their v1 names.

    Raises:
        ValueError: The legacy dialect has no such call, or one of the arguments has no name in it.
    """
    if not call.legacy:
        raise ValueError(f"the legacy dialect has no call for {call.v1}")
    return post(settings, call.legacy, renamed(call.names, arguments), http=call.legacy_http)


def post(settings: Settings, method: str, arguments: Mapping[str, object], *, http: str = "POST") -> HttpRequest:
    """Return the request of a legacy method, with arguments under their legacy names."""
    headers = [("User-Agent", user_agent(settings)), ("Accept", "application/json")]
    url, body = f"{server_url(settings)}/server/panda/{method}", b""
    if http == "POST":
        headers.append(("Content-Type", "application/json"))
        body = gzip.compress(json.dumps(dict(arguments)).encode("utf-8", "replace"), 6, mtime=0)
    elif arguments:
        url = f"{url}?{urlencode(dict(arguments))}"
    return HttpRequest(method=http, url=url, headers=tuple(headers), body=body, authenticated=True)


def read_job(reply: Reply) -> Outcome:
    """Return the job in the answer to getJob, NoJob, or why there is neither."""
    opened = open_answer(reply)
    if isinstance(opened, Failure):
        return opened
    fields, refusal = opened
    if status_code(fields) == NO_JOBS:
        return NoJob(reason=quote(fields.get("errorDialog") or "no jobs in PanDA"))
    if refusal is not None:
        # What may help later is waited for as a job is (1.6).
        return NoJob(reason=refusal.text) if refusal.retry else refusal
    try:
        return JobAcquired(definition=_definition(fields))
    except ForeignJsonError as error:
        return garbage(str(error))


def _definition(fields: dict[str, Any]) -> str:
    """Return the job at the answer's top level, or the first one of the list that an answer to `nJobs` has."""
    if fields.get("jobs"):
        return first_definition(fields["jobs"])
    if "PandaID" not in fields:
        raise ForeignJsonError("an answer without a job")
    return first_definition([fields])


def read_update(reply: Reply) -> Outcome:
    """Return how the server took an update, or another call whose answer is only yes or no."""
    opened = open_answer(reply)
    if isinstance(opened, Failure):
        return opened
    fields, refusal = opened
    secrets = pilot_secrets_of({"pilotSecrets": nested(fields.get("pilotSecrets"))})
    return refusal or UpdateAnswered(stored=True, command=command_of(fields), pilot_secrets=secrets)


def open_answer(reply: Reply) -> tuple[dict[str, Any], Failure | None] | Failure:
    """Return the fields and the refusal (None when there is none) of an answer that is one."""
    if isinstance(reply, Lost):
        return Failure(text=reply.text, code=reply.code, retry=True)
    if reply.status != 200:
        return refused_by_status(reply)
    try:
        fields = read_fields(reply.body)
    except ForeignJsonError as error:
        return garbage(str(error))
    code = status_code(fields) if "StatusCode" in fields else None
    if code is None:
        return garbage("an answer without a StatusCode that is a number")
    if code == 0:
        return fields, None
    text = f"the server answers: {quote(fields.get('errorDialog') or 'no reason')} (StatusCode {code})"
    return fields, Failure(text=text, retry=code in RETRYABLE_CODES)


def read_fields(body: bytes) -> dict[str, Any]:
    """Return the fields of an answer: a JSON object, url-encoded pairs (blank values kept), or a Python literal.

    Raises:
        ForeignJsonError: it is none of them, or a key comes twice.
    """
    start = body.lstrip()[:1]
    if start == b"{":
        try:
            return read_object(body)
        except ForeignJsonError:
            literal = _literal(body.decode("utf-8", "replace"))
            if isinstance(literal, dict):
                return literal
            raise
    if start in {b"", b"<", b"["} or b"=" not in body:
        return read_object(body)  # which says what it is instead
    try:
        pairs = parse_qsl(
            body.decode("utf-8").strip(), keep_blank_values=True, max_num_fields=_MAX_PAIRS, errors="strict"
        )
    except ValueError as error:
        raise ForeignJsonError(f"broken url-encoded pairs ({quote(error)})") from None
    fields: dict[str, Any] = dict(pairs)
    if len(fields) != len(pairs):
        raise ForeignJsonError("url-encoded pairs with a key that comes twice")
    return fields


def nested(value: Any) -> Any:
    """Return what a field holds: itself, or the value that its text (JSON or a Python literal) stands for.

    Text that is neither is returned as it is.
    """
    if not isinstance(value, str):
        return value
    found = _literal(value)
    return value if found is _NO_LITERAL else found


_NO_LITERAL = object()


def _literal(text: str) -> object:
    """Return the value of JSON text, or of a Python literal that is short: reading those takes its time."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        if len(text) > _MAX_LITERAL:
            return _NO_LITERAL
    try:
        return parse_literal(text)
    except ValueError:
        return _NO_LITERAL


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
