"""What both dialects read alike in an answer: status, StatusCode, command, and what is no answer at all. Pure."""

import json
import re
from typing import Any

from errors.codes import ErrorCode
from workers.reporter.exchange import Answer, Failure, Reply
from workers.reporter.quoting import quote

RETRYABLE_CODES = frozenset({10, 30})
NO_JOBS = 20
#: Statuses that the same request will meet again; a 404 may be a server in the middle of its own start.
_PERMANENT_STATUSES = frozenset({400, 401, 403, 405, 406, 411, 413, 414, 415, 422, 501})
#: A 500 of the legacy dialect that the same body will meet again: an argument that the server does not know.
_PERMANENT_TEXTS = re.compile(rb"unexpected keyword argument|missing a required argument")
_UNKNOWN_METHOD = re.compile(rb"method \S{1,80} is forbidden")
_REFUSED_PERSON = re.compile(rb"authentication failed|is banned", re.IGNORECASE)
_MAX_COMMAND = 1024
_MAX_SECRETS = 64 * 1024


def status_code(data: dict[str, Any]) -> int | None:
    """Return StatusCode, a number or its text, 0 when absent, None when it is something else."""
    code = data.get("StatusCode", 0)
    if isinstance(code, str) and re.fullmatch(r"\s*\d{1,9}\s*", code, re.ASCII):
        return int(code)
    if code is None:
        return 0
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def command_of(data: dict[str, Any]) -> str:
    """Return the server's command, "" for NULL, null, none at all, or what is no text of a sane length."""
    command = data.get("command")
    if not isinstance(command, str) or command.strip().upper() in {"NULL", "NONE"} or len(command) > _MAX_COMMAND:
        return ""
    return command.strip()


def pilot_secrets_of(data: dict[str, Any]) -> str:
    """Return the pilot's secrets in an answer as JSON text of an object of texts, "" for none or for what is no such.

    They come as an object, or as the text of one; they are never quoted in an error or a log line.
    """
    value = data.get("pilotSecrets")
    if isinstance(value, str) and len(value) <= _MAX_SECRETS:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return ""
    if not isinstance(value, dict) or not all(isinstance(item, str | int) for item in value.values()):
        return ""
    text = json.dumps({name: str(item) for name, item in value.items()})
    return text if len(text) <= _MAX_SECRETS else ""


def refused_by_status(answer: Answer) -> Failure:
    """Return what an HTTP status other than 200 means."""
    if 300 <= answer.status < 400:
        target = quote(answer.location.split("?", 1)[0])
        return Failure(text=f"the server redirects ({answer.status}) to {target}: not followed", retry=True)
    text = "an HTML page" if answer.body.lstrip()[:1] == b"<" else quote(answer.body[:400].decode("utf-8", "replace"))
    permanent = answer.status in _PERMANENT_STATUSES or (
        answer.status == 500 and _PERMANENT_TEXTS.search(answer.body[:4096]) is not None
    )
    refused = answer.status == 401 or (answer.status == 403 and _REFUSED_PERSON.search(answer.body[:4096]) is not None)
    code = ErrorCode.IDENTITYREFUSED if refused else ErrorCode.COMMUNICATIONFAILURE
    return Failure(text=f"HTTP {answer.status}: {text}", code=int(code), retry=not permanent)


def garbage(what: str) -> Failure:
    """Return the failure for an answer that is none."""
    return Failure(text=f"the server sent {what}", retry=True)


def unknown_dialect(reply: Reply) -> bool:
    """Tell whether a server says that it does not know the dialect: 404, or 403 "forbidden" not of the person."""
    if not isinstance(reply, Answer):
        return False
    if reply.status == 404:
        return True
    head = reply.body[:4096]
    return reply.status == 403 and b"forbidden" in head.lower() and _REFUSED_PERSON.search(head) is None


def names_method(reply: Reply) -> bool:
    """Tell whether a PanDA server itself says that it has no such method (as 1.0.x does of the legacy ones)."""
    return isinstance(reply, Answer) and reply.status == 403 and _UNKNOWN_METHOD.search(reply.body[:4096]) is not None
