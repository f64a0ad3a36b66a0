"""What the feeder hears and what it asks for; everything between them is decided in feeder.py. Data only."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from events.channel import Message
from events.groups import Group
from events.ledger import Entry, Tar
from events.reports import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How one job's events are fed. Times in seconds; `storage_ids` maps each endpoint to its number.

    Attributes:
        core_count: Workers of the payload: less ranges than these in stock, and twice as many are asked for.
        gap_s: Between the closing of one archive and the next.
        drain_s: How long a payload may take after `No more events`; 0 for ever.
        silent_range_s: How long one range may take without a word from who has it; 0 for ever.
        retry_s: Pauses between failed range requests and between reports that were not taken; the last one repeats
            for reports.
        stage_out_retry_s: Pause after an archive that could not be brought.
        stage_out_failures: So many, and no more ranges are handed out.
        archive_bytes: An archive is closed when its files have this size.
        settle_s: How long outputs are waited for that come together, and last words after the payload's end.
        again_s: How long after a restart a peer that asks gets the range that it may not have heard of.
        flush_s: What is left to do after the payload's end may take this long.
    """

    core_count: int
    storage_ids: Mapping[str, int]
    gap_s: float
    drain_s: float
    silent_range_s: float
    retry_s: tuple[float, ...] = (10.0, 30.0, 60.0)
    report_retry_s: tuple[float, ...] = (10.0, 30.0, 60.0, 1800.0)
    last_retry_s: float = 2.0
    stage_out_retry_s: float = 600.0
    stage_out_failures: int = 20
    archive_bytes: int = 2 * 1024**3
    settle_s: float = 0.5
    again_s: float = 5.0
    flush_s: float = 1800.0


# ---------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class Begun:
    """The feeder's process began, perhaps again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """A message of a peer that waits for a reply if `needs_reply`; of an output its size and what is wrong with it."""

    peer: str
    message: Message
    needs_reply: bool = False
    size_bytes: int = 0
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangesCame:
    """The answer to request `number`; none means that there will be no more."""

    number: int
    ranges: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangesFailed:
    """Request `number` brought no answer."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TarStaged:
    """An archive is on its storage."""

    tar: Tar


@dataclass(frozen=True, slots=True, kw_only=True)
class TarFailed:
    """An archive could not be made or brought; `missing` are ranges whose files are gone."""

    lfn: str
    text: str
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportTaken:
    """The server's word on each range of a report in order: stored, refused, or (None) passed over."""

    name: str
    results: tuple[bool | None, ...]
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFailed:
    """A report was not taken, or nobody knows whether it was."""

    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadOver:
    """Nothing of the payload runs any more, or it never will; `well` when it ended with code 0."""

    well: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """No more ranges are to be handed out."""

    text: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time went by."""


Event: TypeAlias = (
    Begun
    | Heard
    | RangesCame
    | RangesFailed
    | TarStaged
    | TarFailed
    | ReportTaken
    | ReportFailed
    | PayloadOver
    | Drain
    | Ticked
)


# ---------------------------------------------------------------- actions
@dataclass(frozen=True, slots=True)
class Note:
    """Put an entry into the ledger, before anything else of this step is done; `t` is added then."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Reply:
    """Send a text to a peer."""

    peer: str
    text: str


@dataclass(frozen=True, slots=True)
class Open:
    """Open the channel and have the payload started, if neither is so."""


@dataclass(frozen=True, slots=True)
class AskRanges:
    """Ask the server for ranges."""

    number: int
    count: int


@dataclass(frozen=True, slots=True)
class MakeTar:
    """Have an archive made and brought."""

    group: Group


@dataclass(frozen=True, slots=True)
class Tell:
    """Have the server told of ranges."""

    report: Report


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove files of the job that are needed no more."""

    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Count:
    """Say how many events are stored and accepted."""

    n_events: int


@dataclass(frozen=True, slots=True)
class EndPayload:
    """Have the payload ended; the job has this error then."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Say:
    """Write a line to the log."""

    text: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The feeding failed before it began."""

    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """All is done: how many events are stored, the job's error (0 for none), the state in the server's word for it."""

    n_events: int
    code: int
    text: str
    sub_status: str


Action: TypeAlias = (
    Note | Reply | Open | AskRanges | MakeTar | Tell | Remove | Count | EndPayload | Say | GiveUp | Finish
)
