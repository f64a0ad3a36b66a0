"""Text into values, with errors that say what was expected: yes/no, sizes, seconds, fields of Tuning and Limits."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from settings.errors import SettingsError
from settings.settings import Limits, Tuning

_YES = frozenset({"yes", "true", "t", "y", "1"})
_NO = frozenset({"no", "false", "f", "n", "0"})
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)", re.IGNORECASE | re.ASCII)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_CHOICES = {"signal_codes": ("bulkhead", "classic")}


def yes_no(text: str) -> bool:
    """Return the truth of "yes", "true", "t", "y", "1" and their opposites, in any case.

    Raises:
        ValueError: for any other word.
    """
    word = text.strip().lower()
    if word in _YES:
        return True
    if word in _NO:
        return False
    raise ValueError(f"{text!r} is neither yes nor no")


def size_bytes(text: str) -> int:
    """Return the bytes of "2 GB", "500MB" or "1048576" (units of 1024; no unit means bytes).

    Raises:
        ValueError: for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a size such as '2 GB'")
    return int(float(match[1]) * 1024.0 ** _POWERS[match[2].lower().rstrip("b").rstrip("i")])


def seconds(text: str) -> float:
    """Return a finite number of seconds, zero or more.

    Raises:
        ValueError: for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise ValueError(f"{text!r} is not a finite number, zero or more")
    return value


def count(text: str) -> int:
    """Return a whole number, zero or more.

    Raises:
        ValueError: for anything else.
    """
    if not re.fullmatch(r"\d{1,18}", text.strip(), re.ASCII):
        raise ValueError(f"{text!r} is not a whole number, zero or more")
    return int(text)


_READERS: Mapping[type, Callable[[str], Any]] = {int: count, float: seconds, str: str}


class Overrides:
    """Values for fields of Tuning and Limits, collected from the `[Bulkhead]` section and from `--set`."""

    def __init__(self) -> None:
        self.tuning: dict[str, Any] = {}
        self.limits: dict[str, Any] = {}

    def put(self, key: str, text: str, where: str) -> None:
        """Set the field `key` from its text.

        Args:
            key: A field of Tuning or Limits.
            text: The value as written.
            where: What the error calls the place, for example "--set".

        Raises:
            SettingsError: The key is unknown or the value has the wrong type.
        """
        for known, target in ((_TUNING, self.tuning), (_LIMITS, self.limits)):
            if key in known:
                target[key] = _typed(key, text.strip(), known[key], where)
                return
        names = ", ".join(sorted((*_TUNING, *_LIMITS)))
        raise SettingsError(f"{where}: unknown key {key!r}; known keys are {names}")


def _typed(key: str, text: str, kind: type, where: str) -> Any:
    try:
        if key in _CHOICES:
            return one_of(text, _CHOICES[key])
        if key.endswith("_bytes") and kind is int:
            return size_bytes(text)
        return _READERS[kind](text)
    except ValueError as error:
        raise SettingsError(f"{where}: bad value for {key}: {error}") from error


def one_of(text: str, choices: tuple[str, ...]) -> str:
    """Return the text, which must be one of the choices.

    Raises:
        ValueError: it is none of them.
    """
    if text not in choices:
        raise ValueError(f"{text!r} is none of {', '.join(choices)}")
    return text


def _kinds(cls: type[Tuning] | type[Limits]) -> Mapping[str, type]:
    return {field.name: type(field.default) for field in fields(cls)}


_TUNING = _kinds(Tuning)
_LIMITS = _kinds(Limits)
