"""The monitor's duty: Watch, as many at a time as there are jobs; Inspect and Pulse beside it."""

from pathlib import Path

from errors.codes import ErrorCode
from host.clock import Now
from ipc.results import Pulsed
from ipc.schema import Progress
from ipc.tasks import Inspect, Pulse, Task, Watch
from settings.settings import Settings
from workers.monitor.inspecting import Inspecting
from workers.monitor.pulse import write_pulse
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
        self._streams = Streams(settings.ca_path or dict(settings.environment).get("X509_CERT_DIR", ""))
        self._looks: dict[str, Inspecting] = {}

    def assign(self, lease: str, task: Task, moment: Now) -> None:
        """Begin a watch or a look; other tasks are a mistake of the sender."""
        if isinstance(task, Watch):
            self._watches[lease] = Watching(lease, task, self._desk, self._settings.tuning.sample_s, moment)
            self._streams.begin(lease, task, moment)
            self._desk.show(f"job {task.job_id}")
        elif isinstance(task, Inspect):
            self._look(lease, task, moment)
        elif isinstance(task, Pulse):
            self._pulse(lease, task, moment)
        else:
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"not a monitor's task: {type(task).__name__}")

    def _look(self, lease: str, task: Inspect, moment: Now) -> None:
        self._streams.wake(task, moment)
        try:
            self._looks[lease] = Inspecting(lease, task, self._desk, moment)
        except OSError as error:
            self._desk.failed(lease, ErrorCode.INTERNALPILOTPROBLEM, f"cannot look into the job: {error}")

    def _pulse(self, lease: str, task: Pulse, moment: Now) -> None:
        try:
            write_pulse(Path(task.path), task.last_server_update, moment.wall)
        except OSError as error:
            self._desk.log.warning("the heartbeat file cannot be written: %s", error)
        self._desk.done(lease, Pulsed())

    def cancel(self, lease: str, moment: Now) -> None:
        """End a watch or a look."""
        self._streams.finish(lease, moment)
        watch = self._watches.pop(lease, None)
        if watch is not None:
            watch.close()
        if lease in self._looks:
            self._looks[lease].cancel()
        if not self._watches:
            self._desk.show("idle")

    def tick(self, moment: Now) -> None:
        """Do what is due in each watch and look."""
        for watch in self._watches.values():
            if moment.mono >= watch.next_at:
                watch.act(moment)
        self._streams.tick(moment)
        for lease, look in list(self._looks.items()):
            if look.gone:
                del self._looks[lease]
            elif look.over or moment.mono >= look.next_at:
                look.act(moment)

    def next_deadline(self) -> float | None:
        """Return when the next sample is due, or a look has lasted too long."""
        times = [watch.next_at for watch in self._watches.values()]
        times += [look.next_at for look in self._looks.values()]
        return min([*times, *self._streams.next_times()], default=None)

    def progress(self) -> tuple[Progress, ...]:
        """Nothing that a monitor does has a measure."""
        return ()

    def stop(self) -> None:
        """Measure nothing any more; no look outlives the monitor."""
        self._watches.clear()
        for look in self._looks.values():
            look.cancel()
