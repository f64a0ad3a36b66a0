"""Writes `codes.py` from `catalogue.json`: `python -m errors.generate`.

A test renders the module again and compares, so the two cannot drift apart.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

_HEADER = '''"""Generated from catalogue.json by `python -m errors.generate`; do not edit."""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Pilot error codes: what the server is told in `pilotErrorCode`. Texts are in `catalogue.json`."""

'''


def clean_name(name: str) -> str:
    """Turn a catalogue name into an upper-case Python identifier."""
    cleaned = re.sub(r"[^A-Z0-9_]+", "_", name.upper()).strip("_")
    return f"E{cleaned}" if cleaned[:1].isdigit() else cleaned


def render(codes: Iterable[Mapping[str, Any]]) -> str:
    """Return the source of `codes.py`, members in the order of their numbers.

    Raises:
        ValueError: a number or a name is used twice.
    """
    members = sorted((int(entry["code"]), clean_name(entry["name"])) for entry in codes)
    for column in zip(*members, strict=True):
        if len(set(column)) != len(members):
            raise ValueError("a code or a name is used twice in the catalogue")
    return _HEADER + "".join(f"    {name} = {code}\n" for code, name in members)


def main() -> None:
    """Write `codes.py` beside the catalogue."""
    folder = Path(__file__).parent
    catalogue = json.loads((folder / "catalogue.json").read_text(encoding="utf-8"))
    (folder / "codes.py").write_text(render(catalogue["codes"]), encoding="utf-8")


if __name__ == "__main__":
    main()
