"""A job directory whose output goes to a log server, and a clock that is moved by hand."""

from host.clock import Now, now
from ipc.parts import LogStream, Variable
from ipc.tasks import Watch
from tests.waiting import wait_until
from workers.monitor.streaming import Streams

LABELS = (Variable(name="PandaJobID", value="7"), Variable(name="TaskID", value="8"))


class Job:
    """A job directory with an output, and a clock that is moved by hand."""

    def __init__(self, tmp_path, url, **stream):
        self.dir, self.control = tmp_path / "job", tmp_path / "control"
        self.dir.mkdir()
        self.control.mkdir()
        self.out = self.dir / "payload.stdout"
        self.mono = 1000.0
        fields = {"kind": "loki", "url": url, "file": "payload.stdout", "period_s": 0.05}
        self.task = Watch(
            job_id=7,
            job_dir=str(self.dir),
            control_dir=str(self.control),
            stream=LogStream(**{**fields, "labels": LABELS, **stream}),
        )
        self.new_monitor()

    def new_monitor(self, ca_path=""):
        self.streams = Streams(ca_path)
        self.streams.begin("lease", self.task, self.moment)

    @property
    def moment(self):
        return Now(self.mono, now().wall)

    def say(self, text):
        with self.out.open("a") as out:
            out.write(text)

    def pass_time(self, seconds=1.0):
        self.mono += seconds
        self.streams.tick(self.moment)

    def until(self, seen):
        """Let periods pass until something is seen; much faster than real time only where periods are long."""

        def turned():
            self.pass_time(self.task.stream.period_s)
            return seen()

        wait_until(turned, 10, "not sent")
