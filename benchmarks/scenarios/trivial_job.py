"""A whole trivial job, from the program's start to its exit, without the payload's own time."""

from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Run jobs of two small inputs and one output."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(1000, 2000))
            with station.pilot() as pilot:
                ended = pilot.wait(60.0)
                station.final(job, "finished")
                yield {"trivial_job": ended - pilot.began - (job.ended() - job.started())}


SCENARIO = Scenario(
    name="trivial-job",
    what="a whole trivial job, start to exit",
    rows=(
        Row(key="trivial_job", what="whole trivial job, start to exit, without payload", in_use="65 s", limit=1.5),
    ),
    measure=measure,
)
