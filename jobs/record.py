"""One job as the journal keeps it: frozen, and with all that a later pilot needs to go on with it."""

from dataclasses import dataclass

from ipc.observations import Usage
from ipc.parts import TraceBasis, TransferredFile
from ipc.results import EventsFed
from ipc.tasks import CleanUp, FeedEvents, FetchProxy, PrepareJob, RunPayload, StageIn, StageOut, TransferLog, Watch
from jobs.states import JobState

#: The attempt number of a job whose definition tells none: updates then leave it out.
UNKNOWN_ATTEMPT = -1
#: How it stands with the payload's own proxy.
GIVEN, NONE = "given", "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedFile:
    """What the final report says of an output or log beside what its transfer tells."""

    lfn: str
    guid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The job's tasks in order, made once, when the job is accepted; None where the workflow leaves a step out.

    `traces`: what is told of the job's transfers, None when no traces are sent.
    """

    site_name: str
    core_count: int
    is_analysis: bool
    files: tuple[ReportedFile, ...]
    prepare: PrepareJob
    stage_in: StageIn | None
    run: RunPayload | None
    stage_out: StageOut | None
    log: TransferLog | None
    watch: Watch
    clean: CleanUp
    debug: bool = False
    scheduler_ip: str = ""
    session_ip: str = ""
    traces: TraceBasis | None = None
    debug_by_queue: bool = False
    proxy: FetchProxy | None = None
    feed: FeedEvents | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """What of a job never changes, kept apart so that a step writes little: its definition (JSON text) and plan."""

    key: str
    definition: str
    plan: Plan | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamps:
    """When things began, epoch seconds; 0 for what has not happened (panda-protocol 3.5)."""

    asked: float = 0.0
    received: float = 0.0
    stage_in: float = 0.0
    staged_in: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    settled: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A job: who it is, where it is in its life, what is known of it.

    `muted`: the server wants no more of this attempt. `next_heartbeat` and `accepted_at` (when the server last took an
    update) are monotonic times. `debug`, `debug_words` (verb and arguments, () for the newest text file) and
    `debug_text` (what goes into `stdout`) belong to the debug mode. `soft_kill`: events under way are finished, no more
    are taken. `stopped`: the payload is ended by the local kill file, which is no error. `events_read` and
    `events_written` are what the payload's files tell when there is no job report. `outputs_waived`: the job's
    pre-process had nothing left, outputs that are not there are not missed. `trace_error`: curl's code for a trace not
    sent. `proxy`: "given" when the payload's own proxy is there, "none" when there is none to be had, "" before that is
    known; `proxy_check_at` is when (monotonic) it is looked at next. Of a job that is fed with events: `n_events` are
    stored and accepted (-1 otherwise), `fed` says how the feeding ended. `batch_id` is that of the slot which took the
    job: a later pilot goes on with it, as the server ends a job whose batch id changes.
    """

    key: str
    job_id: int
    attempt_nr: int
    state: JobState
    error_code: int = 0
    error_diag: str = ""
    trans_exit_code: int = 0
    exe_error_code: int = 0
    exe_error_diag: str = ""
    last_word: str = ""
    next_heartbeat: float = 0.0
    muted: bool = False
    keep_files: bool = False
    payload_pid: int = 0
    outputs: tuple[TransferredFile, ...] = ()
    log: tuple[TransferredFile, ...] = ()
    log_diag: str = ""
    job_report: str = ""
    log_extract: str = ""
    cpu_time_s: int = 0
    events_read: int = 0
    events_written: int = 0
    usage: Usage | None = None
    stamps: Stamps = Stamps()
    debug: bool = False
    debug_words: tuple[str, ...] = ()
    debug_text: str = ""
    soft_kill: bool = False
    stopped: bool = False
    accepted_at: float = 0.0
    outputs_waived: bool = False
    trace_error: int = 0
    proxy: str = ""
    proxy_check_at: float = 0.0
    n_events: int = -1
    fed: EventsFed | None = None
    batch_id: str = ""

    @property
    def failed(self) -> bool:
        """Tell whether the job has an error."""
        return self.error_code != 0
