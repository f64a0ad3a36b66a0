"""What tasks and results are made of: files and ways to move them, variables, streams, traces (see schema.py)."""

from dataclasses import dataclass, field


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
