"""All scenarios, in the order of the table. To add one is a file in `scenarios/` and a name here."""

from importlib import import_module

from benchmarks.scenario import Scenario

_MODULES = (
    "start",
    "payload_start",
    "payload_end",
    "trivial_job",
    "further_jobs",
    "traffic",
    "signals",
    "tobekilled",
    "worker_recovery",
    "supervisor_recovery",
    "server_away",
    "memory",
    "idle",
    "large_file",
    "small_files",
    "profile",
)


def scenarios() -> dict[str, Scenario]:
    """Return the scenarios by name."""
    found = [import_module(f"benchmarks.scenarios.{module}").SCENARIO for module in _MODULES]
    return {scenario.name: scenario for scenario in found}
