"""The registry of duties: role -> where its class is. Imported only in the process that needs it."""

from collections.abc import Callable
from importlib import import_module

from host.processes import Identity
from settings.settings import Settings
from workers.worker import Desk, Duty

_DUTIES = {
    "reporter": ("workers.reporter.duty", "ReporterDuty"),
    "stager": ("workers.stager.duty", "StagerDuty"),
    "runner": ("workers.runner.duty", "RunnerDuty"),
    "monitor": ("workers.monitor.duty", "MonitorDuty"),
}
_NEEDS_GUARDIAN = frozenset({"runner"})


def preload(role: str) -> None:
    """Import a duty's code in the parent: its pages are then shared by all incarnations, and a restart imports nothing.

    Libraries that only one process needs (the reporter's `requests`) are imported by the duty itself, after the fork.
    """
    import_module(_DUTIES[role][0])


def make_duty(role: str, settings: Settings, guardian: Identity | None) -> Callable[[Desk], Duty]:
    """Return what makes the duty of `role` once the worker has said Hello."""

    def make(desk: Desk) -> Duty:
        module, name = _DUTIES[role]
        kind = getattr(import_module(module), name)
        duty: Duty = kind(desk, settings, guardian) if role in _NEEDS_GUARDIAN else kind(desk, settings)
        return duty

    return make
