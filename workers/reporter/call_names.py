"""The names of calls and their arguments in both dialects (panda-protocol 1.6-1.9, 7). Data and renaming.

Which dialect is spoken is decided elsewhere; the names of an update's fields are in jobs/field_names.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from jobs.field_names import LEGACY_NAMES

_ACQUIRE_NAMES: Mapping[str, str] = {
    "site_name": "siteName",
    "computing_element": "computingElement",
    "prod_source_label": "prodSourceLabel",
    "disk_space": "diskSpace",
    "memory": "mem",
    "node": "node",
    "job_type": "jobType",
    "prod_user_id": "prodUserID",
    "task_id": "taskID",
    "via_topic": "viaTopic",
    "resource_type": "resourceType",
    "scheduler_id": "schedulerID",
    "worker_id": "worker_id",
    "harvester_id": "harvester_id",
    "n_jobs": "nJobs",
    "remaining_time": "remaining_time",
    "background": "background",
    "get_proxy_key": "getProxyKey",
    "timeout": "timeout",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNames:
    """One call in both dialects.

    Attributes:
        v1: "<module>/<method>".
        http: The HTTP method of v1.
        legacy: Name of the legacy method, "" when there is none.
        legacy_http: The HTTP method that legacy is asked with.
        names: v1 argument -> legacy argument; every argument that both know.
    """

    v1: str
    http: str = "POST"
    legacy: str = ""
    legacy_http: str = "POST"
    names: Mapping[str, str] = field(default_factory=dict)


_EVENT_JOB = {"job_id": "pandaID", "jobset_id": "jobsetID", "task_id": "taskID", "timeout": "timeout"}
_ALL_CALLS = (
    CallNames(v1="pilot/acquire_jobs", legacy="getJob", names=_ACQUIRE_NAMES),
    CallNames(v1="pilot/update_job", legacy="updateJob", names=LEGACY_NAMES),
    CallNames(
        v1="pilot/update_jobs_bulk",
        legacy="updateJobsInBulk",
        names={"job_list": "jobList", "harvester_id": "harvester_id"},
    ),
    CallNames(
        v1="pilot/get_job_status", http="GET", legacy="getStatus", names={"job_ids": "ids", "timeout": "timeout"}
    ),
    CallNames(
        v1="pilot/update_worker_status",
        legacy="updateWorkerPilotStatus",
        names={
            "worker_id": "workerID",
            "harvester_id": "harvesterID",
            "status": "status",
            "node_id": "node_id",
            "site": "site",
        },
    ),
    CallNames(v1="pilot/update_worker_node"),
    CallNames(v1="pilot/update_worker_node_gpu"),
    CallNames(v1="metaconfig/get_resource_types", http="GET", legacy="getResourceTypes"),
    CallNames(
        v1="event/acquire_event_ranges",
        legacy="getEventRanges",
        names={**_EVENT_JOB, "n_ranges": "nRanges", "scattered": "scattered", "segment_id": "segment_id"},
    ),
    CallNames(
        v1="event/update_event_ranges",
        legacy="updateEventRanges",
        names={"event_ranges": "eventRanges", "version": "version", "timeout": "timeout"},
    ),
    CallNames(v1="event/get_event_range_statuses", http="GET"),
    CallNames(v1="event/get_available_event_range_count", http="GET"),
    CallNames(v1="creds/get_proxy", http="GET", legacy="getProxy", names={"role": "role", "dn": "dn"}),
    CallNames(
        v1="creds/get_access_token",
        http="GET",
        legacy="get_access_token",
        legacy_http="GET",
        names={"client_name": "client_name", "token_key": "token_key"},
    ),
    CallNames(
        v1="creds/get_token_key",
        http="GET",
        legacy="get_token_key",
        legacy_http="GET",
        names={"client_name": "client_name"},
    ),
    CallNames(
        v1="creds/get_key_pair",
        http="GET",
        legacy="getKeyPair",
        names={"public_key_name": "publicKeyName", "private_key_name": "privateKeyName"},
    ),
    CallNames(v1="creds/get_user_secrets", http="GET"),
    CallNames(v1="job/set_debug_mode", legacy="setDebugMode", names={"job_id": "pandaID", "mode": "modeOn"}),
)
CALLS: Mapping[str, CallNames] = {call.v1: call for call in _ALL_CALLS}
#: Arguments that the server wants as text although they are numbers elsewhere (panda-protocol 1.3, 3.2).
_LEGACY_TEXTS = frozenset({"jobId"})


def call_names(call: str) -> CallNames | None:
    """Return the names of a call given as "<module>/<method>"; the module is "pilot" when left out."""
    return CALLS.get(call if "/" in call else f"pilot/{call}")


def renamed(names: Mapping[str, str], arguments: Mapping[str, object]) -> dict[str, object]:
    """Return v1 arguments under their legacy names; flags are the texts "True" and "False", null is left out.

    Raises:
        ValueError: an argument has no legacy name: the server would answer HTTP 500.
    """
    unknown = [name for name in arguments if name not in names]
    if unknown:
        raise ValueError(f"{unknown[0][:80]!r} has no name in the legacy dialect")
    found = {names[name]: value for name, value in arguments.items() if value is not None}
    return {name: _legacy_value(name, value) for name, value in found.items()}


def _legacy_value(name: str, value: object) -> object:
    return str(value) if name in _LEGACY_TEXTS or isinstance(value, bool) else value
