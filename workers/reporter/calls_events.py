"""Event ranges: to get them, to report them, to look at them (panda-protocol 7.1-7.3). Pure, the client's side only."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from settings.settings import Settings
from workers.reporter.calls import Call, UnreadableError, make, objects
from workers.reporter.dialect_legacy import nested
from workers.reporter.exchange import Answer, Failure, Reply

MAX_RANGES = 100_000
_MAX_COMMAND = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class EventReport:
    """How a report of ranges was taken.

    Attributes:
        certain: False when the server ended in HTTP 500, which it does after the report was stored (1.4): it is not to
            be sent again, `get_range_statuses` tells.
        results: For each range in order: stored, refused, or (None) looked at and skipped.
        commands: PandaID -> "tobekilled" or "softkill", only where there is one.
    """

    certain: bool = True
    results: tuple[bool | None, ...] = ()
    commands: Mapping[int, str]


def acquire_ranges(
    settings: Settings,
    *,
    job_id: int,
    jobset_id: int,
    task_id: int,
    n_ranges: int,
    scattered: bool = False,
    segment_id: int | None = None,
    dialect: str = "v1",
) -> Call[tuple[dict[str, Any], ...]]:
    """Return the call that brings event ranges; none at all means that the supply is at its end."""
    arguments = {
        "job_id": job_id,
        "jobset_id": jobset_id,
        "task_id": task_id,
        "n_ranges": n_ranges,
        "scattered": scattered or None,
        "segment_id": segment_id,
    }
    return make(settings, dialect, "event/acquire_event_ranges", arguments, _ranges)


def update_ranges(
    settings: Settings, ranges: Iterable[Mapping[str, Any]], *, version: int = 0, dialect: str = "v1"
) -> Call[EventReport]:
    """Return the call that reports ranges.

    Args:
        settings: Server and versions.
        ranges: The entries as the version has them (7.3).
        version: 0 single ranges, 1 with zip files, 2 fine-grained.
        dialect: "v1" or "legacy".

    Raises:
        ValueError: More than 100000 entries.
    """
    entries = [dict(entry) for entry in ranges]
    if len(entries) > MAX_RANGES:
        raise ValueError(f"{len(entries)} event ranges in one report, the server takes {MAX_RANGES}")
    arguments = {"event_ranges": json.dumps(entries), "version": version}
    call = make(settings, dialect, "event/update_event_ranges", arguments, _report)
    return Call(call.request, partial(_read_report, call.read))


def get_range_statuses(settings: Settings, jobs: Mapping[int, int]) -> Call[dict[str, dict[str, Any]]]:
    """Return the call (v1 only) that brings the states of the ranges of jobs, given as PandaID -> task id.

    The server's description says `job_id`, its code (up to release 1.0) reads `panda_id`: each pair has both.
    """
    pairs = json.dumps([{"job_id": key, "panda_id": key, "task_id": task_id} for key, task_id in jobs.items()])
    return make(settings, "v1", "event/get_event_range_statuses", {"job_task_ids": pairs}, _statuses)


def get_range_count(settings: Settings, *, job_id: int, jobset_id: int, task_id: int) -> Call[int]:
    """Return the call (v1 only) that brings the number of ranges still to be had."""
    arguments = {"job_id": job_id, "jobset_id": jobset_id, "task_id": task_id}
    return make(settings, "v1", "event/get_available_event_range_count", arguments, _count)


def _read_report(read: Callable[[Reply], EventReport | Failure], reply: Reply) -> EventReport | Failure:
    if isinstance(reply, Answer) and reply.status == 500 and b"keyword argument" not in reply.body[:4096]:
        return EventReport(certain=False, commands={})
    return read(reply)


def _ranges(content: Any) -> tuple[dict[str, Any], ...]:
    """The list itself (v1), or under "eventRanges" (legacy, and v1 as Harvester expects it), also as JSON text."""
    found = content.get("eventRanges", []) if isinstance(content, dict) else content
    ranges = objects([] if found is None else found, "event ranges")
    if not all(isinstance(item.get("eventRangeID"), str) for item in ranges):
        raise UnreadableError("an event range without eventRangeID")
    return ranges


def _report(content: Any) -> EventReport:
    if not isinstance(content, dict):
        raise UnreadableError("an answer without results of event ranges")
    results = nested(content.get("Returns", []))
    commands = nested(content.get("Commands", content.get("Command", {})))
    if not isinstance(results, list) or not isinstance(commands, dict):
        raise UnreadableError("results of event ranges that are no list, or commands that are no object")
    return EventReport(
        results=tuple(item if isinstance(item, bool) else None for item in results),
        commands={int(job): word for job, word in commands.items() if _is_command(job, word)},
    )


def _is_command(job: Any, word: Any) -> bool:
    known = isinstance(word, str) and len(word) <= _MAX_COMMAND and word.upper() not in {"", "NULL", "NONE"}
    return known and len(str(job)) < 20 and str(job).isascii() and str(job).isdigit()


def _statuses(content: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(content, dict) or not all(isinstance(item, dict) for item in content.values()):
        raise UnreadableError("no object of event range states")
    return content


def _count(content: Any) -> int:
    if not isinstance(content, int) or isinstance(content, bool):
        raise UnreadableError("no number of event ranges")
    return content
