"""What workers are told to do: each task belongs to one role and can be carried out twice (see schema.py)."""

from dataclasses import dataclass
from typing import TypeAlias

from ipc.parts import Attempt, EventStore, LogStream, TextFile, TraceBasis, Transfer, Variable


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
