"""Memory of all pilot processes (PSS: shared pages are divided among those who share them) while a payload sleeps."""

import time
from collections.abc import Iterator

from benchmarks.pilot import WORKERS
from benchmarks.proc import pss_mib
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station

SIX = ("guardian", "supervisor", *WORKERS)
_SETTLE_S = 3.0


def measure(bench: Bench) -> Iterator[Sample]:
    """Look at each process once all have settled."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(1000,), held=True)
            with station.pilot() as pilot:
                job.started()
                pids = pilot.whole()
                time.sleep(_SETTLE_S)
                each = {role: pss_mib(pids[role]) for role in SIX}
                everything = sum(pss_mib(pid) for pid in pilot.roles().values())
                job.release()
                pilot.wait(60.0)
            yield {"memory": sum(each.values()), "memory_shim": everything, **each}


SCENARIO = Scenario(
    name="memory",
    what="memory of all pilot processes while a payload sleeps",
    rows=(
        Row(key="memory", what="memory of the six processes (PSS)", unit="MiB", in_use="28 MiB (one)", limit=48.0),
        Row(key="memory_shim", what="... with the shim and mover children", unit="MiB"),
        *(Row(key=role, what=f"... {role}", unit="MiB") for role in SIX),
    ),
    measure=measure,
)
