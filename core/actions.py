"""What the core asks the loop to do. Each can be done twice, or not at all, and the next step mends it."""

from dataclasses import dataclass
from typing import TypeAlias

from ipc.schema import ToWorker


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Fork a worker of `role`; it will say Hello."""

    role: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class KillWorker:
    """SIGKILL that incarnation and forget it: it is not waited for (DESIGN 2, the D state)."""

    role: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Send:
    """Hand a message to an incarnation; if it is not there its death is about to be seen."""

    role: str
    incarnation: int
    message: ToWorker


@dataclass(frozen=True, slots=True)
class EndPayload:
    """End the payload's tree from the supervisor itself: the last means, when no runner lives."""

    control_dir: str


@dataclass(frozen=True, slots=True)
class Say:
    """Write one line to the pilot's log."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The pilot is finished; the process ends with this code."""

    exit_code: int


Action: TypeAlias = StartWorker | KillWorker | Send | EndPayload | Say | Leave
