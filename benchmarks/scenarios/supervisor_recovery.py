"""SIGKILL to the supervisor while a payload runs: until the payload is adopted and an update can go out."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.listener import Listener, Picture, worker
from benchmarks.pilot import WORKERS, RunningPilot
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Job, Station
from benchmarks.waiting import wait_for


def measure(bench: Bench) -> Iterator[Sample]:
    """Kill it, look for the new runner's title and the new supervisor's bulletin; the job must finish."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(held=True)
            with station.pilot() as pilot:
                job.started()
                station.update(job, "running")
                before = pilot.whole()
                bulletins = pilot.bulletins()
                killed = time.monotonic()
                os.kill(before["supervisor"], signal.SIGKILL)
                adopted = _adopted(pilot, job, before["runner"])
                workers = _workers_running(pilot, bulletins)
                job.release()
                station.final(job, "finished")
                pilot.wait(60.0)
            yield {"adopted": adopted - killed, "all_workers": workers - killed}


def _adopted(pilot: RunningPilot, job: Job, old_runner: int) -> float:
    """Return when a new runner showed the job in its title, which it does once it has the payload."""

    def look() -> bool:
        runner = pilot.roles().get("runner", old_runner)
        try:
            return runner != old_runner and str(job.job_id) in Path(f"/proc/{runner}/cmdline").read_text()
        except OSError:
            return False

    wait_for(look, 20.0, "a new runner has the payload")
    return time.monotonic()


def _workers_running(pilot: RunningPilot, old: set[Path]) -> float:
    """Return when the new supervisor's bulletin says that all workers answer (never before one listened)."""
    (bulletin,) = wait_for(lambda: pilot.bulletins() - old, 20.0, "a new bulletin")

    def complete(picture: Picture) -> bool:
        return all(worker(picture, role)["phase"] == "running" for role in WORKERS)

    with Listener(bulletin) as listener:
        return listener.first(complete, 20.0, "all workers are running")[0]


SCENARIO = Scenario(
    name="supervisor-recovery",
    what="SIGKILL to the supervisor, to the payload's adoption",
    rows=(
        Row(key="adopted", what="supervisor killed: payload adopted", in_use="job lost", limit=1.0),
        Row(key="all_workers", what="supervisor killed: all workers answer", in_use="job lost", limit=1.0),
    ),
    measure=measure,
)
