"""JSON on the wire: one `encode`, one `decode` for every dataclass of the schema (and for the journal's rows).

A message is a list of its kind and an object of its fields. Decoding is strict: unknown kinds, unknown or missing
fields and wrong types raise `MessageError` (the caller counts and drops, DESIGN 3); nothing is ever evaluated.
"""

import json
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Decoder = Callable[[Any], Any]


class MessageError(ValueError):
    """A frame is not a valid message; the text names the field."""


def encode(message: object) -> bytes:
    """Return the wire form of any schema dataclass."""
    plain = _plain(message)
    try:
        return json.dumps(plain, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8, in a path or a variable; escaped they go anywhere
        return json.dumps(plain, separators=(",", ":")).encode()


def decode(frame: bytes | str, expected: Any) -> Any:
    """Return the message in `frame`, which must be of type `expected` (a dataclass or a union of dataclasses).

    Raises:
        MessageError: for anything that is not such a message.
    """
    try:
        value = json.loads(frame if isinstance(frame, str) else frame.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise MessageError(f"not JSON: {error}") from error
    return _decoder(expected)(value)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, {name: _plain(getattr(value, name)) for name in _field_names(type(value))}]
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    return value


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


@cache
def _decoder(expected: Any) -> Decoder:
    origin = get_origin(expected)
    if origin in (Union, types.UnionType):
        return _union(get_args(expected))
    if origin is tuple:
        return _tuple(get_args(expected))
    if isinstance(expected, type) and is_dataclass(expected):
        return _union((expected,))
    if isinstance(expected, type) and issubclass(expected, Enum):
        return _enum(expected)
    return _scalar(expected)


def _scalar(expected: Any) -> Decoder:
    def scalar(value: Any) -> Any:
        if expected is float and type(value) is int:
            return float(value)
        if type(value) is not expected:
            raise MessageError(f"expected {expected.__name__}, got {type(value).__name__}")
        return value

    return scalar


def _enum(expected: type[Enum]) -> Decoder:
    def enum(value: Any) -> Any:
        try:
            return expected(value)
        except ValueError as error:
            raise MessageError(str(error)) from error

    return enum


def _tuple(parameters: tuple[Any, ...]) -> Decoder:
    if len(parameters) != 2 or parameters[1] is not Ellipsis:
        item_decoders = [_decoder(item) for item in parameters]

        def fixed(value: Any) -> Any:
            if type(value) is not list or len(value) != len(item_decoders):
                raise MessageError(f"expected a list of {len(item_decoders)} items")
            return tuple(decoder(item) for decoder, item in zip(item_decoders, value, strict=True))

        return fixed
    decoder = _decoder(parameters[0])

    def many(value: Any) -> Any:
        if type(value) is not list:
            raise MessageError(f"expected a list, got {type(value).__name__}")
        return tuple(decoder(item) for item in value)

    return many


def _union(kinds: tuple[Any, ...]) -> Decoder:
    optional = type(None) in kinds
    by_name = {kind.__name__: kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)}
    if not by_name:
        (scalar_kind,) = (kind for kind in kinds if kind is not type(None))
        inner = _decoder(scalar_kind)
        return lambda value: None if value is None else inner(value)

    def union(value: Any) -> Any:
        if value is None and optional:
            return None
        if type(value) is not list or len(value) != 2 or type(value[0]) is not str or type(value[1]) is not dict:
            raise MessageError("expected [kind, {fields}]")
        kind = by_name.get(value[0])
        if kind is None:
            raise MessageError(f"unknown kind {value[0][:40]!r}, expected one of {sorted(by_name)}")
        return _build(kind, value[1])

    return union


def _build(kind: Any, given: dict[str, Any]) -> Any:
    decoders = _fields(kind)
    values = {}
    for name, value in given.items():
        pair = decoders.get(name)
        if pair is None:
            raise MessageError(f"{kind.__name__} has no field {name[:40]!r}")
        try:
            values[name] = pair[0](value)
        except MessageError as error:
            raise MessageError(f"{kind.__name__}.{name}: {error}") from error
    for name, (_, required) in decoders.items():
        if required and name not in values:
            raise MessageError(f"{kind.__name__}.{name} is missing")
    return kind(**values)


@cache
def _fields(kind: Any) -> dict[str, tuple[Decoder, bool]]:
    hints = get_type_hints(kind)
    return {
        field.name: (_decoder(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
    }
