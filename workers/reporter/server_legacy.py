"""The server as job source and job sink in the legacy dialect (`--server-api legacy`)."""

import json
from collections.abc import Callable
from typing import TypeVar

from host.clock import now
from ipc.results import Result
from ipc.tasks import AcquireJob, SendUpdate
from jobs.field_names import legacy_timestamp
from settings.settings import Settings
from workers.reporter import dialect_legacy
from workers.reporter.answers import names_method
from workers.reporter.call_names import CALLS, call_names, renamed
from workers.reporter.calls import Call
from workers.reporter.exchange import Failure, HttpRequest, Reply
from workers.reporter.orders import reader_of
from workers.reporter.server_v1 import Exchange, ServerV1
from workers.reporter.space import with_space

T = TypeVar("T")


class ServerLegacy:
    """Conversations with a PanDA server in the legacy dialect."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._v1 = ServerV1(settings)

    def acquire(self, task: AcquireJob) -> Exchange[Result]:
        """Ask for one job, on the conditions of v1."""
        return Exchange(
            what="job request",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: dialect_legacy.ask(
                self._settings, CALLS["pilot/acquire_jobs"], json.loads(with_space(self._settings, task.request))
            ),
            read=lambda reply: _read(dialect_legacy.read_job, reply),
            check=self._v1.acquire(task).check,
        )

    def deliver(self, task: SendUpdate) -> Exchange[Result]:
        """Send one update, or another call whose answer is only yes or no; what legacy does not know fails."""
        read = reader_of(task, "legacy", dialect_legacy.read_update)
        return Exchange(
            what=f"update {task.sequence}",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: self._update(task),
            read=lambda reply: _read(read, reply),
        )

    def ask(self, what: str, limit_s: float, make: Callable[[str], Call[T]]) -> Exchange[T]:
        """Carry out another call, which `make` makes for a dialect; ValueError there means that legacy has none."""
        return Exchange(
            what=what,
            limit_s=limit_s,
            ask=lambda: make("legacy").request,
            read=lambda reply: _read(make("legacy").read, reply),
        )

    def _update(self, task: SendUpdate) -> HttpRequest:
        names = call_names(task.call)
        if names is None:
            raise ValueError(f"{task.call[:80]!r} is not a call of the server")
        arguments = json.loads(task.body)
        if names.legacy == "updateWorkerPilotStatus":
            arguments.setdefault("site", self._settings.queue)
        request = renamed(names.names, arguments)
        if names.legacy == "updateJob":
            request["timestamp"] = legacy_timestamp(now().wall)
        if not names.legacy:
            raise ValueError(f"the legacy dialect has no call for {names.v1}")
        return dialect_legacy.post(self._settings, names.legacy, request)


def _read(read: Callable[[Reply], T | Failure], reply: Reply) -> T | Failure:
    """Return what a reply means; that of a server without the legacy methods says what to do."""
    outcome = read(reply)
    if isinstance(outcome, Failure) and names_method(reply):
        text = "this server knows API v1 only, leave out --server-api legacy"
        return Failure(text=f"{text} ({outcome.text})", code=outcome.code, retry=outcome.retry)
    return outcome
