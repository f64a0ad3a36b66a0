"""Reading a pilot's request and writing the answer as the real server does (panda-protocol.md 1.2 to 1.4)."""

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from sandbox.arguments import ArgumentRefusedError, CallTable, UncaughtServerError, cast_query
from sandbox.envelope import envelope

JSON_TYPE = "application/json"


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer: status, bytes, their type, and what they mean for the record."""

    status: int
    body: bytes
    content_type: str = "text/plain"
    value: Any = None


def text_answer(status: int, text: str) -> Answer:
    """Return a plain text answer, as errors on the HTTP level are."""
    return Answer(status, text.encode(), value=text)


def json_answer(headers: Mapping[str, str], value: Any) -> Answer:
    """Return an answer with status 200: JSON when asked for exactly, else as Python writes it; always text/plain."""
    wanted = JSON_TYPE in {headers.get("Content-Type"), headers.get("Accept")}
    text = json.dumps(value) if wanted else str(value)
    return Answer(200, text.encode(), value=value)


def decode_body(headers: Mapping[str, str], raw: bytes) -> dict[str, Any]:
    """Read the arguments of a POST; anything but the exact JSON type is taken for a form, whose values are text.

    Raises:
        UncaughtServerError: Not gzip though announced, not JSON, or not an object.
    """
    if headers.get("Content-Type") != JSON_TYPE:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    if headers.get("Content-Encoding") == "gzip":
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as err:
            raise UncaughtServerError(str(err)) from err
    try:
        value = json.loads(raw)
    except ValueError as err:
        raise UncaughtServerError(f"ERROR : received invalid JSON : {err}") from err
    if not isinstance(value, dict):
        raise UncaughtServerError(f"argument after ** must be a mapping, not {type(value).__name__}")
    return value


def decode_query(table: CallTable, method: str, query: list[tuple[str, str]]) -> dict[str, Any]:
    """Read the arguments of a GET.

    Raises:
        ArgumentRefusedError: Wrong method for the call, or a value that cannot be cast.
    """
    if table.http != method:
        raise ArgumentRefusedError(f"expecting {table.http}, received {method}")
    return cast_query(table, query)


def refusal(headers: Mapping[str, str], message: str) -> Answer:
    """Return the way in which v1 says no."""
    return json_answer(headers, envelope(False, message))
