"""Which copy tools a job may use, in which order (behaviour.md 17 and 18, protocol 8.2)."""

from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType

from errors.codes import ErrorCode
from jobs.definition import JobDefinition
from queues.faults import PlacementError
from queues.queue import Queue

LOCAL_TOOLS = frozenset({"cp", "mv", "ln"})
_FAMILY_OF_MV = frozenset({"mv", "ln"})
_STAGEIN_NAMES = MappingProxyType({"mv": "ln"})  # pilot3's tool "mv" links what comes in and moves what goes out
_STAGEOUT_NAMES = MappingProxyType({"ln": "cp"})  # a link into a job directory would soon lead nowhere
_FALLBACK = ("rucio",)

_SCHEMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "gfal": ("srm", "gsiftp", "https", "davs", "root"),
        "gfalcopy": ("srm", "gsiftp", "https", "davs", "root"),
        "gs": ("gs", "srm", "gsiftp", "https", "davs", "root"),
        "http": ("https", "http", "davs", "dav"),
        "https": ("https", "http", "davs", "dav"),
        "lsm": ("srm", "gsiftp", "root"),
        "objectstore": ("srm", "gsiftp", "https", "davs", "root", "s3", "s3+rucio"),
        "rucio": ("srm", "root", "davs", "gsiftp", "https", "storm", "file"),
        "s3": ("srm", "gsiftp", "https", "davs", "root", "s3", "s3+rucio"),
        "xrdcp": ("root",),
    }
)

#: What a file that is left for others can be brought by.
GRID_SCHEMES = (*_SCHEMES["gfal"], "s3", "s3+rucio")


def is_unified_analysis(job: JobDefinition, queue: Queue) -> bool:
    """Say whether activities with `_analysis` in their names come first."""
    return queue.type == "unified" and job.is_analysis


def stagein_activities(job: JobDefinition, queue: Queue) -> tuple[str, ...]:
    """Return the activities whose tools bring inputs in, the first one with tools counts."""
    head = ("es_events_read",) if job.event_service_merge else ()
    analysis = ("read_lan_analysis",) if is_unified_analysis(job, queue) else ()
    return (*head, *analysis, "read_lan", "pr", "default")


def stageout_activities(job: JobDefinition, queue: Queue, *, log: bool = False) -> tuple[str, ...]:
    """Return the activities whose tools and storages take outputs, or the log archive."""
    head = ("pl",) if log else ()
    analysis = ("write_lan_analysis",) if is_unified_analysis(job, queue) else ()
    return (*head, *analysis, "write_lan", "w", "pw", "default")


def tools_of(queue: Queue, activities: Iterable[str], known_tools: Collection[str]) -> tuple[str, ...]:
    """Return the tools to try, in order; names that are not known are left out.

    Raises:
        PlacementError: code 1323 when none is known, naming those that the queue asks for.
    """
    lists = (queue.acopytools.get(activity) for activity in activities)
    wanted = next((names for names in lists if names), None) or queue.copytools or _FALLBACK
    tools = tuple(dict.fromkeys(name for name in wanted if name in known_tools))
    if not tools:
        raise PlacementError(
            "copytools", f"queue {queue.name} asks for {', '.join(wanted)}: not available", ErrorCode.UNKNOWNCOPYTOOL
        )
    return tools


def schemes_of(queue: Queue, activities: Iterable[str], tool: str) -> tuple[str, ...]:
    """Return the URL schemes a tool may use: the queue's own list, else the tool's (protocol 8.5)."""
    if tool in LOCAL_TOOLS:
        return ("file",)
    for activity in (*activities, "default"):
        for key in (f"{activity}/{tool}", f"{activity}/default", activity):
            if queue.acopytools_schemas.get(key):
                return queue.acopytools_schemas[key]
    return _SCHEMES.get(tool, ("file",))


def belongs_to_mv(tool: str) -> bool:
    """Say whether a tool works beside the job directory and needs no storages."""
    return tool in _FAMILY_OF_MV


def stagein_tool(tool: str) -> str:
    """Return the mover that stands for a queue's tool when files come in: "ln" for "mv"."""
    return _STAGEIN_NAMES.get(tool, tool)


def stageout_tool(tool: str) -> str:
    """Return the mover that stands for a queue's tool when files go out: "cp" for "ln"."""
    return _STAGEOUT_NAMES.get(tool, tool)
