"""The server says `tobekilled` in the answer to an update."""

from collections.abc import Iterator

from benchmarks.scenario import Bench, Row, Sample, Scenario, WrongOutcomeError
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Have the answer to the update that says `running` carry the command."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(1000,), held=True)
            with station.pilot() as pilot:
                station.update(job, "starting")
                station.sandbox.command(job.job_id, "tobekilled")
                final = station.final(job, "failed")
                ended = pilot.wait(60.0, exit_code=None)
            told = [u["wall"] for u in station.updates(job) if "tobekilled" in str(u["answer"])]
            if not told or told[0] >= final["wall"]:
                raise WrongOutcomeError("no answer before the final update carried the command")
            yield {"tobekilled_failed": final["wall"] - told[0], "tobekilled_exit": ended - told[0]}


SCENARIO = Scenario(
    name="tobekilled",
    what="the server says tobekilled",
    rows=(
        Row(key="tobekilled_failed", what="tobekilled to the final update", in_use="3.4 s", limit=0.3),
        Row(key="tobekilled_exit", what="tobekilled to exit", in_use="156 s", limit=5.0),
    ),
    measure=measure,
)
