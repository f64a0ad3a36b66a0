"""From the job request to the payload's start, with two small inputs and the payload's script to fetch."""

from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Run jobs with two inputs."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            since = station.mark()
            job = station.job(inputs=(1000, 2000))
            with station.pilot() as pilot:
                pilot.wait(60.0)
                station.final(job, "finished")
                yield {"payload_start": job.started() - station.requested("acquire_jobs", since)}


SCENARIO = Scenario(
    name="payload-start",
    what="job request to payload start, two small inputs",
    rows=(Row(key="payload_start", what="job request to payload start, two small inputs", in_use="10.6 s", limit=0.3),),
    measure=measure,
)
