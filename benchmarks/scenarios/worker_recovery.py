"""SIGKILL to each worker while a payload runs: until a new one has said Hello, as the bulletin shows it."""

import os
import signal
import time
from collections.abc import Iterator

from benchmarks.listener import Listener, Picture, worker
from benchmarks.pilot import WORKERS
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station

#: The first two restarts of a role are immediate; the later ones wait on purpose.
_KILLS = 2


def measure(bench: Bench) -> Iterator[Sample]:
    """Kill every worker twice in each pilot, then let the job finish: it must not have noticed."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(held=True)
            with station.pilot() as pilot:
                job.started()
                pids = pilot.whole()
                times: dict[str, list[float]] = {role: [] for role in WORKERS}
                with Listener(pilot.bulletin()) as listener:
                    _first_picture(listener)
                    for role in WORKERS * _KILLS:
                        recovery_s, pids[role] = _kill(listener, role, pids[role])
                        times[role].append(recovery_s * 1000)
                        time.sleep(0.3)
                job.release()
                station.final(job, "finished")
                pilot.wait(60.0)
            everything = [value for values in times.values() for value in values]
            yield {"recovery": everything, "recovery_worst": everything, **times}


def _first_picture(listener: Listener) -> None:
    def complete(picture: Picture) -> bool:
        return all(worker(picture, role)["phase"] == "running" for role in WORKERS)

    listener.first(complete, 10.0, "all workers are running")


def _kill(listener: Listener, role: str, pid: int) -> tuple[float, int]:
    def back(picture: Picture) -> bool:
        entry = worker(picture, role)
        return entry["phase"] == "running" and entry["pid"] != pid

    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    at, picture = listener.first(back, 20.0, f"a new {role} is running")
    return at - killed, int(worker(picture, role)["pid"])


_IN_USE = "never"

SCENARIO = Scenario(
    name="worker-recovery",
    what="SIGKILL to each worker, to a new one that answers",
    rows=(
        Row(key="recovery", what="killed worker answers again", unit="ms", in_use=_IN_USE, limit=20.0),
        Row(key="recovery_worst", what="the same, worst", unit="ms", in_use=_IN_USE, limit=200.0, judge="worst"),
        *(Row(key=role, what=f"... {role}", unit="ms") for role in WORKERS),
    ),
    measure=measure,
)
