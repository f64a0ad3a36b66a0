"""All messages of the bus, their tasks, results and observations (DESIGN 3).

Frozen dataclasses; fields are str, int, float, bool, tuples of these, and other messages. Times are seconds, sizes are
bytes, names carry the unit. `Hello` carries SCHEMA_VERSION; a peer of another version is refused by the supervisor.
Every task can be carried out twice with the same outcome: that is what lets a lease be issued again after a death.
One file although it is long: whoever asks what can be said on the bus finds all of it here, and it holds no code.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

SCHEMA_VERSION = 1

#: The four roles, in the order in which they are started (and, reversed, stopped).
ROLES = ("reporter", "stager", "runner", "monitor")


# ---------------------------------------------------------------- parts of tasks and results
@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One way to move a file: a copy tool with a source and a destination (paths or URLs)."""

    copytool: str
    source: str
    destination: str
    endpoint: str = ""
    surl: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """One file to move; `copies` are tried in order until one ends with the right size and checksum.

    `kind` is input, transform, output or log. `size_bytes` is -1 and `checksum` ("adler32:0a1b2c3d" or "md5:...") is
    empty where unknown. A transfer with `missing_ok` whose source does not exist ends with status "missing".
    `mode` (for example 0o755) is set on the destination when not 0. `link` (when not empty) is a path where a symbolic
    link to the destination is made.
    """

    lfn: str
    kind: str
    copies: tuple[Copy, ...]
    size_bytes: int = -1
    checksum: str = ""
    missing_ok: bool = False
    mode: int = 0
    link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferredFile:
    """How one transfer ended: status "transferred" or "missing"; checksum as in Transfer."""

    lfn: str
    kind: str
    status: str
    size_bytes: int = 0
    checksum: str = ""
    copytool: str = ""
    endpoint: str = ""
    surl: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt at moving one file, as it ended: `code` 0 when the file is there.

    `url` is the far end. Times are epoch seconds: when the file's turn came first, when this attempt began and ended.
    """

    lfn: str
    kind: str
    copytool: str
    endpoint: str
    url: str
    size_bytes: int = -1
    code: int = 0
    text: str = ""
    began_wall: float = 0.0
    started_wall: float = 0.0
    ended_wall: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedFile:
    """What a trace says of a file beside its transfer; "" where the definition tells nothing."""

    lfn: str
    kind: str
    scope: str = ""
    dataset: str = ""
    guid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceBasis:
    """What the traces of all of a job's transfers have in common (panda-protocol 9); `url` is where they are sent."""

    url: str
    job_id: int
    task_id: int
    definition_id: int
    user: str
    queue: str
    node: str
    is_analysis: bool
    event_version: str
    local_site: str = ""
    files: tuple[TracedFile, ...] = ()
    error_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """A small file to write into a job directory: name relative to it, text, permission bits."""

    name: str
    text: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """One environment variable of the payload."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogStream:
    """Where lines of growing files are sent while a job runs; kinds are those of settings/log_target.py.

    `file` is relative to the job directory, or absolute; with a "*" it is the newest of its kind there or in workDir.
    `fallback`, if any, is followed when it has not come within `patience_s` after the fallback came. `more_files` are
    sent beside it. `name` is that of the stream, `labels` go with every line; user and password may be empty. A dormant
    one begins with the first look into the job that is asked for in debug mode.
    """

    kind: str
    url: str
    file: str
    period_s: float
    name: str = "pilot-log"
    fallback: str = ""
    patience_s: float = 300.0
    more_files: tuple[str, ...] = ()
    dormant: bool = False
    labels: tuple[Variable, ...] = ()
    stream_labels: tuple[str, ...] = ()
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventStore:
    """A storage for archives of events: a file is at `base` and its deterministic path, or its plain name.

    `storage_id` is what the server knows the endpoint by.
    """

    copytool: str
    endpoint: str
    storage_id: int
    base: str
    deterministic: bool


# ---------------------------------------------------------------- tasks, each belongs to one role
@dataclass(frozen=True, slots=True, kw_only=True)
class FetchQueue:
    """reporter: get the queue and storage descriptions; sources (paths or URLs) are tried in order.

    `full_sources` have the longer description that the first one is laid over; it is done without when none answers.
    What came from afar is kept in `cache_dir` ("" for nowhere). Without one of `needed_paths` the task fails (1377).
    """

    queue: str
    queue_sources: tuple[str, ...]
    storage_sources: tuple[str, ...]
    full_sources: tuple[str, ...] = ()
    cache_dir: str = ""
    needed_paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeNode:
    """reporter: collect the maps of the worker node and its GPUs, write them into `home`, and send them if told to."""

    site: str
    queue: str
    node: str
    home: str
    send: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireJob:
    """reporter: ask the job source for one job; `request` is the JSON text of the v1 arguments.

    The definition is kept in the file `keep_at` before it is told; what is there already and does not have the
    fingerprint `taken` was handed out and never dealt with: it is the answer. `number` counts the jobs that this pilot
    took before. With `handed_over_only` nobody is asked for a job: one that lies in a file is taken, or none.
    """

    request: str
    keep_at: str = ""
    taken: str = ""
    number: int = 0
    handed_over_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SendUpdate:
    """reporter: deliver one row of the outbox; `body` is the JSON text of the v1 arguments of `call`.

    `log_lfn` is the name of the job's log in the file report, for sinks that tell it from the outputs. `job_dir` is the
    job's directory once it was made: an order to kill a job whose directory is gone is ignored (panda-protocol 3.9).
    """

    sequence: int
    call: str
    body: str
    final: bool = False
    log_lfn: str = ""
    job_dir: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckIdentity:
    """reporter: renew the token if it is time or if it ends soon, then see how long the identity lasts.

    `renew` asks for a new token now, `may_renew` permits it when less than `token_least_s` is left. `least_s` is what
    a proxy must have left; without `verify` nothing is judged. A proxy whose VOMS attributes end soon (1370) is
    replaced by one that the server gives for `proxy_role` ("" for none) and `proxy_dn`.
    """

    least_s: float
    token_least_s: float
    verify: bool = True
    at_start: bool = False
    renew: bool = False
    may_renew: bool = False
    proxy_role: str = ""
    proxy_dn: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchProxy:
    """reporter: see to it that the payload's own proxy lies at `path` (0600) and lasts for `least_s`.

    The server is asked for one with this VOMS role, of `dn` if one is named, when there is none or it ends sooner.
    With `verify` one that will not do has a code; `needed` says that the payload was given one, so that none at all
    has its code, too (1163).
    """

    path: str
    role: str
    dn: str = ""
    least_s: float
    verify: bool = True
    needed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AskJobStatus:
    """reporter: ask the server once, within `limit_s`, what it knows of a job."""

    job_id: int
    limit_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SendTraces:
    """reporter: send a trace of each attempt, beside everything else, or drop what cannot be sent soon."""

    job_key: str
    basis: TraceBasis
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrepareJob:
    """runner: make the job directory and the control directory (0700), write the files given.

    `shared_link` is a path that is to lead to the job directory, for other containers of a pod; "" for none.
    """

    job_dir: str
    control_dir: str
    files: tuple[TextFile, ...] = ()
    shared_link: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageIn:
    """stager: bring the inputs (and a transform by URL) to the job directory, several at a time.

    With `traced` (here and below) each attempt at a file is told when the task ends.
    """

    job_dir: str
    transfers: tuple[Transfer, ...]
    traced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StageOut:
    """stager: bring the outputs to their destinations."""

    job_dir: str
    transfers: tuple[Transfer, ...]
    traced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLog:
    """stager: pack the job directory (without `exclude`, plus `extras`) and transfer the archive.

    The archive is made at `archive_path` with the single top directory `top_name`. `deadline_s` (when > 0) bounds the
    whole task from the moment it is assigned.
    """

    job_dir: str
    archive_path: str
    top_name: str
    exclude: tuple[str, ...]
    extras: tuple[str, ...]
    transfer: Transfer
    deadline_s: float = 0.0
    traced: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanUp:
    """stager: remove a job's directories; only paths below `root` are touched, links are not followed."""

    root: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPayload:
    """runner: start the payload once, or take over the one that a runner before started (DESIGN 2).

    `command` is the payload's own shell line, run in `job_dir`. The claim, the identities and the exit status are kept
    in `control_dir`, outside the payload's reach. The processes beside it are shell lines too, "" for none: the first
    before it, the second while it runs, the third after it; with `repeats` all begin again until the first says that
    it is enough. With one of them `command` may be "". `script` is made by the first and gets the mode 0755.
    """

    job_id: int
    job_dir: str
    control_dir: str
    command: str
    environment: tuple[Variable, ...]
    stdout: str = "payload.stdout"
    stderr: str = "payload.stderr"
    preprocess: str = ""
    coprocess: str = ""
    postprocess: str = ""
    repeats: bool = False
    script: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedEvents:
    """runner: feed one payload with event ranges over the channel (a ZeroMQ endpoint) until it is over (event-service).

    What only others can do is asked for by `Wanted`. The ledger of ranges is in `control_dir`, so that the task can be
    given again at any point. A limit of 0 is off. `stores` are tried in order for each archive; with `local_names` each
    range tells the payload where its file is.
    """

    job_id: int
    jobset_id: int
    task_id: int
    job_dir: str
    control_dir: str
    channel: str
    core_count: int
    stores: tuple[EventStore, ...]
    gap_s: float
    silent_range_s: float = 0.0
    local_names: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AcquireRanges:
    """reporter: ask for event ranges. The answer is kept in the file `keep_at` before it is told, as it comes once."""

    job_id: int
    jobset_id: int
    task_id: int
    n_ranges: int
    keep_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRanges:
    """reporter: report event ranges; `entries` is the JSON text of the list that `version` wants, `ids` its ranges."""

    job_id: int
    task_id: int
    version: int
    entries: str
    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTar:
    """stager: pack `members` (paths in the job directory) flat into a tar at `tar_path`, then bring that."""

    job_dir: str
    tar_path: str
    members: tuple[str, ...]
    transfer: Transfer


@dataclass(frozen=True, slots=True, kw_only=True)
class KillPayload:
    """runner: end the payload's whole tree: TERM, `grace_s`, KILL; done when nothing of it is left."""

    job_dir: str
    control_dir: str
    grace_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """monitor: measure the job and hold its limits until the task is cancelled. A limit of 0 is off.

    `wall_limit_s` counts from the payload's start, `until_wall` is an epoch time after which the slot ends.
    `memory_kb` is PSS; `stdout_bytes` and `output_bytes` are what each of payload.stdout and the `outputs` may hold.
    """

    job_id: int
    job_dir: str
    control_dir: str
    outputs: tuple[str, ...] = ()
    wall_limit_s: float = 0.0
    until_wall: float = 0.0
    free_disk_bytes: int = 0
    silence_limit_s: float = 0.0
    work_dir_bytes: int = 0
    memory_kb: int = 0
    stdout_bytes: int = 0
    output_bytes: int = 0
    stream: LogStream | None = None
    kill_file: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspect:
    """monitor: look into the job as a debug command asks; `words` are its verb and arguments (core/commands.py)."""

    job_dir: str
    control_dir: str
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """monitor: write the pilot's heartbeat file; times are epoch seconds, 0 for never."""

    path: str
    last_server_update: float


Task: TypeAlias = (
    FetchQueue
    | DescribeNode
    | AcquireJob
    | SendUpdate
    | CheckIdentity
    | SendTraces
    | FetchProxy
    | AskJobStatus
    | PrepareJob
    | StageIn
    | StageOut
    | TransferLog
    | CleanUp
    | RunPayload
    | FeedEvents
    | AcquireRanges
    | ReportRanges
    | StageTar
    | KillPayload
    | Watch
    | Inspect
    | Pulse
)


# ---------------------------------------------------------------- results, one kind for each task
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


# ---------------------------------------------------------------- observations: facts while a task goes on
@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadStarted:
    """The payload process exists."""

    pid: int
    started_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the payload's tree uses; memory in kB as the server wants it, -1 where unknown; totals never go down.

    `cores` is the mean over the payload's life, `cores_now` that since the look before, -1 before the second one;
    `max_work_dir_bytes` is the largest size seen (panda-protocol 3.6).
    Totals of I/O are bytes, rates bytes per second, -1 where unknown. `leak`, `chi2` and `intersect` are those of a
    straight line through PSS + swap (kB/s, kB); `fitted` says that there is one. GPUs are as prmon names them.
    """

    cpu_time_s: int = 0
    cores: float = 0.0
    cores_now: float = -1.0
    processes: int = 0
    max_pss_kb: int = -1
    avg_pss_kb: int = -1
    max_rss_kb: int = -1
    avg_rss_kb: int = -1
    max_vmem_kb: int = -1
    avg_vmem_kb: int = -1
    max_swap_kb: int = -1
    avg_swap_kb: int = -1
    work_dir_bytes: int = 0
    max_work_dir_bytes: int = 0
    free_disk_bytes: int = 0
    wall_time_s: float = 0.0
    silence_s: float = 0.0
    tot_rchar: int = -1
    tot_wchar: int = -1
    tot_rbytes: int = -1
    tot_wbytes: int = -1
    rate_rchar: int = -1
    rate_wchar: int = -1
    rate_rbytes: int = -1
    rate_wbytes: int = -1
    fitted: bool = False
    leak: float = 0.0
    chi2: float = 0.0
    intersect: float = 0.0
    gpu_name: str = ""
    n_gpu: int = 0
    events_read: int = 0
    event_number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitExceeded:
    """A limit of the Watch was passed: the job must end with this code."""

    code: int
    diag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """The attempts at files that a task consisted of, told just before its end."""

    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The work needs something that another role does; the answer comes as a Heed under the same `name`.

    One that is asked for again while it is under way is done once.
    """

    name: str
    task: AcquireRanges | ReportRanges | StageTar


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpen:
    """The payload may start: its channel is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsCounted:
    """So many events are stored and accepted by the server."""

    n_events: int


Observation: TypeAlias = PayloadStarted | Usage | LimitExceeded | Attempted | Wanted | ChannelOpen | EventsCounted


# ---------------------------------------------------------------- the envelope
@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the work under a lease is; for people and for the journal's readers, never for decisions."""

    lease: str
    step: str
    name: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """supervisor -> worker: carry out `task` under `lease` ("<task key>/<attempt>/<incarnation>")."""

    lease: str
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """supervisor -> worker: stop the work under `lease`, answer nothing; unknown leases are ignored."""

    lease: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heed:
    """supervisor -> worker: what became of the `name` that the work under `lease` wanted, or a word about the job.

    A result, or a catalogue code and its text. The words that nobody asked for: "drain", hand no more events out.
    """

    lease: str
    name: str
    result: Staged | RangesAcquired | RangesReported | None = None
    code: int = 0
    diag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """supervisor -> worker: leave; whatever is under way is given up (the payload is never touched)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """worker -> supervisor: ready to work."""

    schema: int
    role: str
    incarnation: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """worker -> supervisor: sign of life from the worker's own loop, with what moves."""

    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """worker -> supervisor: a fact about the work under `lease`."""

    lease: str
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """worker -> supervisor: the work under `lease` is done."""

    lease: str
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """worker -> supervisor: the work under `lease` failed with a code; `retry` when doing it again may help."""

    lease: str
    code: int
    diag: str
    retry: bool = False


ToWorker: TypeAlias = Assign | Cancel | Heed | Stop
ToSupervisor: TypeAlias = Hello | Beat | Observed | Done | Failed
Message: TypeAlias = ToWorker | ToSupervisor
