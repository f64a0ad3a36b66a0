"""What the kernel counts of a process."""

import contextlib
from pathlib import Path
from typing import NamedTuple


class Spent(NamedTuple):
    """Time on a core, and how often a thread of the process woke up from waiting."""

    cpu_s: float
    wakeups: int


def spent(pid: int) -> Spent:
    """Return the counters summed over all threads, ZeroMQ's own too."""
    cpu_ns = wakeups = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            cpu_ns += int((task / "schedstat").read_text().split()[0])
            lines = (task / "status").read_text().splitlines()
            wakeups += sum(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))
    return Spent(cpu_ns / 1e9, wakeups)


def pss_mib(pid: int) -> float:
    """Return the proportional share of memory in MiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024
