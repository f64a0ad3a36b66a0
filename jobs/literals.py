"""Reads Python literals from foreign text without `eval`: dicts, lists, tuples, texts, numbers, True, False, None.

Url-encoded job files and `--overwriteQueueData` hold such literals (protocol 2.1, 2.5). JSON is understood as well.
"""

import math
import re
from functools import cache

MAX_DEPTH = 64
_MAX_DIGITS = 40
_WORDS: dict[str, object] = {"None": None, "null": None, "True": True, "true": True, "False": False, "false": False}
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", "'": "'", '"': '"', "\n": ""}
_CLOSERS = {"{": "}", "[": "]", "(": ")"}


@cache
def _token() -> re.Pattern[str]:
    return re.compile(
        r"""\s*+(?:
            (?P<mark>[{}\[\](),:])
          | [uU]?(?:'(?P<single>(?:\\.|[^'\\]++)*+)' | "(?P<double>(?:\\.|[^"\\]++)*+)")
          | (?P<number>[+-]?\d++(?:\.\d*+)?(?:[eE][+-]?\d++)?)
          | (?P<word>[A-Za-z]++)
        )""",
        re.VERBOSE | re.DOTALL,
    )


@cache
def _escape() -> re.Pattern[str]:
    return re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)


def read_literal(text: str, start: int = 0) -> tuple[object, int]:
    """Read the literal that begins at a place in a text.

    Returns:
        The value (tuples become lists) and the place behind it.

    Raises:
        ValueError: no literal there, or nested deeper than 64, or a number out of range.
    """
    return _Reader(text).value(start, 0)


def parse_literal(text: str) -> object:
    """Return the value of a text that is one literal and nothing else.

    Raises:
        ValueError: it is not.
    """
    value, end = read_literal(text)
    if text[end:].strip():
        raise ValueError("text behind the literal")
    return value


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text

    def _next(self, at: int) -> re.Match[str]:
        match = _token().match(self._text, at)
        if match is None:
            raise ValueError(f"no literal at character {at}")
        return match

    def value(self, at: int, depth: int) -> tuple[object, int]:
        match = self._next(at)
        kind, token = match.lastgroup, match[match.lastgroup or 0]
        if kind == "mark":
            return self._container(token, match.end(), depth + 1)
        if kind == "number":
            return _number(token), match.end()
        if kind == "word":
            if token not in _WORDS:
                raise ValueError(f"unknown word at character {at}")
            return _WORDS[token], match.end()
        return _unescape(token), match.end()

    def _container(self, opener: str, at: int, depth: int) -> tuple[object, int]:
        if opener not in _CLOSERS or depth > MAX_DEPTH:
            raise ValueError("bad nesting")
        closer = _CLOSERS[opener]
        pairs: dict[str, object] = {}
        items: list[object] = []
        while (match := self._next(at))["mark"] != closer:
            item, at = self.value(at, depth)
            if opener == "{":
                at = self._expect(":", at)
                if not isinstance(item, str | int) or str(item) in pairs:
                    raise ValueError("bad or repeated key")
                pairs[str(item)], at = self.value(at, depth)
            else:
                items.append(item)
            match = self._next(at)
            if match["mark"] == ",":
                at = match.end()
            elif match["mark"] != closer:
                raise ValueError(f"comma expected at character {at}")
        return (pairs if opener == "{" else items), match.end()

    def _expect(self, mark: str, at: int) -> int:
        match = self._next(at)
        if match["mark"] != mark:
            raise ValueError(f"{mark} expected at character {at}")
        return match.end()


def _number(token: str) -> int | float:
    if len(token) > _MAX_DIGITS:
        raise ValueError("number too long")
    if token.lstrip("+-").isdigit():
        return int(token)
    number = float(token)
    if not math.isfinite(number):
        raise ValueError("number out of range")
    return number


def _unescape(token: str) -> str:
    if "\\" not in token:
        return token

    def plain(match: re.Match[str]) -> str:
        digits = match[1] or match[2] or match[3]
        return chr(int(digits, 16)) if digits else _SIMPLE.get(match[4], match[0])

    text = _escape().sub(plain, token)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # JSON writes some characters as pairs
