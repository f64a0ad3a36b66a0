"""How long the stager needs for local copies, beside the bare tool.

    python -m benchmarks.bench_movers [directory] [repetitions]

Prints medians and the ratio to `cp`. The directory should be on a memory file system: what is measured is the pilot,
not the disk. Each measurement starts with an idle stager, so the start of its children is part of it.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from host.clock import now
from ipc.parts import Copy, Transfer
from ipc.tasks import StageIn, StageOut
from movers import cp
from movers.base import Order
from movers.child import arguments
from tests.workers.stager.desk import Bench

GIB = 1 << 30


def make_files(folder: Path, count: int, size_bytes: int) -> list[tuple[Path, str]]:
    folder.mkdir()
    block = os.urandom(1 << 20)
    files = []
    for number in range(count):
        path, checksum = folder / f"f{number}", 1
        with path.open("wb") as stream:
            for _ in range(max(1, size_bytes >> 20)):
                data = block[:size_bytes]
                checksum = zlib.adler32(data, checksum)
                stream.write(data)
        files.append((path, f"adler32:{checksum:08x}"))
    return files


def timed(run: Callable[[], Callable[[], object] | None], prepare: Callable[[], object]) -> float:
    """One figure; what `run` returns is called afterwards, off the clock."""
    prepare()
    started = time.perf_counter()
    end = run()
    seconds = time.perf_counter() - started
    if end is not None:
        end()
    return seconds


def stage(files: list[tuple[Path, str]], target: Path, kind: str) -> Callable[[], object]:
    task_type = StageIn if kind == "input" else StageOut
    transfers = tuple(
        Transfer(
            lfn=path.name,
            kind=kind,
            copies=(Copy(copytool="cp", source=str(path), destination=str(target / path.name)),),
            size_bytes=path.stat().st_size,
            checksum=checksum,
        )
        for path, checksum in files
    )
    bench = Bench()
    lease = f"job/stage/{now().mono}/1"
    bench.duty.assign(lease, task_type(job_dir=str(files[0][0].parent), transfers=transfers), now())
    bench.run_until(lambda: lease in bench.desk.endings, 60)
    assert bench.desk.endings[lease].result is not None, bench.desk.endings[lease]
    return bench.close


def compare(title: str, files: list[tuple[Path, str]], work: Path, repetitions: int) -> None:
    target = work / "target"

    def clear() -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()

    def bare() -> None:
        subprocess.run(["cp", *(str(path) for path, _ in files), str(target)], check=True)

    def mover() -> None:
        for path, checksum in files:
            order = Order(source=str(path), destination=str(target / path.name), direction="in", checksum=checksum)
            cp.move(order, lambda _done: None)

    rows = {
        "bare cp": bare,
        "cp mover, this process": mover,
        "stager, in": lambda: stage(files, target, "input"),
        "stager, out": lambda: stage(files, target, "output"),
    }
    clear()
    bare()  # page tables and caches are warm for all
    figures: dict[str, list[float]] = {name: [] for name in rows}
    for _ in range(repetitions):  # in turns, so that whatever else the machine does hits all alike
        for name, run in rows.items():
            figures[name].append(timed(run, clear))
    base = statistics.median(figures["bare cp"])
    print(f"{title}; load {os.getloadavg()[0]:.1f}")
    for name, each in figures.items():
        median = statistics.median(each)
        print(f"  {name:24} median {median:7.3f} s  least {min(each):7.3f} s  x {median / base:.2f}")
    shutil.rmtree(target)


def start_of_a_child(repetitions: int) -> float:
    def start() -> None:
        pipe = subprocess.PIPE
        with subprocess.Popen(
            arguments("workers.stager.child"), stdin=pipe, stdout=pipe, start_new_session=True
        ) as child:
            child.stdin.write(b'{"id": 1, "kind": "remove", "order": {"root": "/none", "paths": []}}\n')
            child.stdin.flush()
            child.stdout.readline()
            figures.append(time.perf_counter() - started)
            child.stdin.close()

    figures: list[float] = []
    for _ in range(repetitions):
        started = time.perf_counter()
        start()
    return statistics.median(figures)


def main() -> None:
    parent = sys.argv[1] if len(sys.argv) > 1 else "/dev/shm"
    repetitions = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    with tempfile.TemporaryDirectory(dir=parent) as name:
        work = Path(name)
        print(f"start of a child to its first answer: {start_of_a_child(4 * repetitions) * 1000:.1f} ms")
        compare("one file of 2 GiB", make_files(work / "large", 1, 2 * GIB), work, repetitions)
        shutil.rmtree(work / "large")
        compare("200 files of 1 MiB", make_files(work / "many", 200, 1 << 20), work, repetitions)
        shutil.rmtree(work / "many")
        compare("2 files of 1 kB", make_files(work / "small", 2, 1000), work, repetitions)


if __name__ == "__main__":
    main()
