"""Calls beside job request and update: one request, and what its answer means, in either dialect. Pure.

A `Call` is carried by whoever needs its result: `call.read(carrier.perform(call.request, deadline))`. Its makers are in
calls_jobs, calls_events and calls_credentials.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar
from urllib.parse import urlencode

from settings.server import server_url
from settings.settings import Settings
from workers.reporter import dialect_legacy, dialect_v1
from workers.reporter.answers import garbage
from workers.reporter.call_names import CALLS, CallNames
from workers.reporter.dialect_legacy import nested
from workers.reporter.exchange import Failure, HttpRequest, Reply
from workers.reporter.foreign_json import ForeignJsonError, write_object

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the reading of the reply to it: the value, or why there is none."""

    request: HttpRequest
    read: Callable[[Reply], T | Failure]


class UnreadableError(ValueError):
    """The answer's content is not what the call promises; the text says what is wrong."""


def make(
    settings: Settings, dialect: str, call: str, arguments: Mapping[str, object], value: Callable[[Any], T]
) -> Call[T]:
    """Return a call.

    Args:
        settings: Server and versions.
        dialect: "v1" or "legacy".
        call: "<module>/<method>" of v1.
        arguments: Under their v1 names; null is left out.
        value: What the content means: v1 `data` (any JSON value), or all fields of a legacy answer. It may raise
            UnreadableError.

    Raises:
        ValueError: The legacy dialect has no such call.
    """
    names = CALLS[call]
    given = {name: item for name, item in arguments.items() if item is not None}
    if dialect == "legacy":
        return Call(dialect_legacy.ask(settings, names, given), partial(_read, content_legacy, value))
    return Call(_ask_v1(settings, names, given), partial(_read, content_v1, value))


def _ask_v1(settings: Settings, names: CallNames, arguments: dict[str, object]) -> HttpRequest:
    if names.http == "POST":
        return dialect_v1.post(settings, names.v1, write_object(arguments))
    query = urlencode(arguments, doseq=True)
    headers = (
        ("User-Agent", dialect_v1.user_agent(settings)),
        ("Content-Type", "application/json"),
        ("Accept", "application/json"),
    )
    url = f"{server_url(settings)}/api/v1/{names.v1}{'?' if query else ''}{query}"
    return HttpRequest(method="GET", url=url, headers=headers, authenticated=True)


def content_v1(reply: Reply) -> Any:
    """Return `data` of a v1 answer, or the Failure."""
    opened = dialect_v1.open_envelope(reply)
    if isinstance(opened, Failure):
        return opened
    _message, data, refusal = opened
    return data if refusal is None else refusal


def content_legacy(reply: Reply) -> Any:
    """Return the fields of a legacy answer, or the Failure."""
    opened = dialect_legacy.open_answer(reply)
    if isinstance(opened, Failure):
        return opened
    fields, refusal = opened
    return fields if refusal is None else refusal


def _read(content: Callable[[Reply], Any], value: Callable[[Any], T], reply: Reply) -> T | Failure:
    found = content(reply)
    if isinstance(found, Failure):
        return found
    try:
        return value(found)
    except (UnreadableError, ForeignJsonError) as error:
        return garbage(str(error))


def objects(value: Any, what: str) -> tuple[dict[str, Any], ...]:
    """Return a list of objects, also one that came as text.

    Raises:
        UnreadableError: it is something else.
    """
    found = nested(value)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UnreadableError(f"no list of {what}")
    return tuple(found)


def text_of(content: Any, what: str, *names: str) -> str:
    """Return the text under the first of these names that has one.

    Raises:
        UnreadableError: there is none.
    """
    for name in names:
        text = content.get(name) if isinstance(content, dict) else None
        if isinstance(text, str) and text.strip():
            return text
    raise UnreadableError(f"an answer without {what}")
