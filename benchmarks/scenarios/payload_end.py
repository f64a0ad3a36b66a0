"""From the payload's end to the job's final update, of a good payload and of one that fails."""

from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Run a good payload and one with exit code 1 in turn."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            yield {"payload_end": _run(station, 0), "failed_payload_end": _run(station, 1)}


def _run(station: Station, exit_code: int) -> float:
    job = station.job(outputs=(1000, 2000), exit_code=exit_code)
    with station.pilot() as pilot:
        final = station.final(job, "failed" if exit_code else "finished")
        pilot.wait(60.0, exit_code=None)
        return float(final["wall"]) - job.ended()


SCENARIO = Scenario(
    name="payload-end",
    what="payload end to final update, good and failed payload",
    rows=(
        Row(key="payload_end", what="payload end to final update", in_use="2.5 s", limit=0.5),
        Row(key="failed_payload_end", what="failed payload's end to final update", in_use="118 s", limit=0.5),
    ),
    measure=measure,
)
