"""A desk without a bus, and a runner's place: directories, tasks, and an end to all that was started."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import zmq

from host.clock import now, wait_ms
from host.processes import Identity, freeze_and_kill, identify, process_table, tree_of
from ipc.observations import Observation, PayloadStarted
from ipc.parts import TextFile, Variable
from ipc.results import Result
from ipc.tasks import KillPayload, PrepareJob, RunPayload
from settings.settings import Settings, Tuning
from workers.runner.control import look
from workers.runner.duty import RunnerDuty

PATH = (Variable(name="PATH", value="/usr/local/bin:/usr/bin:/bin"),)
PYTHON = sys.executable


class FakeDesk:
    """What a duty sees of the loop; keeps what it is told and turns the real poller."""

    def __init__(self) -> None:
        self.poller = zmq.Poller()
        self.callbacks = {}
        self.results: dict[str, Result] = {}
        self.failures: dict[str, tuple[int, str, bool]] = {}
        self.observations: list[tuple[str, Observation]] = []
        self.title = ""

    def watch(self, descriptor, callback):
        self.callbacks[descriptor] = callback
        self.poller.register(descriptor, zmq.POLLIN)

    def unwatch(self, descriptor):
        if self.callbacks.pop(descriptor, None) is not None:
            self.poller.unregister(descriptor)

    def done(self, lease, result):
        assert lease not in self.results
        self.results[lease] = result

    def failed(self, lease, code, diag, *, retry=False):
        self.failures[lease] = (int(code), diag, retry)

    def observed(self, lease, observation):
        self.observations.append((lease, observation))

    def show(self, doing):
        self.title = doing

    def turn(self, duty, timeout_s=0.05):
        """One turn of the worker's loop."""
        mono = now().mono
        deadline = duty.next_deadline()
        wake_at = mono + timeout_s if deadline is None else min(deadline, mono + timeout_s)
        for descriptor in dict(self.poller.poll(wait_ms(wake_at, mono))):
            callback = self.callbacks.get(descriptor)
            if callback is not None:
                callback()
        duty.tick(now())

    def run(self, duty, until, timeout_s, what):
        deadline = time.monotonic() + timeout_s
        while not until():
            assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
            self.turn(duty)


class Place:
    """A job's directories and the runners that work in it."""

    def __init__(self, root: Path, tuning: Tuning | None = None) -> None:
        self.root = root
        self.job_dir = root / "job"
        self.control_dir = root / "control"
        self.desk = FakeDesk()
        self.settings = Settings(queue="Q", tuning=tuning or Tuning(orphan_grace_s=0.3, term_grace_s=0.3))
        self.guardian: Identity | None = None
        self.duties: list[RunnerDuty] = []
        self.duty = self.new_runner()

    def new_runner(self) -> RunnerDuty:
        """A runner that knows nothing of those before; the old one is no longer turned (it is "dead")."""
        self.duty = RunnerDuty(self.desk, self.settings, self.guardian)
        self.duties.append(self.duty)
        return self.duty

    def kill_runner(self) -> None:
        """What a killed runner leaves: its descriptors are closed, nothing else is done."""
        self.duty.stop()
        self.new_runner()

    def prepare(self, *files: TextFile) -> None:
        self.desk.results.pop("prepare", None)
        task = PrepareJob(job_dir=str(self.job_dir), control_dir=str(self.control_dir), files=files)
        self.duty.assign("prepare", task, now())

    def task(self, command: str, environment=PATH) -> RunPayload:
        return RunPayload(
            job_id=7,
            job_dir=str(self.job_dir),
            control_dir=str(self.control_dir),
            command=command,
            environment=environment,
        )

    def assign(self, command: str, lease="run", environment=PATH) -> None:
        self.duty.assign(lease, self.task(command, environment), now())

    def wait(self, lease="run", timeout_s=10.0):
        self.desk.run(self.duty, lambda: lease in self.desk.results, timeout_s, f"result of {lease}")
        return self.desk.results[lease]

    def run(self, command: str, lease="run", timeout_s=10.0, environment=PATH):
        self.prepare()
        self.assign(command, lease, environment)
        return self.wait(lease, timeout_s)

    def start(self, command: str, lease="run", ready="") -> PayloadStarted:
        """Start and return when the payload is there (and when it has made the file `ready`)."""
        self.prepare()
        self.assign(command, lease)
        self.until(lambda: self.started(lease), "the payload's start")
        if ready:
            self.until((self.job_dir / ready).exists, f"file {ready}")
        return self.started(lease)[0]

    def started(self, lease="run"):
        return [what for who, what in self.desk.observations if who == lease and isinstance(what, PayloadStarted)]

    def until(self, predicate, what, timeout_s=10.0):
        self.desk.run(self.duty, predicate, timeout_s, what)

    def kill(self, grace_s=0.3, lease="kill") -> None:
        task = KillPayload(job_dir=str(self.job_dir), control_dir=str(self.control_dir), grace_s=grace_s)
        self.duty.assign(lease, task, now())

    def facts(self):
        return look(self.control_dir)

    def stdout(self) -> str:
        return (self.job_dir / "payload.stdout").read_text()

    def processes(self) -> list[str]:
        """All living processes whose working directory or output is in this place, shims included."""
        found = []
        for row in process_table().values():
            if row.state in "ZX" or row.pid == os.getpid():
                continue
            for name in ("cwd", "fd/1", "fd/2"):
                with contextlib.suppress(OSError):
                    if str(Path(f"/proc/{row.pid}/{name}").readlink()).startswith(str(self.root)):
                        found.append(f"{row.name} {row.pid}")
                        break
        return found

    def close(self) -> None:
        """End all that is left of what was started here, without the code under test."""
        for duty in self.duties:
            duty.stop()
        facts = self.facts()
        roots = [who.pid for who in (facts.shim, facts.payload) if who is not None and identify(who.pid) == who]
        own = {row.pid for row in tree_of(roots, process_table(), roots)}
        own.update(int(text.rsplit(" ", 1)[1]) for text in self.processes())
        own.discard(os.getpid())
        if own:
            freeze_and_kill(own)
        for duty in self.duties:
            for child in duty._children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child._shim.wait(5)


def end(process: subprocess.Popen) -> None:
    """End a helper process of a test."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(5)
