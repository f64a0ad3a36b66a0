"""One queue, with the fields the pilot reads (protocol 8.2 to 8.4)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from errors.codes import ErrorCode
from jobs.definition_error import DefinitionError, shown
from jobs.values import Fields, is_null
from queues.faults import QueueError
from queues.reading import read_document

_TOOL = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,31}")
_ENDPOINT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,31}")
_DOCUMENT = "queuedata"
_OBJECT_FIELDS = frozenset({"copytools", "acopytools", "acopytools_schemas", "astorages", "aprotocols", "params"})
#: The fields that are read (protocol 8.2); the rest of a description need not be carried about.
READ_FIELDS = _OBJECT_FIELDS | {
    "nickname", "panda_resource", "atlas_site", "gstat", "state", "status", "type", "resource_type", "cmtconfig",
    "appdir", "catchall", "environ", "container_type", "container_options", "allow_lan", "allow_wan",
    "direct_access_lan", "direct_access_wan", "use_pcache", "is_cvmfs", "maxwdir", "maxrss", "maxinputsize", "maxtime",
    "timefloor", "corecount", "pledgedcpu", "zip_time_gap", "memkillgrace",
}  # fmt: skip
_LONG = 65536
_EVENT_GAP_S, _EVENT_GAP_OPPORTUNISTIC_S = 7200, 600

Lists = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """A PanDA queue.

    Attributes:
        name: name of the queue (nickname).
        panda_resource: name used with the server, "" when there is none.
        site: ATLAS site, "" when there is none.
        state: "ACTIVE" when it may be used.
        status: "online", "offline", "test", ...
        type: "production", "analysis" or "unified".
        resource_type: "GRID", "hpc", ...
        platform: cmtconfig.
        appdir: software area.
        catchall: free tags; see `has_tag` and `tag_value`.
        environ: `KEY=value` pairs for the payload, as text; see `environment`.
        container_type: container tool by user ("pilot", "wrapper", "middleware").
        container_options: options of the container command.
        copytools: names, in order.
        copytool_setups: setup text by tool.
        acopytools: tools by activity; wins over `copytools`.
        acopytools_schemas: URL schemes by "activity" or "activity/tool".
        astorages: endpoints by activity, in order.
        allow_lan, allow_wan, direct_access_lan, direct_access_wan, use_pcache, is_cvmfs: flags.
        max_workdir_mb, max_rss_mb, max_input_mb: limits in MB, 0 for none given.
        max_time_s: life limit of the pilot in seconds, 0 for the pilot's own option.
        time_floor_s: no new job after this many seconds; 0 for one job per pilot.
        core_count: at least 1.
        pledged_cpu: -1 for opportunistic.
        zip_time_gap_s: seconds between event stage-outs.
        mem_kill_grace_percent: 100 is no grace.
        internet_protocol_version: "IPv6" or "IPv4".
        allow_alt_stage_out: None when the job decides.
        use_job_walltime: the job's own wall time limit counts.
        walltime_factor, rss_factor, workdir_factor: limits are multiplied by them; 1.0 and more.
    """

    name: str
    panda_resource: str = ""
    site: str = ""
    state: str = ""
    status: str = ""
    type: str = ""
    resource_type: str = ""
    platform: str = ""
    appdir: str = ""
    catchall: str = ""
    environ: str = ""
    container_type: Mapping[str, str] = field(default_factory=dict, hash=False)
    container_options: str = ""
    copytools: tuple[str, ...] = ()
    copytool_setups: Mapping[str, str] = field(default_factory=dict, hash=False)
    acopytools: Lists = field(default_factory=dict, hash=False)
    acopytools_schemas: Lists = field(default_factory=dict, hash=False)
    astorages: Lists = field(default_factory=dict, hash=False)
    allow_lan: bool = True
    allow_wan: bool = False
    direct_access_lan: bool = False
    direct_access_wan: bool = False
    use_pcache: bool = False
    is_cvmfs: bool = True
    max_workdir_mb: int = 0
    max_rss_mb: int = 0
    max_input_mb: int = 0
    max_time_s: int = 0
    time_floor_s: int = 0
    core_count: int = 1
    pledged_cpu: int = 0
    zip_time_gap_s: int = _EVENT_GAP_S
    mem_kill_grace_percent: int = 100
    internet_protocol_version: str = "IPv6"
    allow_alt_stage_out: bool | None = None
    use_job_walltime: bool = False
    walltime_factor: float = 1.0
    rss_factor: float = 2.0
    workdir_factor: float = 1.2

    def has_tag(self, tag: str) -> bool:
        """Say whether `catchall` holds a tag; tags are matched as parts of the text (protocol 8.3)."""
        return tag in self.catchall

    def tag_value(self, tag: str) -> str:
        """Return the value of a `tag=value` in `catchall`, up to a blank or comma; "" when there is none."""
        match = re.search(rf"(?<![A-Za-z0-9_]){re.escape(tag)}=([^\s,]*)", self.catchall)
        return match[1] if match else ""

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """The pairs of `environ`, quotes around values removed."""
        pairs = re.findall(r"([A-Za-z_][A-Za-z0-9_]*)=(\"[^\"]*\"|'[^']*'|[^\s;]*)", self.environ)
        return tuple((name, value.strip("\"'").rstrip(",")) for name, value in pairs)

    @property
    def endpoints(self) -> frozenset[str]:
        """The names of all storages the queue may use: what `parse_storages` is to look for."""
        return frozenset(name for names in self.astorages.values() for name in names)


def parse_queue(
    text: str | bytes,
    queue_name: str,
    overrides: Mapping[str, object] | None = None,
    *,
    schedconf: str | bytes = "",
) -> Queue:
    """Return the queue described by a document.

    Args:
        text: "queuedata" (fields at top level) or "schedconf" (an object per queue).
        queue_name: the queue wanted.
        overrides: values that win, from the pilot's configuration or the job (`JobDefinition.overwrite_queue`). Where
            the same call succeeds without them, a failure is the fault of whoever gave them.
        schedconf: fuller document that the first one is laid over, "" for none.

    Raises:
        QueueError: 1116 when the document is empty or an error, 1117 for a bad document or field, 1323 for the name of
            a copy tool that cannot be one.
    """
    raw = _of_queue(read_document(text, _DOCUMENT), queue_name)
    if schedconf:
        raw = {**_of_queue(read_document(schedconf, _DOCUMENT), queue_name), **raw}
    try:
        return _build(Fields({**raw, **(overrides or {})}), queue_name)
    except DefinitionError as error:
        raise QueueError(error.field, error.text) from error


def check_active(queue: Queue) -> None:
    """Refuse a queue whose state is not ACTIVE.

    Raises:
        QueueError: code 1359.
    """
    if queue.state.upper() != "ACTIVE":
        raise QueueError(
            "state", f"queue {queue.name} is {queue.state or 'without state'}", ErrorCode.PANDAQUEUENOTACTIVE
        )


def check_online(queue: Queue) -> None:
    """Refuse a queue that is offline.

    Raises:
        QueueError: code 1386.
    """
    if queue.status.lower() == "offline":
        raise QueueError("status", f"queue {queue.name} is offline", ErrorCode.PANDAQUEUENOTONLINE)


def _of_queue(document: dict[str, object], queue_name: str) -> dict[str, object]:
    inner = document.get(queue_name)
    if isinstance(inner, dict):
        return inner
    if document and not _OBJECT_FIELDS & set(document) and all(isinstance(value, dict) for value in document.values()):
        raise QueueError(_DOCUMENT, f"has no queue {shown(queue_name)}", ErrorCode.QUEUEDATA)
    return document


def _build(fields: Fields, queue_name: str) -> Queue:
    catchall = fields.long_text("catchall", limit=_LONG)
    tools = _copytools(fields)
    params = Fields(fields.mapping("params") or {})
    fields.mapping("aprotocols")  # of no use, but what is there has to be an object
    pledged = fields.integer("pledgedcpu", low=-1)
    gap = _EVENT_GAP_OPPORTUNISTIC_S if pledged == -1 else _EVENT_GAP_S
    return Queue(
        name=fields.text("nickname") or queue_name,
        panda_resource=fields.text("panda_resource"),
        site=fields.text("atlas_site") or fields.text("gstat"),
        state=fields.text("state"),
        status=fields.text("status"),
        type=fields.text("type"),
        resource_type=fields.text("resource_type"),
        platform=fields.text("cmtconfig"),
        appdir=fields.text("appdir"),
        catchall=catchall,
        environ=fields.long_text("environ", limit=_LONG),
        container_type=_container_type(fields.text("container_type")),
        container_options=_container_options(fields, catchall),
        copytools=tuple(tools),
        copytool_setups=tools,
        acopytools=_lists(fields, "acopytools", _TOOL, ErrorCode.UNKNOWNCOPYTOOL),
        acopytools_schemas=_schemas(fields),
        astorages=_lists(fields, "astorages", _ENDPOINT, ErrorCode.QUEUEDATANOTOK),
        allow_lan=fields.flag("allow_lan", default=True),
        allow_wan=fields.flag("allow_wan"),
        direct_access_lan=fields.flag("direct_access_lan"),
        direct_access_wan=fields.flag("direct_access_wan"),
        use_pcache=fields.flag("use_pcache"),
        is_cvmfs=fields.flag("is_cvmfs", default=True),
        max_workdir_mb=fields.integer("maxwdir"),
        max_rss_mb=fields.integer("maxrss"),
        max_input_mb=fields.integer("maxinputsize"),
        max_time_s=fields.integer("maxtime"),
        time_floor_s=fields.integer("timefloor", high=10**9) * 60,
        core_count=fields.integer("corecount", 1) or 1,
        pledged_cpu=pledged,
        zip_time_gap_s=fields.integer("zip_time_gap", gap),
        mem_kill_grace_percent=fields.integer("memkillgrace", 100),
        internet_protocol_version=params.text("internet_protocol_version") or "IPv6",
        allow_alt_stage_out=params.flag("allow_altstageout") if params.has("allow_altstageout") else None,
        use_job_walltime=params.flag("job_maxwalltime"),
        walltime_factor=_factor(params, "pilot_walltime_grace", 0),
        rss_factor=_factor(params, "pilot_rss_grace", 100),
        workdir_factor=_factor(params, "pilot_maxwdir_grace", 20),
    )


def _factor(params: Fields, key: str, default: int) -> float:
    return 1 + params.integer(key, default, high=100_000) / 100


def _copytools(fields: Fields) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in (fields.mapping("copytools") or {}).items():
        _check_name("copytools", name, _TOOL, ErrorCode.UNKNOWNCOPYTOOL)
        setup = value.get("setup") if isinstance(value, dict) else None
        found[name] = setup if isinstance(setup, str) else ""
    return found


def _check_name(key: str, name: object, pattern: re.Pattern[str], code: int) -> str:
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise QueueError(key, f"{shown(name)} is not a valid name", code)
    return name


def _lists(fields: Fields, key: str, pattern: re.Pattern[str], code: int) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for activity, value in (fields.mapping(key) or {}).items():
        names = value if isinstance(value, list) else [] if is_null(value) else [value]
        found[activity] = tuple(_check_name(key, name, pattern, code) for name in names)
    return found


def _schemas(fields: Fields) -> dict[str, tuple[str, ...]]:
    key = "acopytools_schemas"
    flat: dict[str, object] = {}
    for activity, value in (fields.mapping(key) or {}).items():
        if isinstance(value, dict):
            flat |= {f"{activity}/{tool}": schemes for tool, schemes in value.items()}
        else:
            flat[activity] = value
    return _lists(Fields({key: flat}), key, _SCHEME, ErrorCode.QUEUEDATANOTOK)


def _container_type(text: str) -> dict[str, str]:
    pairs = [part.strip().partition(":") for part in text.split(";") if part.strip()]
    return {user.strip(): tool.strip() for tool, _, user in reversed(pairs) if user.strip()}


def _container_options(fields: Fields, catchall: str) -> str:
    """Return the options of the container command, the work directory among the mounts (protocol 8.2)."""
    options = fields.long_text("container_options", limit=_LONG)
    if not options:
        match = re.search(r"(?:apptainer|singularity)_options=(['\"])(.*?)\1", catchall)
        options = match[2] if match else ""
    if "${workdir}" not in options:
        options = options.replace(" --contain", ",${workdir} --contain", 1)
    return options
