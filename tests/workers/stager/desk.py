"""A desk for the stager's duty: records what it says, and runs it on a real poller as the worker's loop does."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import zmq

from host.clock import now, wait_ms
from ipc.results import Result
from ipc.schema import Progress
from ipc.tasks import Task
from settings.settings import Settings, Tuning
from workers.stager.duty import StagerDuty

QUICK = Tuning(stall_limit_s=20.0, retry_first_s=0.02, retry_cap_s=0.05)


def settings(**tuning: object) -> Settings:
    return Settings(queue="TEST", tuning=replace(QUICK, **tuning))


@dataclass
class Ending:
    result: Result | None = None
    code: int = 0
    diag: str = ""
    retry: bool = False


@dataclass
class RecordingDesk:
    endings: dict[str, Ending] = field(default_factory=dict)
    shown: list[str] = field(default_factory=list)
    poller: zmq.Poller = field(default_factory=zmq.Poller)
    callbacks: dict[int, Callable[[], None]] = field(default_factory=dict)

    def watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        assert descriptor not in self.callbacks
        self.callbacks[descriptor] = callback
        self.poller.register(descriptor, zmq.POLLIN)

    def unwatch(self, descriptor: int) -> None:
        if self.callbacks.pop(descriptor, None) is not None:
            self.poller.unregister(descriptor)

    def done(self, lease: str, result: Result) -> None:
        assert lease not in self.endings
        self.endings[lease] = Ending(result=result)

    def failed(self, lease: str, code: int, diag: str, *, retry: bool = False) -> None:
        assert lease not in self.endings
        self.endings[lease] = Ending(code=code, diag=diag, retry=retry)

    def show(self, doing: str) -> None:
        if not self.shown or self.shown[-1] != doing:
            self.shown.append(doing)


class Bench:
    """A duty on a recording desk."""

    def __init__(self, **tuning: object) -> None:
        self.desk = RecordingDesk()
        self.duty = StagerDuty(self.desk, settings(**tuning))
        self.seen: list[Progress] = []

    def turn(self, at_most_s: float = 0.05) -> None:
        """One turn of the loop."""
        moment = now().mono
        deadline = self.duty.next_deadline()
        wake_at = moment + at_most_s if deadline is None else min(deadline, moment + at_most_s)
        for descriptor in dict(self.desk.poller.poll(wait_ms(wake_at, moment))):
            callback = self.desk.callbacks.get(descriptor)
            if callback is not None:
                callback()
        self.duty.tick(now())
        self.seen.extend(self.duty.progress())

    def run_until(self, predicate: Callable[[], object], timeout_s: float = 15.0, what: str = "") -> None:
        deadline = now().mono + timeout_s
        while not predicate():
            assert now().mono < deadline, f"not within {timeout_s} s: {what}"
            self.turn()

    def carry_out(self, task: Task, lease: str = "job 1/stage/1/1", timeout_s: float = 15.0) -> Ending:
        self.duty.assign(lease, task, now())
        self.run_until(lambda: lease in self.desk.endings, timeout_s, "the end of the task")
        return self.desk.endings[lease]

    def close(self) -> None:
        self.duty.stop()
        deadline = now().mono + 5
        while self.desk.callbacks:
            assert now().mono < deadline, "a child was not reaped"
            self.turn()
