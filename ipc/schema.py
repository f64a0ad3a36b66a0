"""All messages of the bus (DESIGN 3): the envelope; what is in it lies beside, in parts, tasks, results, observations.

Frozen dataclasses; fields are str, int, float, bool, tuples of these, and other messages. Times are seconds, sizes are
bytes, names carry the unit. `Hello` carries SCHEMA_VERSION; a peer of another version is refused by the supervisor.
Every task can be carried out twice with the same outcome: that is what lets a lease be issued again after a death.
"""

from dataclasses import dataclass
from typing import TypeAlias

from ipc.observations import Observation
from ipc.results import RangesAcquired, RangesReported, Result, Staged
from ipc.tasks import Task

SCHEMA_VERSION = 1

#: The four roles, in the order in which they are started (and, reversed, stopped).
ROLES = ("reporter", "stager", "runner", "monitor")


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the work under a lease is; for people and for the journal's readers, never for decisions."""

    lease: str
    step: str
    name: str = ""
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign:
    """supervisor -> worker: carry out `task` under `lease` ("<task key>/<attempt>/<incarnation>")."""

    lease: str
    task: Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel:
    """supervisor -> worker: stop the work under `lease`, answer nothing; unknown leases are ignored."""

    lease: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heed:
    """supervisor -> worker: what became of the `name` that the work under `lease` wanted, or a word about the job.

    A result, or a catalogue code and its text. The words that nobody asked for: "drain", hand no more events out.
    """

    lease: str
    name: str
    result: Staged | RangesAcquired | RangesReported | None = None
    code: int = 0
    diag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """supervisor -> worker: leave; whatever is under way is given up (the payload is never touched)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """worker -> supervisor: ready to work."""

    schema: int
    role: str
    incarnation: int
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """worker -> supervisor: sign of life from the worker's own loop, with what moves."""

    progress: tuple[Progress, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """worker -> supervisor: a fact about the work under `lease`."""

    lease: str
    observation: Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """worker -> supervisor: the work under `lease` is done."""

    lease: str
    result: Result


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """worker -> supervisor: the work under `lease` failed with a code; `retry` when doing it again may help."""

    lease: str
    code: int
    diag: str
    retry: bool = False


ToWorker: TypeAlias = Assign | Cancel | Heed | Stop
ToSupervisor: TypeAlias = Hello | Beat | Observed | Done | Failed
Message: TypeAlias = ToWorker | ToSupervisor
