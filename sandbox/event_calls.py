"""The event calls of v1 (panda-protocol.md 7.1 to 7.3): every job has eight ranges of one event."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.arguments import UncaughtServerError
from sandbox.envelope import envelope
from sandbox.job_store import JobStore

_RANGES = 8
_STORED = frozenset({"finished", "failed", "fatal"})
_ALIVE = frozenset({"sent", "starting", "running"})


class EventCalls:
    """The event calls over one job store.

    Attributes:
        by_name: The calls.
    """

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self._states: dict[int, dict[str, str]] = {}
        self.by_name: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "acquire_event_ranges": self._acquire,
            "update_event_ranges": self._update,
            "get_event_range_statuses": self._statuses,
            "get_available_event_range_count": self._count,
        }

    def _of(self, job_id: int, task_id: int) -> dict[str, str]:
        """Return range id -> state; nothing of a job that is unknown or over."""
        job = self._jobs.get(job_id)
        if job is None or job.state not in _ALIVE:
            return {}
        names = [f"{task_id}-{job_id}-1-{number}-1" for number in range(_RANGES)]
        return self._states.setdefault(job_id, dict.fromkeys(names, "ready"))

    def _acquire(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        states = self._of(arguments["job_id"], arguments.get("task_id") or 0)
        taken = [name for name, state in states.items() if state == "ready"][: arguments.get("n_ranges", 10)]
        states.update(dict.fromkeys(taken, "running"))
        return envelope(True, data=[_event_range(name) for name in taken])

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Store the report, then fail, as every call to the real server does."""
        entries = json.loads(arguments["event_ranges"])
        nested = [inner for entry in entries for inner in entry.get("eventRanges", [entry])]
        for states in self._states.values():
            for entry in nested:
                if entry["eventRangeID"] in states and entry["eventStatus"] in _STORED:
                    states[entry["eventRangeID"]] = entry["eventStatus"]
        raise UncaughtServerError("Object of type set is not JSON serializable")

    def _statuses(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer for the jobs named by `panda_id`: that is the member which the server reads, not `job_id`."""
        pairs = json.loads(arguments["job_task_ids"])
        if any("panda_id" not in pair or "task_id" not in pair for pair in pairs):
            return envelope(False, "database error in the PanDA server")
        wanted = [pair["panda_id"] for pair in pairs]
        known = {job_id: self._states.get(job_id, {}) for job_id in wanted}
        return envelope(
            True,
            data={
                str(job_id): {name: {"status": state, "error": None, "dialog": None} for name, state in states.items()}
                for job_id, states in known.items()
            },
        )

    def _count(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        states = self._of(arguments["job_id"], arguments["task_id"])
        return envelope(True, data=sum(state == "ready" for state in states.values()))


def _event_range(name: str) -> dict[str, Any]:
    number = int(name.split("-")[3])
    return {
        "eventRangeID": name,
        "startEvent": number + 1,
        "lastEvent": number + 1,
        "LFN": "EVNT.pool.root",
        "GUID": "BEA4C016-E37E-0841-A448-8D664E8CD570",
        "scope": "sandbox.test",
    }
