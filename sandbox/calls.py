"""The v1 calls themselves, after their arguments were checked (panda-protocol.md 1.6, 1.7, 12)."""

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.arguments import (
    ArgumentRefusedError,
    CallTable,
    UncaughtServerError,
    UnknownArgumentError,
    check_arguments,
)
from sandbox.columns import database_error, metadata_refused
from sandbox.config import SandboxConfig
from sandbox.credential_calls import credential_calls
from sandbox.envelope import envelope
from sandbox.event_calls import EventCalls
from sandbox.job_store import STATES, JobStore

_SUCCESS = 0
_FAILED = 30
_INVALID = 50
_RESOURCE_TYPES = (
    ("SCORE", 1, 1, 0, 2000),
    ("SCORE_HIMEM", 1, 1, 2001, None),
    ("MCORE", 2, None, 0, 2000),
    ("MCORE_HIMEM", 2, None, 2001, None),
)


class Calls:
    """All v1 calls over one job store."""

    def __init__(self, config: SandboxConfig, jobs: JobStore, tables: Mapping[str, CallTable]) -> None:
        self._config = config
        self._jobs = jobs
        self._tables = tables
        self._by_name: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "acquire_jobs": self._acquire_jobs,
            "update_job": self._update_job,
            "update_jobs_bulk": self._update_jobs_bulk,
            "get_job_status": self._get_job_status,
            "update_worker_status": _update_worker_status,
            "update_worker_node": _accept,
            "update_worker_node_gpu": _accept,
            "get_resource_types": _get_resource_types,
            "set_debug_mode": self._set_debug_mode,
            **EventCalls(jobs).by_name,
            **credential_calls(config.proxy_file),
        }

    def run(self, table: CallTable, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Check the arguments and do the call's work.

        Raises:
            UncaughtServerError: The answer is HTTP 500.
        """
        try:
            check_arguments(table, arguments)
        except ArgumentRefusedError as err:
            return envelope(False, str(err))
        return self._by_name[table.name](arguments)

    def _acquire_jobs(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        jobs = []
        if arguments["site_name"] == self._config.queue:
            jobs = self._jobs.acquire(arguments.get("n_jobs", 1), arguments.get("node"))
        if not jobs:
            return envelope(False, "No jobs in PanDA")
        definitions = [{**job.definition, "StatusCode": _SUCCESS} for job in jobs]
        return envelope(True, data={"StatusCode": _SUCCESS, "jobs": definitions})

    def _update_job(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        status = arguments["job_status"]
        if status not in STATES:
            return envelope(False, f"Invalid job status: {status}", {"StatusCode": _INVALID})
        if metadata_refused(arguments):
            message = "Failed to add meta_data"
            return envelope(True, message, {"StatusCode": _FAILED, "ErrorDiag": message})
        if database_error(arguments) or self._jobs.batch_changed(arguments):
            return envelope(True, "Database error", {"StatusCode": _FAILED})
        command = self._jobs.update(arguments)
        return envelope(
            True, data={"StatusCode": _SUCCESS, "command": command, **self._jobs.secrets_for(arguments["job_id"])}
        )

    def _update_jobs_bulk(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Update one by one; an exception spoils the whole answer, but not the updates stored before it."""
        table = self._tables["pilot/update_job"]
        answers = []
        try:
            for update in arguments["job_list"]:
                try:
                    check_arguments(table, update)
                except UnknownArgumentError:
                    raise
                except ArgumentRefusedError as err:
                    answers.append(envelope(False, str(err)))
                else:
                    answers.append(self._update_job(update))
        except (UnknownArgumentError, UncaughtServerError) as err:
            return envelope(False, f"failed with {err}", [])
        return envelope(True, data=answers)

    def _set_debug_mode(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer with `success` inverted, as the real server does."""
        job = self._jobs.get(arguments["job_id"])
        message = "Succeeded" if job else "Not found"
        if job:
            job.debug_mode = arguments["mode"]
        return envelope(message != "Succeeded", message)

    def _get_job_status(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        found = []
        for job_id in arguments["job_ids"]:
            job = self._jobs.get(job_id)
            status, attempt = (job.state, job.attempt_nr) if job else ("not found", 0)
            found.append({"job_id": job_id, "status": status, "attempt_number": attempt})
        return envelope(True, data=found)


def _update_worker_status(arguments: Mapping[str, Any]) -> dict[str, Any]:
    if arguments["status"] not in {"started", "finished"}:
        return envelope(False, "Invalid worker state: it has to be started or finished")
    if not str(arguments["worker_id"]).isdecimal():
        return envelope(False, "Failed to update worker status")
    return envelope(True)


def _accept(_arguments: Mapping[str, Any]) -> dict[str, Any]:
    return envelope(True)


def _get_resource_types(_arguments: Mapping[str, Any]) -> dict[str, Any]:
    names = ("resource_name", "mincore", "maxcore", "minrampercore", "maxrampercore")
    return envelope(True, data=[dict(zip(names, row, strict=True)) for row in _RESOURCE_TYPES])
