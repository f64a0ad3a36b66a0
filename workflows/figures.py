"""What an update tells of a job's use and events (panda-protocol 3.6, 3.7, update-fields.json). Pure."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from errors.codes import ErrorCode
from ipc.observations import Usage
from jobs.record import JobRecord, Plan
from settings.settings import Settings

METRICS_CHARS = 500
_MAX_CPU_S = 10**9
#: The server keeps at most ten digits of a total in kB.
_MAX_TOTAL = 10**10 * 1024 - 1
_MEMORY = ("rss", "vmem", "swap", "pss")
_IO = ("rchar", "wchar", "rbytes", "wbytes")
_CORRUPT = frozenset({ErrorCode.GETADMISMATCH, ErrorCode.GETMD5MISMATCH})
_MAX_CORRUPTED = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """Figures of a payload's job report; 0 or "" where it tells none."""

    events_read: int = 0
    events_written: int = 0
    db_time: str = ""
    db_data: str = ""
    resim_events: str = ""


@lru_cache(maxsize=4)
def read_report(text: str) -> Reported:
    """Return the figures of jobReport.json; what is absent or nonsense is left out."""
    try:
        report = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return Reported()
    if not isinstance(report, dict):
        return Reported()
    resource = _inner(report, "resource")
    executors = [value for value in _inner(resource, "executor").values() if isinstance(value, dict)]
    return Reported(
        events_read=_count(_inner(resource, "transform").get("processedEvents")),
        events_written=_entries_written(report),
        db_time=_figure(resource.get("dbTimeTotal"), [each.get("dbTime") for each in executors]),
        db_data=_figure(resource.get("dbDataTotal"), [each.get("dbData") for each in executors]),
        resim_events=_figure(report.get("resimevents"), [each.get("resimevents") for each in executors]),
    )


def _inner(outer: dict[str, Any], name: str) -> dict[str, Any]:
    found = outer.get(name)
    return found if isinstance(found, dict) else {}


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0


def _figure(total: object, parts: list[object]) -> str:
    """Return the total, else the sum of the parts, as text; "" when there is neither."""
    numbers = [part for part in ([total] if _is_number(total) else parts) if _is_number(part)]
    value = sum(numbers)  # type: ignore[arg-type]
    if not numbers:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**53


def _entries_written(report: dict[str, Any]) -> int:
    """Return the most events that one output file holds."""
    outputs = _inner(report, "files").get("output")
    most = 0
    for part in outputs if isinstance(outputs, list) else ():
        files = part.get("subFiles") if isinstance(part, dict) else None
        for file in files if isinstance(files, list) else ():
            most = max(most, _count(file.get("nentries")) if isinstance(file, dict) else 0)
    return most


# ---------------------------------------------------------------- fields
def usage_fields(job: JobRecord) -> dict[str, object]:
    """Return CPU, cores, memory, I/O and events. Incomplete memory is -1 in all eight, none at all is left out."""
    usage = job.usage or Usage()
    fields: dict[str, object] = {}
    cpu_s = max(usage.cpu_time_s, job.cpu_time_s)
    if 0 < cpu_s <= _MAX_CPU_S:
        fields["cpu_consumption_time"] = cpu_s
        fields["cpu_conversion_factor"] = 1.0
    if usage.cores > 0:
        fields["mean_core_count"] = max(1, round(usage.cores))
    memory = {f"{kind}_{name}": getattr(usage, f"{kind}_{name}_kb") for name in _MEMORY for kind in ("max", "avg")}
    if max(memory.values()) >= 0:
        fields.update(memory if min(memory.values()) >= 0 else dict.fromkeys(memory, -1))
    flow = {f"{kind}_{name}": getattr(usage, f"{kind}_{name}") for name in _IO for kind in ("tot", "rate")}
    if min(flow.values()) >= 0:
        fields.update({name: min(value, _MAX_TOTAL) for name, value in flow.items()})
    events = _events(job)
    if events:
        fields["n_events"] = events
    return fields


def _events(job: JobRecord) -> int:
    """Return the events of the job report, else those of the payload's other files, else those read so far.

    Of a job that is fed with events: those that are stored, which are the only sure ones.
    """
    if job.n_events >= 0:
        return job.n_events
    usage = job.usage or Usage()
    return read_report(job.job_report).events_read or job.events_read or usage.events_read


def corrupted_files(job: JobRecord, plan: Plan | None) -> str:
    """Return the inputs whose checksum was wrong, comma separated; "" for none."""
    if plan is None or plan.stage_in is None or job.error_code not in _CORRUPT:
        return ""
    names = [transfer.lfn for transfer in plan.stage_in.transfers if transfer.kind == "input"]
    return ",".join([name for name in names if f"{name}:" in job.error_diag][:_MAX_CORRUPTED])


def input_count(plan: Plan | None) -> int:
    """Return how many inputs the job has."""
    return sum(transfer.kind == "input" for transfer in plan.stage_in.transfers) if plan and plan.stage_in else 0


# ---------------------------------------------------------------- metrics
def job_metrics(job: JobRecord, plan: Plan | None, settings: Settings, *, final: bool) -> str:
    """Return "name=value" pairs joined by one blank, cut at a pair's end within 500 characters (3.6)."""
    pairs = [f"{name}={value}" for name, value in _metrics(job, plan, settings, final=final) if value]
    return cut_pairs(" ".join(pairs))


def cut_pairs(text: str) -> str:
    """Return the text without the pairs that do not fit into 500 characters."""
    if len(text) <= METRICS_CHARS:
        return text
    return text[: METRICS_CHARS + 1].rpartition(" ")[0]


def _metrics(job: JobRecord, plan: Plan | None, settings: Settings, *, final: bool) -> Iterator[tuple[str, str]]:
    usage = job.usage or Usage()
    report = read_report(job.job_report)
    cores = usage.cores_now if usage.cores_now >= 0 else usage.cores
    yield "actualCoreCount", str(max(1, round(cores))) if usage.cores > 0 else ""
    yield "nEvents", _positive(_events(job))
    yield "nEventsW", _positive(report.events_written or job.events_written)
    yield "dbTime", report.db_time
    yield "dbData", report.db_data
    yield "resimevents", report.resim_events
    yield "workDirSize", _positive(max(usage.max_work_dir_bytes, usage.work_dir_bytes)) if final else ""
    yield "rucioTraceError", _positive(job.trace_error)
    yield "hs06", _hs06(plan, settings)
    if usage.fitted:
        yield "leak", f"{usage.leak:.3f}"
        yield "chi2", f"{usage.chi2:.4f}"
        yield "intersect", f"{usage.intersect:.1f}"
    yield "eventnumber", _positive(usage.event_number)
    if plan is not None and plan.scheduler_ip and plan.session_ip:
        yield "schedulerIP", plan.scheduler_ip
        yield "sessionIP", plan.session_ip
    yield "readbyterate", _read_share(usage, plan)
    yield "GPU_name", "_".join(usage.gpu_name.split())
    yield "nGPU", _positive(usage.n_gpu)


def _positive(value: int) -> str:
    return str(value) if value > 0 else ""


def _hs06(plan: Plan | None, settings: Settings) -> str:
    """Return the machine's figure scaled to the job's cores."""
    if plan is None or settings.machine_hs06 <= 0 or settings.machine_cpus <= 0:
        return ""
    return f"{settings.machine_hs06 * plan.core_count / settings.machine_cpus:.2f}"


def _read_share(usage: Usage, plan: Plan | None) -> str:
    """Return the bytes read from disk as a share of the inputs' size."""
    if usage.tot_rbytes < 0 or plan is None or plan.stage_in is None:
        return ""
    size = sum(max(0, transfer.size_bytes) for transfer in plan.stage_in.transfers if transfer.kind == "input")
    return f"{usage.tot_rbytes / size:.2f}" if size else ""
