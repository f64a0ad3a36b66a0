"""What the pilot itself costs while a payload sleeps: time on a core and wake-ups."""

import time
from collections.abc import Iterator

from benchmarks.proc import Spent, spent
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.scenarios.memory import SIX
from benchmarks.station import Station

_SETTLE_S = 3.0
_RUNS = 2


def measure(bench: Bench) -> Iterator[Sample]:
    """Compare the kernel's counters of all threads at two moments; two runs, as each takes a minute."""
    with Station(bench) as station:
        for _ in range(min(bench.runs, _RUNS)):
            job = station.job(inputs=(1000,), held=True)
            with station.pilot() as pilot:
                job.started()
                pids = {role: pid for role, pid in pilot.whole().items() if role in (*SIX, "shim")}
                time.sleep(_SETTLE_S)
                began = time.monotonic()
                before = {role: spent(pid) for role, pid in pids.items()}
                time.sleep(bench.idle_s)
                after = {role: spent(pid) for role, pid in pids.items()}
                seconds = time.monotonic() - began
                job.release()
                pilot.wait(60.0)
            used = {role: Spent(*(b - a for a, b in zip(before[role], after[role], strict=True))) for role in pids}
            yield {
                "idle_cpu": 100.0 * sum(entry.cpu_s for entry in used.values()) / seconds,
                "idle_wakeups": sum(entry.wakeups for entry in used.values()) / seconds,
                **{f"wakeups_{role}": entry.wakeups / seconds for role, entry in used.items()},
                **{f"cpu_{role}": 100.0 * entry.cpu_s / seconds for role, entry in used.items()},
            }


SCENARIO = Scenario(
    name="idle",
    what="CPU and wake-ups of the pilot while a payload sleeps (--idle SECONDS)",
    rows=(
        Row(key="idle_cpu", what="idle: share of a core", unit="%", in_use="0.87 %", limit=0.3),
        Row(key="idle_wakeups", what="idle: wake-ups", unit="/s", in_use="44 /s", limit=5.0),
        *(Row(key=f"wakeups_{role}", what=f"... {role}", unit="/s") for role in (*SIX, "shim")),
        *(Row(key=f"cpu_{role}", what=f"... {role}", unit="%") for role in (*SIX, "shim")),
    ),
    measure=measure,
)
