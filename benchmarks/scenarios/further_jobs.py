"""One trivial job after the other in the same pilot."""

from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Give a pilot of a queue with a timefloor its jobs and take the time between the first and the last final."""
    with Station(bench, "--timefloor", "60") as station:
        for _ in range(bench.runs):
            jobs = [station.job(inputs=(1000, 2000)) for _ in range(bench.further_jobs)]
            with station.pilot() as pilot:
                finals = [float(station.final(job, "finished", 120.0)["wall"]) for job in jobs]
                pilot.leave()
            each = (finals[-1] - finals[0]) / (len(jobs) - 1)
            yield {"further_job": each, "jobs_a_minute": 60.0 / each}


SCENARIO = Scenario(
    name="further-jobs",
    what="each further job in the same pilot",
    rows=(
        Row(key="further_job", what="each further job in the same pilot", in_use="16 s", limit=0.5),
        Row(key="jobs_a_minute", what="trivial jobs a minute", unit="/min"),
    ),
    measure=measure,
)
