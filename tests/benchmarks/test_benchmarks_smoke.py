"""The benchmarks run: every scenario is known and complete, and one cheap one gives its numbers. No time is judged."""

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.registry import scenarios
from benchmarks.scenario import Row
from benchmarks.table import Result, lines

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks" / "scenarios"


def test_every_scenario_file_is_in_the_registry() -> None:
    files = {path.stem.replace("_", "-") for path in FOLDER.glob("*.py") if path.stem != "__init__"}
    assert set(scenarios()) == files


def test_scenarios_and_rows_have_names_of_their_own() -> None:
    for scenario in scenarios().values():
        keys = [row.key for row in scenario.rows]
        assert scenario.what
        assert keys
        assert len(set(keys)) == len(keys)


def test_budgets_of_the_design_are_all_there() -> None:
    with_budget = {row.key for scenario in scenarios().values() for row in scenario.rows if row.limit is not None}
    assert with_budget >= {
        "first_request",
        "job_request",
        "payload_start",
        "payload_end",
        "failed_payload_end",
        "trivial_job",
        "further_job",
        "signal_code",
        "signal_final",
        "signal_exit",
        "tobekilled_failed",
        "tobekilled_exit",
        "recovery",
        "recovery_worst",
        "adopted",
        "server_away",
        "large_pilot",
        "small_pilot",
        "memory",
        "idle_cpu",
        "idle_wakeups",
    }


@pytest.mark.parametrize(
    ("judge", "samples", "met"),
    [
        ("median", [1.0, 2.0, 9.0], True),
        ("median", [1.0, 3.0, 9.0], False),
        ("worst", [1.0, 3.0], False),
        ("floor", [1.0, 3.0], True),
        ("floor", [1.0, 1.0], False),
        ("median", [], None),
    ],
)
def test_a_budget_is_judged(judge: str, samples: list[float], met: bool | None) -> None:
    assert Row(key="k", what="w", limit=2.0, judge=judge).met(samples) is met


def test_a_row_without_samples_says_why() -> None:
    *_, last = lines([Result(Row(key="k", what="w"), [], "stopped: no sandbox")])
    assert "no sandbox" in last


def test_a_cheap_scenario_gives_its_numbers(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert main(["trivial-job", "--runs", "1", "--scratch", str(tmp_path), "--json", str(out)]) == 0
    rows = {row["key"]: row for row in json.loads(out.read_text())["rows"]}
    assert set(rows) == {"trivial_job", "trivial_job_cpu"}
    assert all(row["median"] > 0 for row in rows.values())
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "trivial-job" in capsys.readouterr().err
