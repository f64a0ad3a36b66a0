"""The argument tables of the v1 calls and the checks made with them (panda-protocol.md 1.3, 1.4, 1.6, 1.7)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_PYTHON_TYPES: Mapping[str, type] = {
    "int": int,
    "float": float,
    "str": str,
    "bool": bool,
}
_ITEM_TYPES: Mapping[str, type] = {"list[int]": int, "list[dict]": dict, "list[str]": str}


class ArgumentRefusedError(Exception):
    """The arguments don't fit the call: HTTP 200 with `success` false and this text."""


class UnknownArgumentError(ArgumentRefusedError):
    """A required argument is missing or an unknown one is there (`Argument error: ...`)."""


class UncaughtServerError(Exception):
    """What the real server does not catch: HTTP 500 with this text."""


@dataclass(frozen=True, slots=True)
class CallTable:
    """What one v1 call accepts.

    Attributes:
        name: Method name, the last part of the path.
        http: The one HTTP method allowed.
        required: Arguments without a default.
        not_null: Optional arguments whose default is not null, so that a null is a type error.
        types: Argument name to type word (`int`, `float`, `str`, `bool`, `number`, `any`, `list[int]`,
            `list[str]`, `list[dict]`).
    """

    name: str
    http: str
    required: frozenset[str]
    not_null: frozenset[str]
    types: Mapping[str, str]


def load_tables() -> dict[str, CallTable]:
    """Read all call tables.

    Returns:
        `<module>/<method>` to its table. The types of `update_job` are those of `update_fields.json`.
    """
    raw = json.loads((_HERE / "arguments.json").read_text(encoding="utf-8"))
    fields = json.loads((_HERE / "update_fields.json").read_text(encoding="utf-8"))["fields"]
    update_types = {field["v1"]: field["json_type"] for field in fields}
    tables = {}
    for path, entry in raw.items():
        types = update_types if entry["types"] == "update_fields.json" else entry["types"]
        tables[path] = CallTable(
            name=path.rpartition("/")[2],
            http=entry["http"],
            required=frozenset(entry["required"]),
            not_null=frozenset(entry["not_null"]),
            types=types,
        )
    return tables


def check_arguments(table: CallTable, arguments: Mapping[str, Any]) -> None:
    """Accept exactly what the real server accepts.

    A JSON boolean is refused for an int or float, which is stricter than Python's own `isinstance`.

    Raises:
        UnknownArgumentError: An argument is missing or unknown.
        ArgumentRefusedError: An argument has the wrong JSON type.
        UncaughtServerError: Wrong type of an argument declared as int or float (a 500 in the real server).
    """
    for name in arguments:
        if name not in table.types:
            raise UnknownArgumentError(f"Argument error: got an unexpected keyword argument '{name}'")
    for name in table.types:
        if name in table.required and name not in arguments:
            raise UnknownArgumentError(f"Argument error: missing a required argument: '{name}'")
    for name, value in arguments.items():
        if value is None and name not in table.required and name not in table.not_null:
            continue
        _check_type(name, table.types[name], value)


def _check_type(name: str, word: str, value: Any) -> None:
    if word == "any":
        return
    if word == "number":
        if type(value) not in {int, float}:
            raise UncaughtServerError(f"'{name}' was declared as float or int, got {type(value).__name__}")
        return
    item = _ITEM_TYPES.get(word)
    if item is not None and isinstance(value, list):
        if any(type(element) is not item for element in value):
            raise ArgumentRefusedError(f"Type error: All elements in '{name}' must be {item.__name__}.")
        return
    wanted = _PYTHON_TYPES.get(word, list)
    if type(value) is not wanted:
        raise ArgumentRefusedError(
            f"Type error: '{name}' must be of type {wanted.__name__}, got {type(value).__name__}.",
        )


def cast_query(table: CallTable, query: list[tuple[str, str]]) -> dict[str, Any]:
    """Cast the values of a query string as the real server does: int through float, lists by repeated keys.

    Raises:
        ArgumentRefusedError: A value cannot be cast.
    """
    arguments: dict[str, Any] = {}
    for name, text in query:
        word = table.types.get(name, "any")
        if word.startswith("list["):
            arguments.setdefault(name, []).append(_cast(name, word[5:-1], text))
        else:
            arguments[name] = _cast(name, word, text)
    return arguments


def _cast(name: str, word: str, text: str) -> Any:
    try:
        if word == "int":
            return int(float(text))
        if word == "float":
            return float(text)
    except (ValueError, OverflowError) as err:
        raise ArgumentRefusedError(f"Type error: '{name}' could not be casted to type {word}.") from err
    return text.lower() in {"true", "1"} if word == "bool" else text
