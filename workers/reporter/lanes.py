"""Which call goes in which lane: jobs and their updates wait for nothing that does not concern them."""

from ipc.tasks import (
    AcquireRanges,
    AskJobStatus,
    CheckIdentity,
    DescribeNode,
    FetchProxy,
    ReportRanges,
    SendUpdate,
    Task,
)

#: Descriptions, job requests, updates of jobs: in the order in which they were asked for.
JOBS = "jobs"
#: What no update waits for: identities, proxies, states, the worker's own word, the node's maps.
ASIDE = "aside"
#: Event ranges, of which some answers take long.
EVENTS = "events"
LANES = (JOBS, EVENTS, ASIDE)

_WORKER_STATUS = "update_worker_status"
_LANE_OF: dict[type, str] = {
    CheckIdentity: ASIDE,
    FetchProxy: ASIDE,
    AskJobStatus: ASIDE,
    DescribeNode: ASIDE,
    AcquireRanges: EVENTS,
    ReportRanges: EVENTS,
}


def lane_of(task: Task) -> str:
    """Return the name of the lane of a task."""
    if isinstance(task, SendUpdate):
        return ASIDE if task.call.rpartition("/")[2] == _WORKER_STATUS else JOBS
    return _LANE_OF.get(type(task), JOBS)
