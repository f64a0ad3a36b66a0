"""Reads single values of a job definition by the server's conventions (protocol 2.1).

NULL in any case, None, an empty text, null and absence all mean "no value"; flags are texts; numbers may be texts.
"""

import json
import re
from collections.abc import Mapping

from errors.codes import ErrorCode
from jobs.definition_error import DefinitionError, shown
from jobs.literals import parse_literal

MAX_INT = 2**63 - 1
_MAX_EXACT_FLOAT = 2**53
_NULLS = frozenset({"", "null", "none"})
_TRUE = frozenset({"1", "true", "yes"})
_FALSE = frozenset({"0", "false", "no", "none", "null", ""})
_MAX_TEXT = 1024
_MAX_ITEMS = 100_000


def is_null(value: object) -> bool:
    """Say whether a value means "no value"."""
    return value is None or (isinstance(value, str) and len(value) < 64 and value.strip().lower() in _NULLS)


class Fields:
    """The keys of one job definition, read one by one; every method names the key in its `DefinitionError`."""

    def __init__(self, raw: Mapping[str, object]) -> None:
        self._raw = raw

    def has(self, key: str) -> bool:
        """Say whether a key has a value."""
        return not is_null(self._raw.get(key))

    def is_given_null(self, key: str) -> bool:
        """Say whether a key was given the text NULL, which some brokers write where a name is not needed."""
        value = self._raw.get(key)
        return isinstance(value, str) and value.strip() != "" and is_null(value)

    def raw(self, key: str) -> object:
        """Return a value as it came, None when there is none."""
        value = self._raw.get(key)
        return None if is_null(value) else value

    def text(self, key: str, pattern: re.Pattern[str] | None = None, *, limit: int = _MAX_TEXT) -> str:
        """Return a text without control characters, "" when there is none.

        Args:
            key: the key.
            pattern: allow-list the whole text must match.
            limit: most characters.

        Raises:
            DefinitionError: 1302 for a value that is no text, 1402 otherwise.
        """
        value = self.raw(key)
        if value is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DefinitionError(key, f"{shown(value)} is not a text", ErrorCode.CONVERSIONFAILURE)
        text = str(value).strip(" ")
        check_text(key, text, limit=limit)
        if pattern is not None and not pattern.fullmatch(text):
            raise DefinitionError(key, f"{shown(text)} has a form that is not allowed")
        return text

    def long_text(self, key: str, *, limit: int) -> str:
        """Return a text that may hold line breaks: at most `limit` characters, no NUL, fit for UTF-8."""
        value = self.raw(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise DefinitionError(key, f"{shown(value)} is not a text", ErrorCode.CONVERSIONFAILURE)
        if len(value) > limit:
            raise DefinitionError(key, f"longer than {limit} characters")
        if "\0" in value:
            raise DefinitionError(key, "has a NUL character")
        check_encodable(key, value)
        return value

    def integer(self, key: str, default: int = 0, *, low: int = 0, high: int = MAX_INT) -> int:
        """Return a whole number within bounds, the default when there is none.

        Raises:
            DefinitionError: 1302 for a value that is no whole number, 1402 for one out of bounds.
        """
        value = self.raw(key)
        return default if value is None else to_integer(key, value, low=low, high=high)

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return a flag: 1, true, yes or 0, false, no, none, in any case."""
        value = self.raw(key)
        if value is None:
            return default
        word = str(value).strip().lower() if isinstance(value, bool | int | str) else "?"
        if word not in _TRUE | _FALSE:
            raise DefinitionError(key, f"{shown(value)} is not a flag", ErrorCode.CONVERSIONFAILURE)
        return word in _TRUE

    def items(self, key: str) -> tuple[str | None, ...]:
        """Return a comma separated list (or a JSON list), with None for each item that has no value.

        Raises:
            DefinitionError: 1302 for a value that is no list, 1402 for more than 100,000 items.
        """
        value = self.raw(key)
        if value is None:
            return ()
        parts = value if isinstance(value, list) else str(value).split(",")
        if isinstance(value, dict | bool) or not all(isinstance(part, str | int | None) for part in parts):
            raise DefinitionError(key, f"{shown(value)} is not a list", ErrorCode.CONVERSIONFAILURE)
        if len(parts) > _MAX_ITEMS:
            raise DefinitionError(key, f"more than {_MAX_ITEMS} items")
        return tuple(None if is_null(part) else str(part).strip(" ") for part in parts)

    def mapping(self, key: str) -> Mapping[str, object] | None:
        """Return an object, which may have come as text with JSON or a Python literal in it.

        Raises:
            DefinitionError: 1302 when it is none.
        """
        value = self.raw(key)
        if isinstance(value, str):
            try:
                value = parse_literal(value)
            except ValueError as error:
                raise DefinitionError(key, f"not an object: {error}", ErrorCode.CONVERSIONFAILURE) from error
        if value is not None and not isinstance(value, dict):
            raise DefinitionError(key, f"{shown(value)} is not an object", ErrorCode.CONVERSIONFAILURE)
        return value

    def json_text(self, key: str, *, limit: int) -> str:
        """Return a text, or the JSON text of an object; "" when there is none. The value is never shown in errors."""
        value = self.raw(key)
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        if len(text) > limit or "\0" in text:
            raise DefinitionError(key, f"longer than {limit} characters or with a NUL character")
        check_encodable(key, text)
        return text


def to_integer(key: str, value: object, *, low: int = 0, high: int = MAX_INT) -> int:
    """Return a whole number that may have come as text or as 8.0.

    Raises:
        DefinitionError: 1302 for a value that is no whole number, 1402 for one out of bounds.
    """
    number = _whole(value)
    if number is None:
        raise DefinitionError(key, f"{shown(value)} is not a whole number", ErrorCode.CONVERSIONFAILURE)
    if not low <= number <= high:
        raise DefinitionError(key, f"{shown(value)} is not between {low} and {high}")
    return number


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if re.fullmatch(r"\s*[+-]?[0-9]{1,40}\s*", value) else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _MAX_EXACT_FLOAT else None
    return value if isinstance(value, int) else None


def check_text(key: str, text: str, *, limit: int = _MAX_TEXT) -> None:
    """Refuse a text that is too long or has control characters, line breaks or characters that change direction."""
    if len(text) > limit:
        raise DefinitionError(key, f"longer than {limit} characters")
    if not text.replace("\u00a0", " ").isprintable():  # names of people do hold that blank
        raise DefinitionError(key, f"{shown(text)} has characters that cannot be printed")


def check_encodable(key: str, text: str) -> None:
    """Refuse a text with lone surrogates, which no file and no process can be given."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise DefinitionError(key, f"character {error.start} is not valid Unicode") from error
