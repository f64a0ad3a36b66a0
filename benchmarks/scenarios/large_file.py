"""One large input with its checksum, beside bare `cp` of the same file in the same run."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.listener import stage_in_s
from benchmarks.mover import move_in
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.station import Station


def measure(bench: Bench) -> Iterator[Sample]:
    """Copy it by `cp`, by the mover alone and through a whole pilot, in turn."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(bench.large_mib << 20,))
            (source,) = station.place.glob(f"storage/sandbox/test/*/*/input.{job.job_id}.*")
            cp_s = copied(source, station.place / "cp")
            mover_s = move_in([source], station.place / "mover")
            with station.pilot() as pilot:
                pilot_s = stage_in_s(pilot.bulletin(), job.job_id)
                pilot.wait(120.0)
                station.final(job, "finished")
            source.unlink()
            yield {
                "large_cp": cp_s,
                "large_mover": mover_s,
                "large_pilot": pilot_s,
                "large_mover_rate": cp_s / mover_s,
                "large_pilot_rate": cp_s / pilot_s,
            }


def copied(source: Path, target: Path) -> float:
    """Return how long `cp` takes; what it made is removed."""
    began = time.monotonic()
    subprocess.run(["cp", "-r", str(source), str(target)], check=True)
    seconds = time.monotonic() - began
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    return seconds


SCENARIO = Scenario(
    name="large-file",
    what="2 GiB in with checksum, beside cp (--large MIB)",
    rows=(
        Row(key="large_cp", what="large file: bare cp", in_use="1.1 s"),
        Row(key="large_mover", what="large file in, checksum verified, mover alone", limit=1.2),
        Row(key="large_mover_rate", what="... rate beside cp", unit="x", limit=0.95, judge="floor"),
        Row(key="large_pilot", what="large file in: stage-in of a pilot", in_use="4.2 s", limit=1.2),
        Row(key="large_pilot_rate", what="... rate beside cp", unit="x"),
    ),
    measure=measure,
    sized="large_mib",
)
