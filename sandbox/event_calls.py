"""The event calls of both dialects (panda-protocol.md 7.1 to 7.3) over the tables of the jobs."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.arguments import UncaughtServerError
from sandbox.envelope import envelope
from sandbox.event_table import flattened, job_of_range
from sandbox.job_store import JobStore

_COMMANDS = ("tobekilled", "softkill")
_DEFAULT_RANGES = 10


class EventCalls:
    """The event calls over one job store.

    Attributes:
        by_name: The calls of v1.
        legacy: The methods of the legacy dialect.
    """

    def __init__(self, jobs: JobStore) -> None:
        self._jobs = jobs
        self.by_name: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "acquire_event_ranges": self._acquire,
            "update_event_ranges": self._update,
            "get_event_range_statuses": self._statuses,
            "get_available_event_range_count": self._count,
        }
        self.legacy: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "getEventRanges": self._get_ranges,
            "updateEventRanges": self._update_ranges,
        }

    def _ranges(self, job_id: int, task_id: int, n_ranges: int) -> list[dict[str, Any]]:
        job = self._jobs.get(job_id)
        return job.events.acquire(job_id, task_id, n_ranges, job.state) if job is not None else []

    def _store(self, chunks: Any, version: int) -> tuple[list[bool | None], dict[str, str | None]]:
        """Take a report: what became of each range, and the command for each job."""
        results: list[bool | None] = []
        commands: dict[str, str | None] = {}
        for entry, archive in flattened(chunks, version):
            job_id = job_of_range(entry)
            job = self._jobs.get(job_id) if job_id is not None else None
            if job is None:
                results.append(False)
                if job_id is not None:
                    commands[str(job_id)] = "tobekilled"
                continue
            results.append(job.events.report(entry, archive, job.state))
            commands[str(job_id)] = job.command if job.command in _COMMANDS else None
        return results, commands

    # ------------------------------------------------------------ v1
    def _acquire(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        wanted = arguments.get("n_ranges", _DEFAULT_RANGES)
        return envelope(True, data=self._ranges(arguments["job_id"], arguments.get("task_id") or 0, wanted))

    def _update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Store the report, then fail, as every call to the real server does."""
        self._store(json.loads(arguments["event_ranges"]), arguments.get("version", 0))
        raise UncaughtServerError("Object of type set is not JSON serializable")

    def _statuses(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer for the jobs named by `panda_id`: that is the member which the server reads, not `job_id`."""
        pairs = json.loads(arguments["job_task_ids"])
        if any("panda_id" not in pair or "task_id" not in pair for pair in pairs):
            return envelope(False, "database error in the PanDA server")
        jobs = {pair["panda_id"]: self._jobs.get(pair["panda_id"]) for pair in pairs}
        return envelope(
            True,
            data={
                str(job_id): {
                    name: {"status": each.state, "error": each.error_code, "dialog": each.error_diag}
                    for name, each in (job.events.ranges.items() if job is not None else ())
                }
                for job_id, job in jobs.items()
            },
        )

    def _count(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        job = self._jobs.get(arguments["job_id"])
        left = job.events.free(job.job_id, arguments["task_id"], job.state) if job is not None else 0
        return envelope(True, data=left)

    # ------------------------------------------------------------ legacy
    def _get_ranges(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        wanted = str(arguments.get("nRanges", _DEFAULT_RANGES))
        found = self._ranges(
            int(arguments["pandaID"]), int(arguments.get("taskID") or 0), int(wanted) if wanted.isdigit() else 8
        )
        return {"StatusCode": 0, "eventRanges": found}

    def _update_ranges(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer with JSON text inside JSON for version 0, as the real server does."""
        version = int(arguments.get("version", 0))
        try:
            results, commands = self._store(json.loads(arguments["eventRanges"]), version)
        except ValueError as err:
            return {"StatusCode": 30, "errorDialog": f"ERROR : {err}"}
        if version == 0:
            return {"StatusCode": 0, "Returns": json.dumps(results), "Command": json.dumps(commands)}
        return {"StatusCode": 0, "Returns": results, "Command": commands}
