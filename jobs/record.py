"""One job as the journal keeps it: frozen, and with all that a later pilot needs to go on with it."""

from dataclasses import dataclass

from ipc.schema import (
    CleanUp,
    FetchProxy,
    PrepareJob,
    RunPayload,
    StageIn,
    StageOut,
    TransferLog,
    TransferredFile,
    Usage,
    Watch,
)
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
    """The job's tasks in order, made once, when the job is accepted; None where the workflow leaves a step out."""

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
    debug_by_queue: bool = False
    proxy: FetchProxy | None = None


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
    are taken. `stopped`: the payload is ended by the local kill file, which is no error. `proxy`: "given" when the
    payload's own proxy is there, "none" when there is none to be had, "" before that is known; `proxy_check_at` is when
    (monotonic) it is looked at next.
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
    usage: Usage | None = None
    stamps: Stamps = Stamps()
    debug: bool = False
    debug_words: tuple[str, ...] = ()
    debug_text: str = ""
    soft_kill: bool = False
    stopped: bool = False
    accepted_at: float = 0.0
    proxy: str = ""
    proxy_check_at: float = 0.0

    @property
    def failed(self) -> bool:
        """Tell whether the job has an error."""
        return self.error_code != 0
