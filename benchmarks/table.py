"""The results as a table for people and as JSON for programs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.scenario import Row

_TITLES = ("what", "median", "min .. max", "n", "budget", "pilot in use", "met?")
_DIGITS = {"s": 3, "ms": 1, "MiB": 1, "%": 2, "/s": 1, "x": 2, "/min": 1, "": 1, "KiB": 2}


@dataclass(slots=True)
class Result:
    """One row with its samples, or why there are none."""

    row: Row
    samples: list[float] = field(default_factory=list)
    trouble: str = ""


def lines(results: Sequence[Result]) -> list[str]:
    """Return the table's lines."""
    cells = [_TITLES, *(_cells(result) for result in results)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_TITLES))]
    rows = [" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]
    return [rows[0], "-|-".join("-" * width for width in widths), *rows[1:]]


def as_json(results: Sequence[Result]) -> list[dict[str, Any]]:
    """Return the results as JSON objects."""
    return [
        {
            "key": result.row.key,
            "what": result.row.what,
            "unit": result.row.unit,
            "samples": result.samples,
            "median": median(result.samples) if result.samples else None,
            "budget": result.row.limit,
            "judge": result.row.judge,
            "pilot_in_use": result.row.in_use,
            "met": result.row.met(result.samples),
            "trouble": result.trouble,
        }
        for result in results
    ]


def _cells(result: Result) -> tuple[str, ...]:
    row, samples = result.row, result.samples
    met = {True: "yes", False: "NO", None: ""}[row.met(samples)]
    if not samples:
        return row.what, "-", "", "0", _budget(row), row.in_use, result.trouble or "no sample"
    spread = f"{_number(row, min(samples))} .. {_number(row, max(samples))}"
    middle = f"{_number(row, median(samples))} {row.unit}".rstrip()
    trouble = f" ({result.trouble})" if result.trouble else ""
    return row.what, middle, spread, str(len(samples)), _budget(row), row.in_use, f"{met}{trouble}"


def _budget(row: Row) -> str:
    if row.limit is None:
        return ""
    sign = {"floor": ">= ", "worst": "worst "}.get(row.judge, "")
    return f"{sign}{row.limit:g} {row.unit}"


def _number(row: Row, value: float) -> str:
    return f"{value:.{_DIGITS[row.unit]}f}"
