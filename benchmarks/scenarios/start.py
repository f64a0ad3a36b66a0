"""From the start of the program to its first request and to its job request."""

from collections.abc import Iterator

from benchmarks.house import House
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Start pilots that take one trivial job each: compiled, and just unpacked without compile caches."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            sample = _run(station, bench.house)
            fresh = House(bench.scratch, compiled=False)
            bare = _run(station, fresh)
            fresh.remove()
            yield {**sample, "bare_first_request": bare["first_request"]}


def _run(station: Station, house: House) -> Sample:
    since = station.mark()
    job = station.job()
    with station.pilot(house=house) as pilot:
        pilot.wait(60.0)
        station.final(job, "finished")
        return {
            "first_request": min(entry["wall"] for entry in station.sandbox.record(since=since)) - pilot.began,
            "job_request": station.requested("acquire_jobs", since) - pilot.began,
        }


SCENARIO = Scenario(
    name="start",
    what="start to first request and to job request",
    rows=(
        Row(key="first_request", what="start to first request", in_use="0.62 s", limit=0.4),
        Row(key="job_request", what="start to job request", in_use="1.17 s", limit=0.4),
        Row(key="bare_first_request", what="start to first request, no compile caches of ours"),
    ),
    measure=measure,
)
