"""What a benchmark is: a scenario measures samples, its rows say what they mean and what they may be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.house import House

#: One run's values by row key; a list where one run gives several.
Sample = dict[str, float | list[float]]


class WrongOutcomeError(Exception):
    """The job did not end as it should have: its times mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table.

    Attributes:
        key: name in the samples and in the JSON output.
        what: what is measured, for people.
        unit: "s", "ms", "KiB", "MiB", "%", "/s", "x", "" for a mere number.
        in_use: what the pilot in use was measured at, as text.
        limit: the budget; None for a line that only informs.
        judge: what is held against the limit: "median", "worst" (the largest) or "floor" (the median must reach it).
    """

    key: str
    what: str
    unit: str = "s"
    in_use: str = ""
    limit: float | None = None
    judge: str = "median"

    def met(self, samples: list[float]) -> bool | None:
        """Tell whether the budget is met, None without one."""
        if self.limit is None or not samples:
            return None
        if self.judge == "floor":
            return median(samples) >= self.limit
        return (max(samples) if self.judge == "worst" else median(samples)) <= self.limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What a scenario is given: a pilot to start, a place to work in, how often and how long."""

    scratch: Path
    house: House
    runs: int = 5
    idle_s: float = 60.0
    away_s: float = 5.0
    large_mib: int = 2048
    small_files: int = 200
    further_jobs: int = 20
    seed: int = 1
    say: Callable[[str], None] = field(default=print)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One file of `scenarios/`; `sized` names the field of Bench for whose default the budgets are."""

    name: str
    what: str
    rows: tuple[Row, ...]
    measure: Callable[[Bench], Iterator[Sample]]
    sized: str = ""
