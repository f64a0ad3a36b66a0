"""JSON from outside: only whole objects, of bounded depth, without NaN; anything else is named in the error (P117)."""

import json
from typing import Any, NoReturn

from workers.reporter.quoting import quote

MAX_DEPTH = 100


class ForeignJsonError(ValueError):
    """The text is not what was asked for; the message says what it is instead."""


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`.

    Raises:
        ForeignJsonError: `body` is empty, HTML, not JSON, cut, too deep, or another JSON value.
    """
    if not body.strip():
        raise ForeignJsonError("an empty body")
    if body.lstrip()[:1] == b"<":
        raise ForeignJsonError("an HTML or XML page")
    try:
        value = json.loads(body, parse_constant=_refuse)
    except RecursionError:
        raise ForeignJsonError("JSON that is nested too deeply") from None
    except ValueError as error:
        raise ForeignJsonError(f"no valid JSON ({quote(error)}): {quote(body[:80])}") from None
    if not isinstance(value, dict):
        raise ForeignJsonError(f"JSON of type {type(value).__name__}, not an object")
    return value


def write_object(value: dict[str, Any]) -> str:
    """Return the (ASCII) JSON text of an object that came from outside.

    Raises:
        ForeignJsonError: it is nested more than 100 deep.
    """
    layer: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        layer = [inner for item in layer for inner in _children(item) if isinstance(inner, (dict, list))]
        if not layer:
            return json.dumps(value)
    raise ForeignJsonError(f"JSON that is nested more than {MAX_DEPTH} deep")


def _children(item: dict[str, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
