"""Facts that a worker tells while a task goes on (see schema.py)."""

from dataclasses import dataclass
from typing import TypeAlias

from ipc.parts import Attempt
from ipc.tasks import AcquireRanges, ReportRanges, StageTar


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadStarted:
    """The payload process exists."""

    pid: int
    started_wall: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the payload's tree uses; memory in kB as the server wants it, -1 where unknown; totals never go down.

    `cores` is the mean over the payload's life, `cores_now` that since the look before, -1 before the second one;
    `max_work_dir_bytes` is the largest size seen (panda-protocol 3.6).
    Totals of I/O are bytes, rates bytes per second, -1 where unknown. `leak`, `chi2` and `intersect` are those of a
    straight line through PSS + swap (kB/s, kB); `fitted` says that there is one. GPUs are as prmon names them.
    """

    cpu_time_s: int = 0
    cores: float = 0.0
    cores_now: float = -1.0
    processes: int = 0
    max_pss_kb: int = -1
    avg_pss_kb: int = -1
    max_rss_kb: int = -1
    avg_rss_kb: int = -1
    max_vmem_kb: int = -1
    avg_vmem_kb: int = -1
    max_swap_kb: int = -1
    avg_swap_kb: int = -1
    work_dir_bytes: int = 0
    max_work_dir_bytes: int = 0
    free_disk_bytes: int = 0
    wall_time_s: float = 0.0
    silence_s: float = 0.0
    tot_rchar: int = -1
    tot_wchar: int = -1
    tot_rbytes: int = -1
    tot_wbytes: int = -1
    rate_rchar: int = -1
    rate_wchar: int = -1
    rate_rbytes: int = -1
    rate_wbytes: int = -1
    fitted: bool = False
    leak: float = 0.0
    chi2: float = 0.0
    intersect: float = 0.0
    gpu_name: str = ""
    n_gpu: int = 0
    events_read: int = 0
    event_number: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitExceeded:
    """A limit of the Watch was passed: the job must end with this code."""

    code: int
    diag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempted:
    """The attempts at files that a task consisted of, told just before its end."""

    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The work needs something that another role does; the answer comes as a Heed under the same `name`.

    One that is asked for again while it is under way is done once.
    """

    name: str
    task: AcquireRanges | ReportRanges | StageTar


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelOpen:
    """The payload may start: its channel is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsCounted:
    """So many events are stored and accepted by the server."""

    n_events: int


Observation: TypeAlias = PayloadStarted | Usage | LimitExceeded | Attempted | Wanted | ChannelOpen | EventsCounted
