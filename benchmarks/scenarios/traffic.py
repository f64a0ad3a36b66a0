"""What a job costs the server: requests, connections and bytes, of a first job and of each further one.

Counted on the wire, headers included, without TLS. The job has two inputs and two outputs and its payload ends at once,
so that there is no heartbeat: each of those is one more request. The script of the payload comes from another server
and is not counted.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

from benchmarks.meter import Meter
from benchmarks.scenario import Bench, Row, Sample, Scenario, WrongOutcomeError
from benchmarks.station import Job, Station

_JOBS = 4
_KIB = 1024.0


def measure(bench: Bench) -> Iterator[Sample]:
    """Run pilots of one job and of several in each dialect; what the latter have more is the further jobs'."""
    options = ("--dialects", "both")
    with Station(bench, *options) as once, Station(bench, *options, "--timefloor", "60") as often:
        for _ in range(bench.runs):
            sample: Sample = {}
            for dialect in ("v1", "legacy"):
                sample.update((f"{key}_{dialect}", value) for key, value in _pilot(once, dialect, 1).items())
                # Both of these make one more request, which brings no job.
                one, several = _pilot(often, dialect, 1), _pilot(often, dialect, _JOBS)
                sample.update((f"further_{key}_{dialect}", (several[key] - one[key]) / (_JOBS - 1)) for key in one)
            yield sample


def _pilot(station: Station, dialect: str, jobs: int) -> dict[str, float]:
    with Meter(station.sandbox.url) as meter:
        made = [station.job(inputs=(1000, 2000), outputs=(1000, 2000)) for _ in range(jobs)]
        since = station.mark()
        url = urlsplit(meter.url)
        described = f"{meter.url}/cache/schedconfig/{{pandaqueue}}.all.json"
        with station.pilot(
            *("--server-api", dialect, "--url", f"http://{url.hostname}", "-p", str(url.port)),
            *("--queuedata-url", described, "--storagedata-url", f"{meter.url}/cache/ddmendpoints.json"),
        ) as pilot:
            for job in made:
                _ended_well(station, job)
            pilot.wait(60.0)
        return {
            "requests": float(len(station.sandbox.record(since=since))),
            "connections": float(meter.connections),
            "sent": meter.sent_bytes / _KIB,
            "received": meter.received_bytes / _KIB,
        }


def _ended_well(station: Station, job: Job) -> None:
    """Wait for the job's final update, in whichever dialect.

    Raises:
        WrongOutcomeError: none in time, or another one than wanted.
    """
    try:
        seen = station.sandbox.wait_final(job.job_id, 60.0)
    except TimeoutError as error:
        raise WrongOutcomeError(f"no final update: {error}") from None
    if seen["state"] != "finished" or seen["verdict"]["status"] != "finished":
        raise WrongOutcomeError(f"the job is {seen['state']} ({seen['verdict']})")


def _rows(dialect: str) -> tuple[Row, ...]:
    texts = (
        ("requests", "requests of a pilot of one job, {}", ""),
        ("connections", "... in so many connections", ""),
        ("sent", "... sent", "KiB"),
        ("received", "... received", "KiB"),
        ("further_requests", "requests of each further job, {}", ""),
        ("further_connections", "... in so many more connections", ""),
        ("further_sent", "... sent", "KiB"),
        ("further_received", "... received", "KiB"),
    )
    return tuple(
        Row(key=f"{key}_{dialect}", what=text.format(dialect), unit=unit, in_use="not recorded")
        for key, text, unit in texts
    )


SCENARIO = Scenario(
    name="traffic",
    what="requests, connections and bytes of a job, in both dialects",
    rows=(*_rows("v1"), *_rows("legacy")),
    measure=measure,
)
