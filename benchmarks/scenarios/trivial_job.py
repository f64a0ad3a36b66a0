"""A whole trivial job, from the program's start to its exit, without the payload's own time.

The CPU time of all its processes is the one number here that a busy machine hardly changes.
"""

import resource
from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Run jobs of two small inputs and one output."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(1000, 2000))
            before = _cpu_s()
            with station.pilot() as pilot:
                ended = pilot.wait(60.0)
                station.final(job, "finished")
                yield {
                    "trivial_job": ended - pilot.began - (job.ended() - job.started()),
                    "trivial_job_cpu": _cpu_s() - before,
                }


def _cpu_s() -> float:
    """Return the CPU time of all children that were waited for, and of theirs; the server is not among them yet."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


SCENARIO = Scenario(
    name="trivial-job",
    what="a whole trivial job, start to exit",
    rows=(
        Row(key="trivial_job", what="whole trivial job, start to exit, without payload", in_use="65 s", limit=1.5),
        Row(key="trivial_job_cpu", what="... CPU time of all processes, payload too"),
    ),
    measure=measure,
)
