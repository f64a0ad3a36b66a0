"""What the supervisor's loop can tell the core: each wake-up becomes some of these."""

from dataclasses import dataclass
from typing import TypeAlias

from ipc.schema import ToSupervisor


@dataclass(frozen=True, slots=True)
class Begun:
    """The supervisor stands: fresh, or with a journal (then the durable part of the state is already loaded)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A valid message of an incarnation that the bus knows."""

    role: str
    incarnation: int
    message: ToSupervisor


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """A worker process ended: `exit_code` as multiprocess tells it, negative for a signal."""

    role: str
    incarnation: int
    exit_code: int


@dataclass(frozen=True, slots=True)
class SignalArrived:
    """A trapped signal was read."""

    number: int
    name: str
    sender_pid: int = 0


@dataclass(frozen=True, slots=True)
class GuardianDied:
    """The slot is gone."""


@dataclass(frozen=True, slots=True)
class Suspended:
    """The whole host or pilot stood still for `gap_s`: nobody was silent, time was (pitfall P96)."""

    gap_s: float


@dataclass(frozen=True, slots=True)
class Tick:
    """A deadline has passed."""


Event: TypeAlias = Begun | Heard | WorkerDied | SignalArrived | GuardianDied | Suspended | Tick
