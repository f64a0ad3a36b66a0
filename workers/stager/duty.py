"""The stager's duty: carries the machine's actions out, and brings it what the children and the clock say."""

from dataclasses import replace
from typing import Any, Protocol

from host.clock import Now, now
from ipc.observations import Attempted
from ipc.parts import Attempt
from ipc.results import Result
from ipc.schema import Progress
from ipc.tasks import CleanUp, StageIn, StageOut, StageTar, Task, TransferLog
from settings.settings import Settings
from workers.stager.children import Children, Watcher
from workers.stager.machine import (
    Action,
    Assigned,
    Cancelled,
    ChildDied,
    Dismiss,
    Event,
    Fail,
    Finish,
    Give,
    Kill,
    StagerMachine,
    Tell,
    Ticked,
    Told,
)

_REAP_S = 0.1
_FLUSH_S = 0.01


class StagerDesk(Watcher, Protocol):
    """The part of workers.worker.Desk that the stager uses."""

    def done(self, lease: str, result: Result) -> None:
        """End a lease well."""

    def failed(self, lease: str, code: int, diag: str, *, retry: bool = False) -> None:
        """End a lease with a code."""

    def observed(self, lease: str, observation: Attempted) -> None:
        """Tell a fact about a lease's work."""

    def show(self, doing: str) -> None:
        """Put it into the process title."""


class StagerDuty:
    """StageIn, StageOut, StageTar, TransferLog and CleanUp by mover children; implements workers.worker.Duty."""

    def __init__(self, desk: StagerDesk, settings: Settings) -> None:
        """Start nothing yet: children are started with the first task."""
        self._desk = desk
        self._machine = StagerMachine(settings.tuning)
        self._children = Children(desk, self._heard, self._died, settings.ca_path)
        self._events: list[Event] = []
        self._busy = False

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin `task`; one that is not the stager's is ignored by the supervisor's own table, hence an error here."""
        if not isinstance(task, StageIn | StageOut | StageTar | TransferLog | CleanUp):
            raise TypeError(f"not a task of the stager: {type(task).__name__}")
        self._handle(Assigned(lease, task), moment)

    def cancel(self, lease: str, moment: Now) -> None:
        """Kill what runs for `lease` at once."""
        self._handle(Cancelled(lease), moment)

    def tick(self, moment: Now) -> None:
        """Check limits, begin what may begin again."""
        self._children.reap()
        self._children.flush()
        self._handle(Ticked(), moment)
        self._show()

    def next_deadline(self) -> float | None:
        """Return the monotonic time of the next limit, None when nothing is under way."""
        first = self._machine.next_deadline()
        if not self._children.waiting and not self._children.unsent:
            return first
        soon = now().mono + (_FLUSH_S if self._children.unsent else _REAP_S)
        return soon if first is None else min(first, soon)

    def progress(self) -> tuple[Progress, ...]:
        """Return bytes and files done, for each lease."""
        return self._machine.progress()

    def stop(self) -> None:
        """Kill all children."""
        self._children.stop()

    @property
    def mover_pids(self) -> list[int]:
        """The pids of the children, for people and tests."""
        return self._children.pids

    def _heard(self, slot: int, line: dict[str, Any]) -> None:
        self._handle(Told(slot, int(line.get("id", 0)), line), now())

    def _died(self, slot: int, text: str) -> None:
        self._handle(ChildDied(slot, text), now())

    def _handle(self, event: Event, moment: Now) -> None:
        """Have the machine handle `event`, and what carrying out its actions brings about, one after the other."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for action in self._machine.handle(self._events.pop(0), moment.mono):
                    self._perform(action)
        finally:
            self._busy = False

    def _perform(self, action: Action) -> None:
        match action:
            case Give():
                self._children.give(action.slot, action.message)
            case Kill():
                self._children.kill(action.slot)
            case Dismiss():
                self._children.dismiss()
            case Finish():
                self._desk.done(action.lease, action.result)
            case Tell():
                self._desk.observed(action.lease, _in_wall_time(action.attempts, now()))
            case Fail():
                self._desk.failed(action.lease, action.code, action.diag, retry=action.retry)

    def _show(self) -> None:
        words = [f"{part.step} {part.files_done}/{part.files_total}" for part in self._machine.progress()]
        self._desk.show(", ".join(words) or "idle")


def _in_wall_time(attempts: tuple[Attempt, ...], moment: Now) -> Attempted:
    """Return the attempts with their times turned from the loop's clock into the world's."""
    shift = moment.wall - moment.mono
    names = ("began_wall", "started_wall", "ended_wall")
    return Attempted(
        attempts=tuple(replace(each, **{name: getattr(each, name) + shift for name in names}) for each in attempts)
    )
