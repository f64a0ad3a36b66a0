"""The server is away when the final update is due."""

import time
from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Close the server's door, let the payload end, open it after a while."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(held=True)
            with station.pilot() as pilot:
                station.update(job, "running")
                station.sandbox.down()
                job.release()
                time.sleep(bench.away_s)
                station.sandbox.up()
                back = time.time()
                final = station.final(job, "finished", 120.0)
                pilot.wait(60.0)
            yield {"server_away": float(final["wall"]) - back}


SCENARIO = Scenario(
    name="server-away",
    what="server away at the final update (--away SECONDS)",
    rows=(Row(key="server_away", what="server back to final update delivered", in_use="job lost", limit=10.0),),
    measure=measure,
)
