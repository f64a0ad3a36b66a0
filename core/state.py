"""The supervisor's whole state: the ledger (durable) and what is only true while this supervisor lives."""

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from core.actions import Action, Say
from host.clock import Now
from ipc.schema import ROLES, Progress
from jobs.ledger import Ledger
from settings.settings import Settings

#: Incarnations of one supervisor lie within its generation, so no number is ever used twice.
INCARNATIONS_PER_GENERATION = 100_000


class Phase(Enum):
    """Where a worker is in its life."""

    ABSENT = "absent"  # to be started as soon as `start_at` has come
    STARTING = "starting"  # forked, has not said Hello
    RUNNING = "running"
    STOPPED = "stopped"  # told to stop: nothing is started again (pitfall P29)
    SPENT = "spent"  # its restart budget is used up


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """One role's worker. `silent_at` is when its silence becomes a hang."""

    role: str
    phase: Phase = Phase.ABSENT
    incarnation: int = 0
    pid: int = 0
    start_at: float = 0.0
    silent_at: float = 0.0
    deaths: tuple[float, ...] = ()
    restarts: int = 0
    last_chance: bool = False
    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityWatch:
    """When proxy or token are looked at next (monotonic, infinite for never); `cleared`: a job may be asked for."""

    check_at: float = 0.0
    renew_at: float = 0.0
    cleared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """The state that `step` maps to the next."""

    settings: Settings
    main_dir: str
    ledger: Ledger = field(default_factory=Ledger)
    workers: dict[str, Worker] = field(default_factory=lambda: {role: Worker(role=role) for role in ROLES})
    forks: int = 0
    identity: IdentityWatch = IdentityWatch()
    fresh_log_at: float = 0.0
    pulse_at: float = 0.0
    server_update_wall: float = 0.0
    status_until_at: float = 0.0
    stopping: bool = False
    stop_deadline_at: float = 0.0
    traces_until_at: float = 0.0
    left: bool = False
    exit_code: int = 0


class Turn:
    """One step under way: the pilot as it is so far, the moment, the actions collected."""

    __slots__ = ("actions", "now", "pilot")

    def __init__(self, pilot: Pilot, now: Now) -> None:
        self.pilot = pilot
        self.now = now
        self.actions: list[Action] = []

    @property
    def ledger(self) -> Ledger:
        """Return the durable part as it is so far."""
        return self.pilot.ledger

    @property
    def settings(self) -> Settings:
        """Return the settings."""
        return self.pilot.settings

    def do(self, action: Action) -> None:
        """Ask the loop for `action`."""
        self.actions.append(action)

    def say(self, level: int, text: str) -> None:
        """Write a line to the pilot's log."""
        self.actions.append(Say(level, text))

    def change(self, **changes: Any) -> None:
        """Change fields of the pilot."""
        self.pilot = replace(self.pilot, **changes)

    def change_ledger(self, **changes: Any) -> None:
        """Change fields of the ledger; the loop commits it before it acts."""
        self.pilot = replace(self.pilot, ledger=replace(self.pilot.ledger, **changes))

    def put_worker(self, worker: Worker) -> None:
        """Set a role's worker."""
        self.pilot = replace(self.pilot, workers={**self.pilot.workers, worker.role: worker})
