"""Turns what a copy tool wrote into a pilot error code (error-codes.json, `transfer_text_patterns`).

The texts and their order are in `catalogue.json`; the first that matches wins; upper and lower case differ.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from errors.catalogue import load
from errors.codes import ErrorCode
from errors.texts import one_line

Direction = Literal["stagein", "stageout"]
_LOOK_AT = 65536


@dataclass(frozen=True, slots=True)
class TransferFailure:
    """What a failed transfer is called.

    Attributes:
        code: pilot error code.
        state: the word for the trace report ("CP_TIMEOUT", "COPY_ERROR", ...).
        detail: the telling part of the tool's output, on one line.
    """

    code: int
    state: str
    detail: str


def transfer_failure(output: str, direction: Direction) -> TransferFailure:
    """Name the failure told by a tool's output (stdout and stderr together).

    Args:
        output: text of the tool; only the last 65,536 characters count.
        direction: "stagein" or "stageout".

    Returns:
        The code of the first text that matches; 1099 or 1137 with state "COPY_ERROR" when none does.
    """
    tail = output[-_LOOK_AT:]
    table = load()["transfer_texts"]
    row = next((row for row in table["table"] if direction in row and _matches(row, tail)), table["default"])
    told = re.search(r"[Dd]etails\s*:\s*(\S.*)", tail)
    code = row[direction]
    if row is table["default"] and told is None and "service_unavailable" in tail:
        code = int(ErrorCode.RUCIOSERVICEUNAVAILABLE)
    return TransferFailure(code, row["state"], one_line(told.group(1) if told else tail))


def _matches(row: Mapping[str, Any], text: str) -> bool:
    if "with" in row and row["with"] not in text:
        return False
    if "without" in row and row["without"] in text:
        return False
    return any(pattern in text for pattern in row["any_of"])
