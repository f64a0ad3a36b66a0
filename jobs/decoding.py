"""Turns the text of a job definition into a flat dictionary, within limits (protocol 2.1, pitfalls P117).

JSON is what servers send; url-encoded pairs are what files of older brokers hold (protocol 6).
"""

import json
import math
from typing import NoReturn
from urllib.parse import parse_qsl

from jobs.definition_error import DefinitionError, shown
from jobs.literals import MAX_DEPTH

MAX_BYTES = 64 * 1024 * 1024
_MAX_PAIRS = 1000
_WHOLE = "definition"


def decode(text: str | bytes) -> dict[str, object]:
    """Return the keys and values of a job definition.

    Args:
        text: one JSON object or url-encoded pairs, at most 64 MiB of UTF-8.

    Raises:
        DefinitionError: code 1402; the text is broken, too long or nested deeper than 64, a key comes twice, a number
            is not finite, or it is not one object.
    """
    if len(text) > MAX_BYTES:
        raise DefinitionError(_WHOLE, f"longer than {MAX_BYTES} bytes")
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DefinitionError(_WHOLE, f"not UTF-8 at byte {error.start}") from error
    text = text.removeprefix("\ufeff").strip()
    if text.startswith(("{", "[")):
        return _from_json(text)
    return _from_pairs(text)


def _from_json(text: str) -> dict[str, object]:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise DefinitionError(_WHOLE, f"nested deeper than {MAX_DEPTH}") from error
    except ValueError as error:
        raise DefinitionError(_WHOLE, f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DefinitionError(_WHOLE, "not an object")
    _check_depth(value)
    return value


def _from_pairs(text: str) -> dict[str, object]:
    if "=" not in text or text.startswith("<"):
        raise DefinitionError(_WHOLE, "neither JSON nor url-encoded pairs")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=_MAX_PAIRS, errors="strict")
    except ValueError as error:
        raise DefinitionError(_WHOLE, f"broken url-encoded pairs: {error}") from error
    return _unique([(key, value) for key, value in pairs])


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise DefinitionError(twice if twice.isidentifier() else _WHOLE, f"the key {shown(twice)} comes twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise DefinitionError(_WHOLE, f"the number {shown(text)} is out of range")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise DefinitionError(_WHOLE, f"{name} is not a number that JSON knows")


def _check_depth(value: dict[str, object]) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        level = [
            item
            for group in level
            for item in (group.values() if isinstance(group, dict) else group if isinstance(group, list) else ())
            if isinstance(item, dict | list)
        ]
        if not level:
            return
    raise DefinitionError(_WHOLE, f"nested deeper than {MAX_DEPTH}")
