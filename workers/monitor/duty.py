"""The monitor's duty: Watch, as many at a time as there are jobs."""

from errors.codes import ErrorCode
from host.clock import Now
from ipc.schema import Progress, Task, Watch
from settings.settings import Settings
from workers.monitor.streaming import Streams
from workers.monitor.watching import Watching
from workers.worker import Desk


class MonitorDuty:
    """Measures payloads and tells usage and passed limits; a Watch never ends by itself."""

    def __init__(self, desk: Desk, settings: Settings) -> None:
        """Take the desk and the pace (`settings.tuning.sample_s`)."""
        self._desk = desk
        self._settings = settings
        self._watches: dict[str, Watching] = {}
        self._streams = Streams(settings.ca_path)

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin a watch; other tasks are a mistake of the sender."""
        if not isinstance(task, Watch):
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"not a monitor's task: {type(task).__name__}")
            return
        self._watches[lease] = Watching(lease, task, self._desk, self._settings.tuning.sample_s, moment)
        self._streams.begin(lease, task, moment)
        self._desk.show(f"job {task.job_id}")

    def cancel(self, lease: str, moment: Now) -> None:
        """End a watch."""
        self._streams.finish(lease, moment)
        self._watches.pop(lease, None)
        if not self._watches:
            self._desk.show("idle")

    def tick(self, moment: Now) -> None:
        """Do what is due in each watch."""
        for watch in self._watches.values():
            if moment.mono >= watch.next_at:
                watch.act(moment)
        self._streams.tick(moment)

    def next_deadline(self) -> float | None:
        """Return when the next sample is due."""
        times = [watch.next_at for watch in self._watches.values()]
        return min([*times, *self._streams.next_times()], default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Nothing that a monitor does has a measure."""
        return ()

    def stop(self) -> None:
        """Measure nothing any more."""
        self._watches.clear()
