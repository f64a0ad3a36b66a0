"""`python -m benchmarks`: measure, with lines of progress, and print the table."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.house import House
from benchmarks.registry import scenarios
from benchmarks.scenario import Bench, Row, Scenario, WrongOutcomeError
from benchmarks.table import Result, as_json, lines
from sandbox.client import SandboxError

#: Fields of Bench and the options that give them.
_OPTIONS = {"large_mib": "large", "small_files": "small"}


def parser() -> argparse.ArgumentParser:
    """Return the parser of all options."""
    options = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = options.add_argument
    add("scenarios", nargs="*", metavar="SCENARIO", help="which; all without any (--list names them)")
    add("--list", action="store_true", help="name the scenarios and end")
    add("--runs", type=int, default=5, metavar="N", help="runs of each scenario (%(default)s)")
    add("--json", type=Path, metavar="FILE", help="write the results to FILE as JSON; - is standard output")
    add("--scratch", type=Path, metavar="DIR", help="directory to work in; a new one is made below it")
    add("--idle", type=float, default=60.0, metavar="S", help="seconds to watch an idle pilot (%(default)s)")
    add("--away", type=float, default=5.0, metavar="S", help="seconds for which the server is away (%(default)s)")
    add("--large", type=int, default=2048, metavar="MIB", help="size of the large file (%(default)s)")
    add("--small", type=int, default=200, metavar="N", help="number of small files (%(default)s)")
    add("--jobs", type=int, default=20, metavar="N", help="jobs in one pilot (%(default)s)")
    add("--seed", type=int, default=1, metavar="N", help="of the moments of signals (%(default)s)")
    add("--cold", action="store_true", help="measure a pilot without compile caches of its own")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and return 0, or 1 when a scenario could not be measured."""
    options = parser().parse_args(arguments)
    known = scenarios()
    if options.list:
        for scenario in known.values():
            print(f"{scenario.name:20} {scenario.what}")
        return 0
    unknown = set(options.scenarios) - set(known)
    if unknown:
        print(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [known[name] for name in options.scenarios or known]
    scratch = Path(tempfile.mkdtemp(prefix="bench-", dir=options.scratch))
    try:
        bench = Bench(
            scratch=scratch,
            house=House(scratch, compiled=not options.cold),
            runs=options.runs,
            idle_s=options.idle,
            away_s=options.away,
            large_mib=options.large,
            small_files=options.small,
            further_jobs=options.jobs,
            seed=options.seed,
            say=_say,
        )
        results = [result for scenario in chosen for result in measure(scenario, bench)]
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    _report(results, options.json)
    return 1 if any(result.trouble for result in results) else 0


def measure(scenario: Scenario, bench: Bench) -> list[Result]:
    """Run one scenario; a wrong outcome ends it, what was measured before is kept."""
    results = {row.key: Result(row) for row in _rows(scenario, bench)}
    began = time.monotonic()
    try:
        for number, sample in enumerate(scenario.measure(bench), start=1):
            for key, value in sample.items():
                results[key].samples += value if isinstance(value, list) else [value]
            bench.say(f"{scenario.name}: run {number}, {time.monotonic() - began:.1f} s, load {os.getloadavg()[0]:.2f}")
    except (WrongOutcomeError, SandboxError) as error:
        bench.say(f"{scenario.name}: {error}")
        for result in results.values():
            result.trouble = f"stopped: {error}"[:100]
    return list(results.values())


def _rows(scenario: Scenario, bench: Bench) -> list[Row]:
    """Return the rows; without their budgets when those are for another size than the one measured."""
    if not scenario.sized or getattr(bench, scenario.sized) == parser().get_default(_OPTIONS[scenario.sized]):
        return list(scenario.rows)
    return [replace(row, limit=None) for row in scenario.rows]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(results: list[Result], json_path: Path | None) -> None:
    load = os.getloadavg()
    machine = {"cores": os.cpu_count(), "load": [round(value, 2) for value in load], "python": sys.version.split()[0]}
    if json_path is not None:
        text = json.dumps({"machine": machine, "wall": time.time(), "rows": as_json(results)}, indent=1)
        if str(json_path) == "-":
            print(text)
            return
        json_path.write_text(text + "\n")
    print("\n".join(lines(results)))
    print(f"\n{machine['cores']} cores, load {load[0]:.2f} {load[1]:.2f} {load[2]:.2f}, Python {machine['python']}")


if __name__ == "__main__":
    sys.exit(main())
