"""Holding a pilot in a phase of its job, from outside: by what the server does and by stopped processes."""

import signal
from collections.abc import Callable
from dataclasses import dataclass, field

from pilotrun import PilotRun


@dataclass
class Held:
    """A pilot held in a phase. `release` lets it go on; whom it stopped may be dead by then."""

    run: PilotRun
    job_id: int
    stopped: list[int] = field(default_factory=list)

    def release(self) -> None:
        """Let everything go on."""
        self.run.signal_all(self.stopped, signal.SIGCONT)
        self.run.payload_end.touch()


PHASES = ("request", "set-up", "stage-in", "payload", "stage-out", "log", "final")


def hold(run: PilotRun, phase: str, start: Callable[[], object], **recipe: object) -> Held:
    """Make a job, start the pilot by `start`, return once it is in the phase."""
    payload = {"until": str(run.payload_end), **recipe.pop("payload", {})}
    outputs = [] if phase == "log" else [3000]
    job_id = run.sandbox.make_jobs(1, **{"inputs": [2000], "outputs": outputs, "payload": payload, **recipe})[0]
    held = Held(run, job_id)
    _ENTER[phase](held, start)
    return held


def _request(held: Held, start: Callable[[], object]) -> None:
    """The job is handed out, the answer is on its way."""
    held.run.sandbox.fault("acquire_jobs", "late", seconds=1.0)
    start()
    held.run.wait_call("acquire_jobs")


def _set_up(held: Held, start: Callable[[], object]) -> None:
    """The runner is stopped before it is told to prepare."""
    held.run.sandbox.fault("acquire_jobs", "late", seconds=0.5)
    start()
    held.run.wait_call("acquire_jobs")
    held.stopped = [held.run.kill("runner", signal.SIGSTOP)]
    held.run.wait_log("received -> preparing")


def _stage_in(held: Held, start: Callable[[], object]) -> None:
    """The payload's script comes late."""
    held.run.sandbox.fault("transform", "late", seconds=1.0)
    start()
    held.run.wait_call("transform")


def _payload(held: Held, start: Callable[[], object]) -> None:
    """The payload waits for its file."""
    start()
    held.run.wait_call("update_job", job_status="running")
    held.run.one("payload")


def _stopped_movers(held: Held, start: Callable[[], object]) -> None:
    """The movers of the stage-in, which wait for more work for some seconds, are stopped: they get the next orders."""
    _payload(held, start)
    held.stopped = held.run.find("mover")
    assert held.stopped, held.run.story()
    held.run.signal_all(held.stopped, signal.SIGSTOP)
    held.run.payload_end.touch()


def _stage_out(held: Held, start: Callable[[], object]) -> None:
    _stopped_movers(held, start)
    held.run.wait_log("-> staging_out")


def _log(held: Held, start: Callable[[], object]) -> None:
    _stopped_movers(held, start)
    held.run.wait_log("-> transferring_log")


def _final(held: Held, start: Callable[[], object]) -> None:
    """The server says nothing to the first final update."""
    held.run.sandbox.fault("update_job", "silence", only_final=True, seconds=1.0)
    held.run.payload_end.touch()
    start()
    held.run.wait_log("-> reporting")


_ENTER = {
    "request": _request,
    "set-up": _set_up,
    "stage-in": _stage_in,
    "payload": _payload,
    "stage-out": _stage_out,
    "log": _log,
    "final": _final,
}
