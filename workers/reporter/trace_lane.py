"""The lane of the traces: a bad trace server never holds an update up, nor costs the worker its life."""

from collections.abc import Mapping

from host.clock import Now
from ipc.results import TracesSent
from ipc.tasks import SendTraces
from settings.settings import Settings
from workers.reporter.exchange import Failure
from workers.reporter.lane import Lane
from workers.reporter.machine import Finish
from workers.reporter.trace_delivery import TraceDelivery
from workers.worker import Desk


class TraceLane:
    """Carries SendTraces out."""

    def __init__(self, desk: Desk, settings: Settings, environ: Mapping[str, str]) -> None:
        self._desk = desk
        self._settings = settings
        self._lane = Lane(desk, settings, environ, self._finish, may_block=True)

    def assign(self, lease: str, task: SendTraces, moment: Now) -> None:
        """Put the traces behind those under way; once too many calls hang, none is sent any more."""
        if self._lane.blocked:
            self._desk.done(lease, TracesSent(sent=0, dropped=len(task.attempts), curl_code=28, note="calls hang"))
            return
        self._lane.submit(lease, TraceDelivery(task, self._settings), moment.mono)

    def cancel(self, lease: str, moment: Now) -> None:
        """Forget the traces under `lease`."""
        self._lane.cancel(lease, moment.mono)

    def tick(self, moment: Now) -> None:
        """Give up the call that overran its time."""
        self._lane.tick(moment.mono)

    def next_deadline(self) -> float | None:
        """Return the deadline of the call under way."""
        return self._lane.next_deadline()

    def stop(self) -> None:
        """Leave; nothing is waited for."""
        self._lane.close()

    def _finish(self, action: Finish) -> None:
        outcome = action.outcome
        if isinstance(outcome, Failure):
            self._desk.failed(action.lease, outcome.code, outcome.text)
        else:
            self._desk.done(action.lease, outcome)
