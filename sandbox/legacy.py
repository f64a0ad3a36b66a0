"""The legacy dialect of the server: what it accepts, does and answers (panda-protocol.md 1.3 to 1.7)."""

import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from sandbox.arguments import UncaughtServerError
from sandbox.columns import database_error, metadata_refused
from sandbox.config import SandboxConfig
from sandbox.credential_calls import legacy_credential_calls
from sandbox.decoding import JSON_TYPE, Answer
from sandbox.event_calls import EventCalls
from sandbox.job_store import STATES, JobStore

_HERE = Path(__file__).parent
_SUCCESS = {"StatusCode": 0}
_NO_JOBS = 20
_INTEGERS = frozenset({"int"})


def decode_legacy(headers: Mapping[str, str], raw: bytes) -> dict[str, Any]:
    """Read the arguments of a POST: JSON which has to be gzip whatever the headers say, or a form.

    Raises:
        UncaughtServerError: JSON that is not gzip, not JSON, or not an object.
    """
    if headers.get("Content-Type") != JSON_TYPE:
        return dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True))
    try:
        value = json.loads(gzip.decompress(raw))
    except (OSError, EOFError, zlib.error, ValueError) as err:
        raise UncaughtServerError(f"{type(err).__name__}: {err}") from err
    if not isinstance(value, dict):
        raise UncaughtServerError(f"argument after ** must be a mapping, not {type(value).__name__}")
    return value


def legacy_answer(headers: Mapping[str, str], value: Mapping[str, Any], *, form: bool = False) -> Answer:
    """Return an answer: JSON when `Accept` has it, else url-encoded pairs; `errorDialog` is left out of those."""
    if JSON_TYPE in headers.get("Accept", "") and not form:
        return Answer(200, json.dumps(value).encode(), JSON_TYPE, value=value)
    pairs = {name: item for name, item in value.items() if name != "errorDialog"}
    return Answer(200, urlencode(pairs).encode(), value=value)


class LegacyCalls:
    """The legacy methods over one job store."""

    def __init__(self, config: SandboxConfig, jobs: JobStore) -> None:
        self._config = config
        self._jobs = jobs
        fields = json.loads((_HERE / "update_fields.json").read_text(encoding="utf-8"))
        self._fields = {field["legacy"]: field for field in fields["fields"]}
        self._known = _known_arguments(frozenset({*self._fields, *fields["legacy_only"]}))
        self._methods: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "getJob": self._get_job,
            "updateJob": self._update_job,
            "getStatus": self._get_status,
            "updateWorkerPilotStatus": _worker_status,
            "setDebugMode": self._set_debug_mode,
            **legacy_credential_calls(config.proxy_file),
            **EventCalls(jobs).legacy,
        }

    def knows(self, path: str) -> bool:
        """Tell whether a path is that of a legacy method."""
        return path.startswith("/server/panda/") and path.removeprefix("/server/panda/") in self._methods

    def run(self, headers: Mapping[str, str], method: str, arguments: Mapping[str, Any]) -> Answer:
        """Check the arguments and do the method's work.

        Raises:
            UncaughtServerError: The answer is HTTP 500.
        """
        required, known = self._known[method]
        for name in arguments:
            if name not in known:
                raise UncaughtServerError(f"{method}() got an unexpected keyword argument '{name}'")
        missing = sorted(required - set(arguments))
        if missing:
            raise UncaughtServerError(f"{method}() missing a required argument: '{missing[0]}'")
        answer = self._methods[method](arguments)
        if method == "setDebugMode":  # the one bare text
            return Answer(200, str(answer["text"]).encode(), value=answer)
        return legacy_answer(headers, answer, form=method == "getStatus")

    def _get_job(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        wanted = arguments.get("nJobs")
        jobs = []
        if arguments["siteName"] == self._config.queue:
            jobs = self._jobs.acquire(int(wanted or 1), arguments.get("node"))
        if not jobs:
            return {"StatusCode": _NO_JOBS, "errorDialog": "no jobs in PanDA"}
        definitions = [{**job.definition, **_SUCCESS} for job in jobs]
        return definitions[0] if wanted is None else {**_SUCCESS, "jobs": definitions}

    def _update_job(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Store an update; an unknown state, the job id NULL and lost metadata are answered as if it were stored."""
        if arguments["state"] not in STATES or arguments["jobId"] in {"NULL", None}:
            return dict(_SUCCESS)
        update = self.v1_update(arguments)
        if metadata_refused(update):
            return dict(_SUCCESS)
        if database_error(update) or self._jobs.batch_changed(update):
            return {"StatusCode": 30}
        return {**_SUCCESS, "command": self._jobs.update(update), **self._jobs.secrets_for(update["job_id"])}

    def v1_update(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return an update under its v1 names, numbers as the server reads them.

        Raises:
            UncaughtServerError: A number that is none.
        """
        update: dict[str, Any] = {}
        for name, value in arguments.items():
            field = self._fields.get(name)
            if field is None:
                continue
            try:
                update[field["v1"]] = int(value) if field["json_type"] in _INTEGERS and value is not None else value
            except (TypeError, ValueError) as err:
                raise UncaughtServerError(f"{name}: {err}") from err
        return update

    def _get_status(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        jobs = [self._jobs.get(int(text)) if text.isdecimal() else None for text in str(arguments["ids"]).split()]
        return {
            **_SUCCESS,
            "status": "+".join(job.state if job else "notfound" for job in jobs),
            "attemptNr": "+".join(str(job.attempt_nr if job else 0) for job in jobs),
        }

    def _set_debug_mode(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        job = self._jobs.get(int(arguments["pandaID"]))
        if job is not None:
            job.debug_mode = str(arguments["modeOn"]) == "True"
        return {"text": "Succeeded" if job is not None else "Not found"}


def _worker_status(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_SUCCESS) if arguments["status"] in {"started", "finished"} else {"StatusCode": 30}


def _known_arguments(update_names: frozenset[str]) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """Return method -> (required arguments, all arguments)."""
    table = json.loads((_HERE / "legacy.json").read_text(encoding="utf-8"))
    known = {}
    for method, entry in table.items():
        required = frozenset(entry["required"])
        optional = update_names if entry["optional"] == "update_fields.json" else frozenset(entry["optional"])
        known[method] = (required, required | optional)
    return known
