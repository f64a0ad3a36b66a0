"""The runner's duty: PrepareJob, RunPayload, FeedEvents, KillPayload. Nothing is remembered that is not on disk."""

from typing import TypeAlias

from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.clock import Now
from host.processes import Identity
from ipc.results import Prepared
from ipc.schema import Heed, Progress
from ipc.tasks import FeedEvents, KillPayload, PrepareJob, RunPayload, Task
from settings.settings import Settings
from workers.runner.feeding import Feeding
from workers.runner.killing import Killing
from workers.runner.prepare import prepare
from workers.runner.running import Means
from workers.runner.shims import ShimChild
from workers.runner.stepping import Stepping
from workers.worker import Desk

_Work: TypeAlias = Stepping | Killing | Feeding


class RunnerDuty:
    """Runs payloads through shims that outlive it; a new one takes over what an old one started."""

    def __init__(self, desk: Desk, settings: Settings, guardian: Identity | None = None) -> None:
        """Take the desk and the settings; the shims end their payloads when `guardian` is gone for too long."""
        self._desk = desk
        self._work: dict[str, _Work] = {}
        self._children: list[ShimChild] = []
        self._means = Means(desk, settings, guardian, self._children.append)

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin a task of the runner's; others are a mistake of the sender."""
        if isinstance(task, PrepareJob):
            self._prepare(lease, task)
        elif isinstance(task, RunPayload):
            self._begin(lease, Stepping(lease, task, self._means), moment)
        elif isinstance(task, FeedEvents):
            self._begin(lease, Feeding(lease, task, self._desk, self._means.settings.tuning), moment)
        elif isinstance(task, KillPayload):
            self._begin(lease, Killing(lease, task, self._desk), moment)
        else:
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"not a runner's task: {type(task).__name__}")

    def cancel(self, lease: str, moment: Now) -> None:
        """Stop watching; the payload is not touched (KillPayload ends it)."""
        del moment
        work = self._work.pop(lease, None)
        if work is not None:
            work.close()
        self._show()

    def heed(self, message: Heed, moment: Now) -> None:
        """Bring an answer to the work that wanted it; for work that is over nothing follows."""
        work = self._work.get(message.lease)
        if isinstance(work, Feeding):
            work.heed(message, moment)

    def tick(self, moment: Now) -> None:
        """Look after all work that is due; take the status of shims that have ended."""
        for lease, work in list(self._work.items()):
            if work.look_at is not None and moment.mono >= work.look_at:
                self._look(lease, work, moment)
        for child in self._children:
            if child.over:
                child.close()
        self._children[:] = [child for child in self._children if not child.over]

    def next_deadline(self) -> float | None:
        """Return when the next look is due."""
        return min((work.look_at for work in self._work.values() if work.look_at is not None), default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Nothing that a runner does has a measure."""
        return ()

    def stop(self) -> None:
        """Stop watching; payloads and shims go on."""
        for work in self._work.values():
            work.close()
        self._work.clear()
        for child in self._children:
            child.close()

    def _prepare(self, lease: str, task: PrepareJob) -> None:
        try:
            prepare(task)
        except JobError as error:
            self._desk.failed(lease, error.code, error.diagnostics)
        else:
            self._desk.done(lease, Prepared())

    def _begin(self, lease: str, work: _Work, moment: Now) -> None:
        known = self._work.pop(lease, None)
        if known is not None:
            known.close()
        self._work[lease] = work
        self._look(lease, work, moment)

    def _look(self, lease: str, work: _Work, moment: Now) -> None:
        work.look(moment)
        if work.over:
            work.close()
            self._work.pop(lease, None)
            self._tell_feeders(work)
        self._show()

    def _tell_feeders(self, ended: _Work) -> None:
        """A payload whose end was seen is over for whoever feeds it."""
        if not isinstance(ended, Feeding):
            for work in self._work.values():
                if isinstance(work, Feeding):
                    work.payload_gone(ended.control_dir)

    def _show(self) -> None:
        works = list(self._work.values())
        self._desk.show(works[-1].title if works else "idle")
