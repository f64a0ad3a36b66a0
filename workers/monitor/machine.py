"""The monitor's decisions: samples in, usage and passed limits out. No I/O, no clock.

Times are seconds of CLOCK_BOOTTIME (it goes on while the host sleeps, as the batch system's clock does), except `dt_s`,
which comes from CLOCK_MONOTONIC: time in which nothing could happen is no silence.
"""

from dataclasses import dataclass, field, replace

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from ipc.observations import LimitExceeded, Usage
from ipc.tasks import Watch
from workers.monitor.fit import Fit
from workers.monitor.summary import OwnWords

#: Less than this is no sign of life: a share of one core, and bytes read and written per second.
IDLE_CORES = 0.005
IDLE_BYTES_PER_S = 1024.0
#: A change of this share of any number is worth telling before the minute is over.
NOTICEABLE = 0.05
TELL_AFTER_S = 60.0
MEMORY_KINDS = ("pss", "rss", "vmem", "swap")
IO_KINDS = ("rchar", "wchar", "rbytes", "wbytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeSample:
    """What the payload's processes use in one moment; memory in kB, -1 where it was not read.

    `io_bytes` is what went through any call, `io` the four figures of IO_KINDS, () when they were not read.
    `another`: the first sample of a process that follows one that was seen; its totals begin anew.
    """

    age_s: float
    processes: int
    cpu_s: float
    io_bytes: int
    io: tuple[int, ...] = ()
    pss_kb: int = -1
    rss_kb: int = -1
    vmem_kb: int = -1
    swap_kb: int = -1
    another: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectorySample:
    """The job directory: what it occupies, and a mark that changes when a file in it does."""

    size_bytes: int = 0
    touched: tuple[float, int, int] = (0.0, 0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One look: `tree` None when there is no payload (yet, or any more), `free_disk_bytes` -1 when not known.

    `outputs` are (size, time) of what the payload writes to all the time: stdout, stderr, then the job's outputs. `own`
    is what its tools say.
    `kill_file`: somebody asks for the payload's end.
    """

    boot_s: float
    dt_s: float
    period_s: float
    tree: TreeSample | None = None
    directory: DirectorySample = DirectorySample()
    outputs: tuple[tuple[int, float], ...] = ()
    free_disk_bytes: int = -1
    own: OwnWords = field(default_factory=OwnWords)
    kill_file: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """One kind of memory over time; a peak counts when two samples in a row reach it (a fork doubles for a moment)."""

    last_kb: int = -1
    peak_kb: int = -1
    total_kb: int = 0
    count: int = 0

    def after(self, value_kb: int) -> "Memory":
        """Return the memory's story after one more sample; one that was not read changes nothing."""
        if value_kb < 0:
            return self
        return Memory(
            last_kb=value_kb,
            peak_kb=max(self.peak_kb, min(self.last_kb, value_kb)),
            total_kb=self.total_kb + value_kb,
            count=self.count + 1,
        )

    @property
    def average_kb(self) -> int:
        """The mean of all samples, -1 without any."""
        return self.total_kb // self.count if self.count else -1


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What is remembered of a job from sample to sample; `until_boot_s` is the slot's end, 0 for none."""

    until_boot_s: float = 0.0
    cpu_s: float = 0.0
    cores_now: float = -1.0
    tree_cpu_s: float = -1.0
    io_bytes: int = -1
    io: tuple[int, ...] = ()
    tree_io: tuple[int, ...] = ()
    fit: Fit = field(default_factory=Fit)
    own: OwnWords = field(default_factory=OwnWords)
    pss: Memory = Memory()
    rss: Memory = Memory()
    vmem: Memory = Memory()
    swap: Memory = Memory()
    wall_s: float = 0.0
    processes: int = 0
    silence_s: float = 0.0
    seen: tuple[object, ...] = ()
    size_bytes: int = 0
    max_size_bytes: int = 0
    free_disk_bytes: int = 0
    passed: frozenset[str] = frozenset()
    told: Usage | None = None
    told_at_s: float = 0.0


def absorb(state: State, sample: Sample) -> State:
    """Return the state after a sample. CPU and wall time, and peaks, never go down."""
    state = replace(
        state,
        size_bytes=sample.directory.size_bytes,
        max_size_bytes=max(state.max_size_bytes, sample.directory.size_bytes),
        free_disk_bytes=max(0, sample.free_disk_bytes),
        own=sample.own,
    )
    seen: tuple[object, ...] = (sample.directory.touched, sample.outputs)
    tree = sample.tree
    if tree is None:
        return replace(state, silence_s=0.0, seen=seen, processes=0, tree_cpu_s=-1.0, io_bytes=-1, tree_io=())
    if tree.another:
        state = replace(state, tree_cpu_s=0.0, io_bytes=0, tree_io=(0,) * len(IO_KINDS))
    # The sum over the tree falls when a process goes without being waited for; what it used stays counted.
    known = state.tree_cpu_s >= 0
    used_s = max(0.0, tree.cpu_s - state.tree_cpu_s) if known else max(0.0, tree.cpu_s - state.cpu_s)
    moved = max(0, tree.io_bytes - state.io_bytes) if state.io_bytes >= 0 else 0
    dt_s = max(sample.dt_s, 0.001)
    active = seen != state.seen or used_s / dt_s >= IDLE_CORES or moved / dt_s >= IDLE_BYTES_PER_S
    # A gap much longer than planned: the host or this process was stopped, and the payload with it.
    silent_s = min(sample.dt_s, 2 * sample.period_s)
    return replace(
        state,
        cpu_s=state.cpu_s + used_s,
        cores_now=used_s / dt_s if known else state.cores_now,
        tree_cpu_s=tree.cpu_s,
        io_bytes=tree.io_bytes,
        io=_grown(state, tree.io),
        tree_io=tree.io or state.tree_io,
        fit=state.fit.after(tree.age_s, tree.pss_kb + tree.swap_kb) if tree.pss_kb > 0 <= tree.swap_kb else state.fit,
        wall_s=max(state.wall_s, tree.age_s),
        processes=tree.processes,
        silence_s=0.0 if active or not known else state.silence_s + silent_s,
        seen=seen,
        pss=state.pss.after(tree.pss_kb),
        rss=state.rss.after(tree.rss_kb),
        vmem=state.vmem.after(tree.vmem_kb),
        swap=state.swap.after(tree.swap_kb),
    )


def _grown(state: State, now: tuple[int, ...]) -> tuple[int, ...]:
    """Return the totals of I/O after a sample; what processes that are gone moved stays counted, as with CPU time."""
    if not now:
        return state.io
    if not state.io:
        return now
    before = state.tree_io or state.io
    return tuple(total + max(0, new - old) for total, new, old in zip(state.io, now, before, strict=True))


def usage(state: State) -> Usage:
    """Return what is told to the supervisor; `cores` is the mean over the payload's life."""
    flow = dict(zip(IO_KINDS, state.io, strict=True)) if state.io else {}
    return state.own.over(Usage(
        cpu_time_s=int(state.cpu_s),
        cores=round(state.cpu_s / state.wall_s, 2) if state.wall_s > 0 else 0.0,
        cores_now=round(state.cores_now, 2),
        processes=state.processes,
        max_pss_kb=state.pss.peak_kb,
        avg_pss_kb=state.pss.average_kb,
        max_rss_kb=state.rss.peak_kb,
        avg_rss_kb=state.rss.average_kb,
        max_vmem_kb=state.vmem.peak_kb,
        avg_vmem_kb=state.vmem.average_kb,
        max_swap_kb=state.swap.peak_kb,
        avg_swap_kb=state.swap.average_kb,
        work_dir_bytes=state.size_bytes,
        max_work_dir_bytes=state.max_size_bytes,
        free_disk_bytes=state.free_disk_bytes,
        wall_time_s=round(state.wall_s, 1),
        silence_s=round(state.silence_s, 1),
        tot_rchar=flow.get("rchar", -1),
        tot_wchar=flow.get("wchar", -1),
        tot_rbytes=flow.get("rbytes", -1),
        tot_wbytes=flow.get("wbytes", -1),
        rate_rchar=_rate(flow, "rchar", state.wall_s),
        rate_wchar=_rate(flow, "wchar", state.wall_s),
        rate_rbytes=_rate(flow, "rbytes", state.wall_s),
        rate_wbytes=_rate(flow, "wbytes", state.wall_s),
        fitted=state.fit.is_good,
        leak=round(state.fit.slope, 3),
        chi2=round(state.fit.chi2, 4),
        intersect=round(state.fit.intersect, 1),
    ))  # fmt: skip


def _rate(flow: dict[str, int], kind: str, wall_s: float) -> int:
    return int(flow[kind] / wall_s) if flow and wall_s > 0 else -1


def to_tell(state: State, boot_s: float) -> tuple[State, Usage | None]:
    """Return the usage when it is worth telling: a noticeable change, or a minute without a word."""
    new = usage(state)
    if state.told is not None and boot_s - state.told_at_s < TELL_AFTER_S and not _noticeable(state.told, new):
        return state, None
    return replace(state, told=new, told_at_s=boot_s), new


#: Figures whose change is told before the minute is over.
_NOTICED = ("cpu_time_s", "processes", "max_pss_kb", "max_rss_kb", "work_dir_bytes", "free_disk_bytes", "n_gpu")


def _noticeable(old: Usage, new: Usage) -> bool:
    # Wall time and silence always change; they come along with the rest.
    for name in _NOTICED:
        before, after = getattr(old, name), getattr(new, name)
        if abs(after - before) > NOTICEABLE * abs(before):
            return True
    return False


def passed_limits(state: State, watch: Watch, sample: Sample) -> tuple[State, tuple[LimitExceeded, ...]]:
    """Return the limits that were passed with this sample, each told once."""
    found = [
        (name, LimitExceeded(code=code, diag=diagnostics(code, detail)))
        for name, code, holds, detail in _limits(state, watch, sample)
        if not holds and name not in state.passed
    ]
    state = replace(state, passed=state.passed | {name for name, _ in found})
    return state, tuple(limit for _, limit in found)


def _limits(state: State, watch: Watch, sample: Sample) -> list[tuple[str, int, bool, str]]:
    """Return (name, code, holds, detail) of each limit."""
    running = sample.tree is not None
    free = sample.free_disk_bytes
    sizes = [size for size, _ in sample.outputs]
    stdout_bytes, largest_bytes = max(sizes[:1], default=0), max(sizes[2:], default=0)
    return [
        (
            "free disk",
            ErrorCode.NOLOCALSPACE,
            not watch.free_disk_bytes or free < 0 or free >= watch.free_disk_bytes,
            f"{free} bytes left, {watch.free_disk_bytes} needed",
        ),
        (
            "work directory",
            ErrorCode.USERDIRTOOLARGE,
            not watch.work_dir_bytes or state.size_bytes <= watch.work_dir_bytes,
            f"{state.size_bytes} bytes, limit {watch.work_dir_bytes}",
        ),
        (
            "memory",
            ErrorCode.PAYLOADEXCEEDMAXMEM,
            not watch.memory_kb or not running or state.pss.peak_kb <= watch.memory_kb,
            f"PSS of {state.pss.peak_kb} kB twice in a row, limit {watch.memory_kb} kB",
        ),
        (
            "stdout",
            ErrorCode.STDOUTTOOBIG,
            not watch.stdout_bytes or not running or stdout_bytes <= watch.stdout_bytes,
            f"{stdout_bytes} bytes, limit {watch.stdout_bytes}",
        ),
        (
            "output size",
            ErrorCode.OUTPUTFILETOOLARGE,
            not watch.output_bytes or not running or largest_bytes <= watch.output_bytes,
            f"{largest_bytes} bytes, limit {watch.output_bytes}",
        ),
        (
            "wall time",
            ErrorCode.REACHEDMAXTIME,
            not watch.wall_limit_s or not running or state.wall_s <= watch.wall_limit_s,
            f"payload ran {state.wall_s:.0f} s, limit {watch.wall_limit_s:.0f} s",
        ),
        (
            "end of slot",
            ErrorCode.REACHEDMAXTIME,
            not state.until_boot_s or sample.boot_s <= state.until_boot_s,
            "the time of the slot is over",
        ),
        (
            "silence",
            ErrorCode.LOOPINGJOB,
            not watch.silence_limit_s or not running or state.silence_s < watch.silence_limit_s,
            f"no file touched, no CPU and no I/O for {state.silence_s:.0f} s",
        ),
        ("kill file", ErrorCode.KILLPAYLOAD, not sample.kill_file or not running, "asked for by a file"),
    ]
