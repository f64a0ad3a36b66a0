"""How tasks end: one kind of result for each kind of task (see schema.py)."""

from dataclasses import dataclass, field
from typing import TypeAlias

from ipc.parts import TransferredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFetched:
    """The queue's description (JSON text of one object) and that of the storages it names (JSON text)."""

    queue_text: str
    storage_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeDescribed:
    """The node was described as far as that could be done; `note` says what could not, "" for nothing."""

    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAcquired:
    """A job definition (JSON text of one flat object), as the source gave it."""

    definition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoJob:
    """The source answered that there is no job; `end` when it will never have one (a file source, read to its end)."""

    reason: str
    end: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateAnswered:
    """The sink's answer: `stored` when the update counts as delivered, `command` as sent back ("" for none).

    `pilot_secrets` (JSON text of one object, "" for none) replace those of the job's definition.
    """

    stored: bool
    command: str = ""
    message: str = ""
    pilot_secrets: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityChecked:
    """How long the identity lasts: `code` 0 when it will do; `note` says what was done or could not be known."""

    code: int = 0
    diag: str = ""
    note: str = ""
    renewed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TracesSent:
    """How many traces were sent and how many dropped; `curl_code` says why (as curl would), 0 when none was."""

    sent: int
    dropped: int = 0
    curl_code: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyFetched:
    """Whether the payload's proxy is there: `code` 0 when it will do or was not judged; `note` is for the log."""

    present: bool
    code: int = 0
    diag: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatusTold:
    """The server's state of a job ("" when it does not know it) and the attempt that it has there."""

    status: str
    attempt_nr: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The job's directories exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """All transfers of a StageIn or StageOut ended well (or were missing where that is allowed)."""

    files: tuple[TransferredFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTransferred:
    """The log archive is at its destination."""

    file: TransferredFile


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedUp:
    """The directories are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadEnded:
    """The payload is over and diagnosed: `error_code` 0 when it ended well.

    `events_read` and `events_written` are those of a payload without a job report, 0 when nothing tells.
    `outputs_waived`: the pre-process had nothing left to do, outputs that are not there are not missed.
    """

    exit_code: int
    signal: int
    error_code: int
    error_diag: str
    exe_error_code: int = 0
    exe_error_diag: str = ""
    job_report: str = ""
    log_extract: str = ""
    cpu_time_s: int = 0
    wall_time_s: float = 0.0
    events_read: int = 0
    events_written: int = 0
    outputs_waived: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsFed:
    """The payload is over and all that it made is stored and told: events accepted, the job's error (0 for none)."""

    n_events: int
    error_code: int = 0
    error_diag: str = ""
    sub_status: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RangesAcquired:
    """Event ranges (JSON text of a list); an empty list means that there will be no more."""

    ranges: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RangesReported:
    """The server's word on each range of a report in order: "stored", "refused" or "passed"; and its command."""

    results: tuple[str, ...]
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadKilled:
    """Nothing of the payload's tree is left; `left` names processes that outlived SIGKILL (D state)."""

    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    """What a debug command showed, at most 2048 characters; `end_payload` when the payload is to be ended now."""

    text: str
    end_payload: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulsed:
    """The heartbeat file is written."""


Result: TypeAlias = (
    QueueFetched
    | NodeDescribed
    | JobAcquired
    | NoJob
    | UpdateAnswered
    | IdentityChecked
    | TracesSent
    | ProxyFetched
    | JobStatusTold
    | Prepared
    | Staged
    | LogTransferred
    | CleanedUp
    | PayloadEnded
    | EventsFed
    | RangesAcquired
    | RangesReported
    | PayloadKilled
    | Inspected
    | Pulsed
)
