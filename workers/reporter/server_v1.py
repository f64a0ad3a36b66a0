"""The server as job source and job sink: one request, one answer for each task."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from errors.codes import ErrorCode
from ipc.results import Result
from ipc.tasks import AcquireJob, SendUpdate
from settings.settings import Settings
from workers.reporter import dialect_v1
from workers.reporter.exchange import Failure, Reply, Request
from workers.reporter.orders import reader_of
from workers.reporter.readiness import reason_to_wait
from workers.reporter.space import with_space

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Exchange(Generic[T]):
    """A conversation of one request, which ends with a T: a Result, or a step within a longer conversation."""

    what: str
    limit_s: float
    ask: Callable[[], Request]
    read: Callable[[Reply], T | Failure]
    check: Callable[[], T | Failure | None] = lambda: None

    def begin(self) -> Request | T | Failure:
        """Return the request, or the failure when it must not be made."""
        try:
            return self.check() or self.ask()
        except ValueError as error:
            return Failure(text=f"{self.what}: {error}", code=int(ErrorCode.INTERNALPILOTPROBLEM), retry=False)

    def heard(self, reply: Reply) -> Request | T | Failure:
        """Return what the reply means."""
        return self.read(reply)


class ServerV1:
    """Conversations with a PanDA server in the v1 dialect."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def acquire(self, task: AcquireJob) -> Exchange[Result]:
        """Ask for one job."""
        return Exchange(
            what="job request",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: dialect_v1.post(self._settings, "pilot/acquire_jobs", with_space(self._settings, task.request)),
            read=dialect_v1.read_job,
            check=lambda: reason_to_wait(self._settings, task),
        )

    def deliver(self, task: SendUpdate) -> Exchange[Result]:
        """Send one update, or another call whose answer is only yes or no."""
        return Exchange(
            what=f"update {task.sequence}",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: dialect_v1.post(self._settings, task.call, task.body),
            read=reader_of(task, "v1", dialect_v1.read_update),
        )
