"""TERM from the batch system at any moment of the payload: the code, the final update with the log, the exit."""

import random
import signal
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.scenario import Bench, Row, Sample, Scenario, WrongOutcomeError
from benchmarks.station import Job, Station
from benchmarks.waiting import wait_for

_CODE = 1201


def measure(bench: Bench) -> Iterator[Sample]:
    """Signal the guardian up to a second after the payload's start."""
    chance = random.Random(bench.seed)
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(1000,), held=True)
            with station.pilot() as pilot:
                job.started()
                time.sleep(chance.uniform(0.0, 1.0))
                sent = time.time()
                pilot.signal(signal.SIGTERM)
                final = station.final(job, "failed")
                ended = pilot.wait(60.0, exit_code=128 + signal.SIGTERM)
            if final["pilot_error_code"] != _CODE or "log." not in str(final.get("job_output_report")):
                raise WrongOutcomeError(f"final update with code {final['pilot_error_code']}, or without the log")
            first = _first_with_code(station, job)
            yield {
                "signal_code": first["wall"] - sent,
                "signal_final": final["wall"] - sent,
                "signal_exit": ended - sent,
            }


def _first_with_code(station: Station, job: Job) -> dict[str, Any]:
    def look() -> dict[str, Any] | None:
        return next((u for u in station.updates(job) if u.get("pilot_error_code") == _CODE), None)

    return wait_for(look, 1.0, "an update with the signal's code")


SCENARIO = Scenario(
    name="signals",
    what="TERM at any moment of the payload",
    rows=(
        Row(key="signal_code", what="signal to its code at the server", in_use="0.4 s, 3 of 16", limit=0.1),
        Row(key="signal_final", what="signal to final update with the log", in_use="116-196 s, no log", limit=2.0),
        Row(key="signal_exit", what="signal to exit", in_use="144-204 s", limit=3.0),
    ),
    measure=measure,
)
