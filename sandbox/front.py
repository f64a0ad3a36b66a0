"""The pilot's side of the server: every request of a pilot is named, decoded, answered and recorded here."""

import json
import time
from typing import Any

from aiohttp import web

from sandbox import traces
from sandbox.arguments import ArgumentRefusedError, CallTable, UncaughtServerError, load_tables
from sandbox.calls import Calls
from sandbox.config import SandboxConfig
from sandbox.decoding import Answer, decode_body, decode_query, json_answer, refusal, text_answer
from sandbox.fault_delivery import deliver, plain_response, seen_status
from sandbox.faults import FaultBoard
from sandbox.job_store import FINAL, JobStore
from sandbox.legacy import LegacyCalls, decode_legacy
from sandbox.make_jobs import TRANSFORMS
from sandbox.queue_data import queue_document, storage_document
from sandbox.record import Record

_HEADERS = ("User-Agent", "Content-Type", "Content-Encoding", "Accept", "Authorization", "Origin", "Connection")


class Front:
    """Answers pilots.

    Attributes:
        jobs: The jobs.
        faults: The fault switches.
        record: What came and what was answered.
        queue_changes: Queue fields changed since the start.
    """

    def __init__(self, config: SandboxConfig, record: Record) -> None:
        self._config = config
        self._tables = load_tables()
        self.jobs = JobStore()
        self.faults = FaultBoard()
        self.record = record
        self.queue_changes: dict[str, Any] = {}
        self._calls = Calls(config, self.jobs, self._tables)
        self._legacy = LegacyCalls(config, self.jobs)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, in the broken way if a fault strikes it."""
        entry = {
            "mono": time.monotonic(),
            "wall": time.time(),
            "call": _call_name(request.path),
            "method": request.method,
            "path": request.path_qs,
            "headers": {name: request.headers[name] for name in _HEADERS if name in request.headers},
            "client_cert": _client_name(request),
        }
        raw = await request.read()
        table = self._table(request.path)
        try:
            arguments: Any = self._decode(request, table, raw)
            problem: Exception | None = None
        except (ArgumentRefusedError, UncaughtServerError) as err:
            arguments, problem = raw.decode("utf-8", "replace"), err
        fault = self.faults.take(str(entry["call"]), _is_final(arguments))
        answer = None
        if fault is None or fault.after_work:
            answer = self._answer(request, table, arguments, problem)
        self._note(entry, arguments, answer, fault.kind if fault else None)
        if fault is None:
            entry["status"] = answer.status if answer else None
            self.record.append(entry)
            return plain_response(answer or Answer(500, b""))
        entry["status"] = seen_status(fault, answer)
        self.record.append(entry)
        return await deliver(request, fault, answer)

    def _is_legacy(self, path: str) -> bool:
        return self._config.dialects != "v1" and self._legacy.knows(path)

    def _table(self, path: str) -> CallTable | None:
        if self._config.dialects == "legacy":
            return None
        return self._tables.get(path.removeprefix("/api/v1/")) if path.startswith("/api/v1/") else None

    def _decode(self, request: web.Request, table: CallTable | None, raw: bytes) -> Any:
        if request.path == traces.PATH:
            return traces.decode_trace(request.headers, raw)
        if self._is_legacy(request.path) and request.method == "POST":
            return decode_legacy(request.headers, raw)
        if table is None:
            return dict(request.query)
        if request.method == "GET":
            return decode_query(table, request.method, list(request.query.items()))
        return decode_body(request.headers, raw)

    def _answer(
        self, request: web.Request, table: CallTable | None, arguments: Any, problem: Exception | None
    ) -> Answer:
        if request.path == traces.PATH:
            return traces.take_trace(request.method, arguments, problem)
        if not request.path.startswith(("/api/", "/server/")):
            return self._document(request)
        if self._config.needs_identity and (refused := self._identity_refused(request)):
            return refused
        if self._is_legacy(request.path):
            return self._call_legacy(request, arguments, problem)
        if self._config.dialects == "legacy" and request.path.startswith("/api/"):
            return text_answer(404, "Not Found")
        return self._call(request, table, arguments, problem)

    def _call(self, request: web.Request, table: CallTable | None, arguments: Any, problem: Exception | None) -> Answer:
        """Check in the order of the real server: the method's name, the body, the HTTP method, the arguments."""
        if table is None:
            return text_answer(403, f"ERROR : method {_call_name(request.path)} is forbidden")
        if isinstance(problem, UncaughtServerError):
            return text_answer(500, str(problem))
        if problem or request.method != table.http:
            return refusal(request.headers, str(problem or f"expecting {table.http}, received {request.method}"))
        try:
            return json_answer(request.headers, self._calls.run(table, arguments))
        except UncaughtServerError as err:
            return text_answer(500, str(err))

    def _v1_form(self, call: str, arguments: Any) -> Any:
        """Return the arguments of a job update under their v1 names, whatever dialect it came in."""
        if call != "updateJob" or not isinstance(arguments, dict):
            return arguments
        try:
            return self._legacy.v1_update(arguments)
        except UncaughtServerError:
            return {}

    def _call_legacy(self, request: web.Request, arguments: Any, problem: Exception | None) -> Answer:
        try:
            if problem is not None:
                raise problem
            return self._legacy.run(request.headers, _call_name(request.path), arguments)
        except UncaughtServerError as err:
            return text_answer(500, str(err))

    def _identity_refused(self, request: web.Request) -> Answer | None:
        """Refuse a bad token with 403, and a request without any identity as v1 refuses plain HTTP."""
        authorization = request.headers.get("Authorization")
        if authorization is not None and self._config.token is not None:
            if authorization != f"Bearer {self._config.token}":
                return text_answer(403, "ERROR : Token authentication failed. not the token of this sandbox")
            if not request.headers.get("Origin"):
                return text_answer(403, "ERROR : Token authentication failed. no Origin")
            return None
        if _client_name(request) is not None:
            return None
        return refusal(request.headers, "SSL secure connection is required")

    def _document(self, request: web.Request) -> Answer:
        call = _call_name(request.path)
        name = request.path.rpartition("/")[2]
        if call == "queue_data" and name == f"{self._config.queue}.all.json":
            # indented: wrappers read it line by line
            return _json_document(queue_document(self._config, self.queue_changes))
        if call == "storage_data":
            return _json_document(storage_document(self._config))
        script = TRANSFORMS / name
        if call == "transform" and not name.startswith("_") and script.is_file():
            return Answer(200, script.read_bytes(), "application/octet-stream")
        return text_answer(404, f"404: {request.path} is not here")

    def _note(self, entry: dict[str, Any], arguments: Any, answer: Answer | None, fault: str | None) -> None:
        entry.update(body=arguments, answer=answer.value if answer else None, fault=fault, worked=answer is not None)
        update = self._v1_form(entry["call"], arguments)
        if _is_final(arguments) and isinstance(update.get("job_id"), int):
            job = self.jobs.get(update["job_id"])
            verdict = job.verdict if job and job.final == update else None
            entry["verdict"] = {"status": verdict.status, "reason": verdict.reason} if verdict else None


def _json_document(value: dict[str, Any]) -> Answer:
    return Answer(200, json.dumps(value, indent=1).encode(), "application/json")


def _call_name(path: str) -> str:
    if path.startswith(("/api/", "/server/")):
        return path.rpartition("/")[2]
    if path.startswith("/cache/schedconfig/"):
        return "queue_data"
    if path == "/cache/ddmendpoints.json":
        return "storage_data"
    if path == traces.PATH:
        return "traces"
    return "transform" if path.startswith("/transforms/") else "unknown"


def _is_final(arguments: Any) -> bool:
    if not isinstance(arguments, dict):
        return False
    updates = arguments.get("job_list")
    updates = updates if isinstance(updates, list) else [arguments]
    states = [update.get("job_status", update.get("state")) for update in updates if isinstance(update, dict)]
    return any(state in FINAL for state in states)


def _client_name(request: web.Request) -> str | None:
    """Return the subject of the client's certificate as a slash separated name, or None without one."""
    certificate = request.get_extra_info("peercert")
    if not certificate:
        return None
    return "".join(f"/{key}={value}" for part in certificate.get("subject", ()) for key, value in part)
