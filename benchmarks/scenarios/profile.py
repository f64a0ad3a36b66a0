"""Where the time to the first request goes: stages of the start, and the costliest imports of the supervisor."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from benchmarks.scenario import Bench, Row, Sample, Scenario, WrongOutcomeError
from benchmarks.station import Station

_TRACER = Path(__file__).parent.parent / "traced_pilot.py"
_TOP = 25
_REPEATS = 5
_PROCESSES = (
    ("supervisor", "import supervision.pilot"),
    ("reporter", "import workers.reporter.duty, workers.reporter.carrier"),
)


class _Event(NamedTuple):
    wall: float
    pid: int
    what: str


def measure(bench: Bench) -> Iterator[Sample]:
    """Trace the start of pilots; say the import times once."""
    for name, statement in _PROCESSES:
        bench.say(f"imports of the {name} (own ms, with all below ms, module):")
        for line in _imports(bench, statement):
            bench.say(f"  {line}")
    with Station(bench) as station:
        for number in range(bench.runs):
            trace = station.place / f"trace{number}"
            station.job()
            starter = (str(_TRACER), str(trace), str(bench.house.path / "supervisor.py"))
            with station.pilot(starter=starter) as pilot:
                pilot.wait(60.0)
            moments = _moments(trace, pilot.began)
            names = list(moments)
            yield {name: moments[name] - moments[before] for before, name in pairwise(names)}


def _moments(trace: Path, began: float) -> dict[str, float]:
    """Return in order when each stage of the way to the first request was over, in ms."""
    events = [_event(line) for line in trace.read_text().splitlines()]
    guardian = events[0].pid
    supervisor = _pid(events, "import supervision.pilot")
    reporter = _pid(events, "import workers.reporter.")

    def first(pid: int, what: str) -> float:
        for event in events:
            if event.pid == pid and event.what.startswith(what):
                return (event.wall - began) * 1000
        raise WrongOutcomeError(f"the trace has no {what}")

    return {
        "began": 0.0,
        "interpreter": first(guardian, "begin"),
        "guardian": first(guardian, "os.fork"),
        "forked": first(supervisor, "import supervision.pilot"),
        "supervisor_imports": first(supervisor, "sqlite3.connect"),
        "journal_and_bus": first(supervisor, "os.fork"),
        "reporter_fork": first(reporter, "import workers.reporter."),
        "reporter_duty": first(reporter, "import requests"),
        "requests_to_connect": first(reporter, "socket.connect"),
    }


def _pid(events: list[_Event], what: str) -> int:
    for event in events:
        if event.what.startswith(what):
            return event.pid
    raise WrongOutcomeError(f"the trace has no {what}")


def _event(line: str) -> _Event:
    wall, pid, what = line.split(" ", 2)
    return _Event(float(wall), int(pid), what.strip())


def _imports(bench: Bench, statement: str) -> list[str]:
    """Return the costliest imports of a statement by their own time: each module's least of some runs."""
    least: dict[str, tuple[int, int]] = {}
    for _ in range(_REPEATS):
        run = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", statement],
            cwd=bench.house.path,
            stderr=subprocess.PIPE,
            text=True,
            check=True,
        )
        for line in run.stderr.splitlines()[1:]:
            own, total, module = line.removeprefix("import time:").split("|")
            seen = least.get(module.strip(), (10**9, 10**9))
            least[module.strip()] = (min(int(own), seen[0]), min(int(total), seen[1]))
    whole = sum(own for own, _ in least.values())
    costliest = sorted(((own, total, module) for module, (own, total) in least.items()), reverse=True)[:_TOP]
    return [f"{whole / 1000:7.1f} {'':7} all {len(least)} modules"] + [
        f"{own / 1000:7.1f} {total / 1000:7.1f} {module}" for own, total, module in costliest
    ]


_STAGES = (
    ("interpreter", "interpreter up"),
    ("guardian", "guardian: its imports, to the fork"),
    ("forked", "supervisor: forked, to its first import"),
    ("supervisor_imports", "supervisor: imports, settings, place"),
    ("journal_and_bus", "supervisor: journal, bus, to the first worker's fork"),
    ("reporter_fork", "reporter: forked, clean, Hello"),
    ("reporter_duty", "reporter: imports of its duty"),
    ("requests_to_connect", "reporter: import of requests, to the first connect"),
)

SCENARIO = Scenario(
    name="profile",
    what="stages of the start and costliest imports",
    rows=tuple(Row(key=key, what=f"stage: {text}", unit="ms") for key, text in _STAGES),
    measure=measure,
)
