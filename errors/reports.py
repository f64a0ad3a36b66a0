"""Reads what a payload leaves about itself: `payload_error_report.json` and the job report.

Both are foreign text: a broken one is not an error of the pilot but simply says nothing (pitfalls P117).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errors.texts import one_line

_MAX_REPORT_CHARS = 64 * 1024 * 1024
_MAX_DIAG = 500


@dataclass(frozen=True, slots=True)
class Claim:
    """What a payload says about its own failure.

    Attributes:
        code: the payload's own error number; 0 when it names none.
        diag: its text, on one line, at most 500 characters.
    """

    code: int = 0
    diag: str = ""


def read_object(text: str | bytes) -> Mapping[str, Any] | None:
    """Return the JSON object in a text, or None when there is none: empty, too long, broken, or not an object."""
    if not text or len(text) > _MAX_REPORT_CHARS:
        return None
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_nothing)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _nothing(_word: str) -> None:
    """Stand for NaN and Infinity, which are no JSON."""


def as_told(text: str, report: Mapping[str, Any]) -> str:
    """Return the text of a report as it can be told on: itself, or without the numbers that are none (NaN, 1e400)."""
    try:
        json.dumps(json.loads(text), allow_nan=False)
    except ValueError:
        return json.dumps(report)
    return text


def as_int(value: object) -> int:
    """Return a number that may have arrived as text; 0 when it is none or does not fit into 32 bits."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return 0
    text = str(value) if isinstance(value, int) and abs(value) < 2**31 else value
    if not isinstance(text, str) or len(text) > 16:
        return 0
    try:
        number = int(text)
    except ValueError:
        return 0
    return number if abs(number) < 2**31 else 0


def _text(value: object) -> str:
    return one_line(value)[:_MAX_DIAG] if isinstance(value, str | int | float) else ""


def error_report_claim(text: str | bytes) -> Claim:
    """Read `payload_error_report.json`: its keys `error_code` and `error_diag`."""
    report = read_object(text) or {}
    return Claim(as_int(report.get("error_code")), _text(report.get("error_diag")))


def job_report_claim(report: Mapping[str, Any] | None) -> Claim:
    """Read `exitCode` and `exitMsg` of a job report; an `exitMsg` of "OK" counts as none."""
    if report is None:
        return Claim()
    message = _text(report.get("exitMsg"))
    return Claim(as_int(report.get("exitCode")), "" if message == "OK" else message)


def _log_details(report: Mapping[str, Any]) -> Mapping[str, Any]:
    executors = report.get("executor")
    first = executors[0] if isinstance(executors, list) and executors else None
    log = first.get("logfileReport") if isinstance(first, dict) else None
    details = log.get("details") if isinstance(log, dict) else None
    return details if isinstance(details, dict) else {}


def log_messages(report: Mapping[str, Any] | None) -> list[str]:
    """Return the texts of `executor[0].logfileReport.details`: each `message` and `moreDetails`, errors first."""
    details = _log_details(report) if report is not None else {}
    found: list[str] = []
    for severity in sorted(details, key=lambda name: name not in {"FATAL", "ERROR"}):
        items = details[severity]
        for item in items if isinstance(items, list) else [items]:
            if isinstance(item, dict):
                found += [f"{severity}: {text}" for text in _strings(item.get("message"), item.get("moreDetails"))]
    return found


def _strings(*values: object) -> list[str]:
    """Return the texts among the values and among the items of those that are lists."""
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [item for item in flat if isinstance(item, str)]
