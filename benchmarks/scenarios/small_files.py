"""Many small inputs with their checksums, beside bare `cp` of the same files in the same run."""

import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks.listener import stage_in_s
from benchmarks.mover import move_in
from benchmarks.scenario import Bench, Row, Sample, Scenario
from benchmarks.scenarios.large_file import copied
from benchmarks.station import Station

_MIB = 1 << 20


def measure(bench: Bench) -> Iterator[Sample]:
    """Copy them by `cp`, by one mover and through a whole pilot, in turn."""
    with Station(bench) as station:
        for _ in range(bench.runs):
            job = station.job(inputs=(_MIB,) * bench.small_files)
            sources = sorted(station.place.glob(f"storage/sandbox/test/*/*/input.{job.job_id}.*"))
            flat = _linked(sources, station.place / "flat")
            cp_s = copied(flat, station.place / "cp")
            shutil.rmtree(flat)
            mover_s = move_in(sources, station.place / "mover")
            with station.pilot() as pilot:
                pilot_s = stage_in_s(pilot.bulletin(), job.job_id)
                pilot.wait(120.0)
                station.final(job, "finished")
            for source in sources:
                source.unlink()
            yield {"small_cp": cp_s, "small_mover": mover_s, "small_pilot": pilot_s}


def _linked(sources: list[Path], folder: Path) -> Path:
    """Return a folder with hard links to all sources, so that one `cp` can copy them."""
    folder.mkdir()
    for source in sources:
        (folder / source.name).hardlink_to(source)
    return folder


SCENARIO = Scenario(
    name="small-files",
    what="200 x 1 MiB in with checksum, beside cp (--small FILES)",
    rows=(
        Row(key="small_cp", what="small files: bare cp", in_use="0.08 s"),
        Row(key="small_mover", what="small files in, checksums verified, one mover", limit=0.3),
        Row(key="small_pilot", what="small files in: stage-in of a pilot", in_use="3.3 s", limit=0.3),
    ),
    measure=measure,
    sized="small_files",
)
