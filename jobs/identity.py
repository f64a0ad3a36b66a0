"""Finds out which job a text is about even when the definition cannot be used, so that its failure can be reported."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from jobs.decoding import MAX_BYTES, decode
from jobs.definition_error import DefinitionError
from jobs.files import OutputFile, read_log
from jobs.transform import is_url
from jobs.values import MAX_INT, Fields

MAX_ATTEMPT = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What could be read of a job that may be broken otherwise.

    Attributes:
        job_id: PandaID, None when it is missing, doubtful or out of range.
        attempt_nr: attempt number, None likewise.
        task_id: JEDI task, None likewise.
        is_analysis: the transformation is a URL (a user job).
        log: the log archive, None when its description is not valid or missing.
    """

    job_id: int | None = None
    attempt_nr: int | None = None
    task_id: int | None = None
    is_analysis: bool = False
    log: OutputFile | None = None


def identify(text: str | bytes) -> Identity:
    """Return what can be told about the job in a text. Never raises for what the text holds."""
    try:
        return identify_fields(decode(text))
    except DefinitionError:
        return _identify_by_sight(text)


def identify_fields(raw: Mapping[str, object]) -> Identity:
    """Return what can be told from the keys of a job definition. Never raises for what they hold."""
    fields = Fields(raw)
    transformation = raw.get("transformation")
    return Identity(
        job_id=_number(fields, "PandaID", low=1),
        attempt_nr=_number(fields, "attemptNr", high=MAX_ATTEMPT),
        task_id=_number(fields, "taskID"),
        is_analysis=isinstance(transformation, str) and is_url(transformation),
        log=_log(fields),
    )


def _number(fields: Fields, key: str, *, low: int = 0, high: int = MAX_INT) -> int | None:
    if not fields.has(key):
        return None
    try:
        return fields.integer(key, low=low, high=high)
    except DefinitionError:
        return None


def _log(fields: Fields) -> OutputFile | None:
    try:
        return read_log(fields)
    except DefinitionError:
        return None


def _identify_by_sight(text: str | bytes) -> Identity:
    """Look for the numbers in a text that cannot be decoded; one that is there with two values is not believed."""
    if len(text) > MAX_BYTES:
        return Identity()
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return Identity(
        job_id=_seen(text, "PandaID", low=1, high=MAX_INT),
        attempt_nr=_seen(text, "attemptNr", low=0, high=MAX_ATTEMPT),
    )


def _seen(text: str, key: str, *, low: int, high: int) -> int | None:
    found = set(re.findall(rf'(?<!\\)"{key}"\s*+:\s*+"?([0-9]{{1,19}})(?=[",\s}}])', text))
    if len(found) != 1:
        return None
    number = int(found.pop())
    return number if low <= number <= high else None
