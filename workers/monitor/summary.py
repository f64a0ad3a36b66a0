"""What the payload's own tools say of it: prmon's summary, the event loop's heartbeat (panda-protocol 3.6, 3.7)."""

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from host.files import read_bounded
from ipc.observations import Usage

SUMMARY = "memory_monitor_summary.json"
EVENT_LOOP = "eventLoopHeartBeat.txt"
_SUMMARY_BYTES = 256 * 1024
_EVENT_BYTES = 4096
_MAX = 2**62
_MAX_GPUS = 64
_GPU_NAME_CHARS = 80
_MEMORY = ("pss", "rss", "vmem", "swap")
#: Our field -> prmon's name; Max holds totals, Avg rates.
_IO = {"rchar": "rchar", "wchar": "wchar", "rbytes": "read_bytes", "wbytes": "write_bytes"}
_EVENT = re.compile(r"event #(\d{1,15}).*?(\d{1,12}) events? (?:read|processed)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnWords:
    """What the payload's tools wrote: fields of Usage that win over the monitor's own figures."""

    fields: tuple[tuple[str, int | str], ...] = ()

    def over(self, usage: Usage) -> Usage:
        """Return `usage` with what the tools know better."""
        return replace(usage, **dict(self.fields)) if self.fields else usage  # type: ignore[arg-type]


def read_own_words(job_dir: Path) -> OwnWords:
    """Return what is there now; what is absent or nonsense changes nothing."""
    summary = _object(read_bounded(job_dir / SUMMARY, _SUMMARY_BYTES))
    fields: dict[str, int | str] = {}
    if summary:
        fields.update(_figures(summary))
        fields.update(_gpus(summary))
    event = _last_event(read_bounded(job_dir / EVENT_LOOP, _EVENT_BYTES, tail=True))
    if event is not None:
        fields.update(event_number=event[0], events_read=event[1])
    return OwnWords(fields=tuple(fields.items()))


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _figures(summary: dict[str, Any]) -> dict[str, int]:
    """Return memory (all eight -1 when one is missing) and, when all are there, totals and rates."""
    most, mean = summary.get("Max"), summary.get("Avg")
    if not isinstance(most, dict) or not isinstance(mean, dict):
        return {}
    memory = {f"max_{name}_kb": _number(most.get(name)) for name in _MEMORY}
    memory.update({f"avg_{name}_kb": _number(mean.get(name)) for name in _MEMORY})
    if min(memory.values()) < 0:
        memory = dict.fromkeys(memory, -1)
    flow = {f"tot_{ours}": _number(most.get(theirs)) for ours, theirs in _IO.items()}
    flow.update({f"rate_{ours}": _number(mean.get(theirs)) for ours, theirs in _IO.items()})
    return {**memory, **(flow if min(flow.values()) >= 0 else {})}


def _number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MAX:
        return -1
    return int(value)


def _gpus(summary: dict[str, Any]) -> dict[str, int | str]:
    hardware = summary.get("HW")
    found = hardware.get("gpu") if isinstance(hardware, dict) else summary.get("GPU")
    if not isinstance(found, dict):
        return {}
    units = [unit for name, unit in sorted(found.items()) if name.startswith("gpu_") and isinstance(unit, dict)]
    count = _number(found.get("nGPU"))
    count = count if 0 < count <= _MAX_GPUS else len(units)
    names = [unit["name"] for unit in units if isinstance(unit.get("name"), str)]
    if isinstance(found.get("name"), str):
        names.append(found["name"])
    if not count:
        return {}
    name = "_".join(names[0].split())[:_GPU_NAME_CHARS] if names else ""
    return {"gpu_name": name if name.isprintable() else "", "n_gpu": count}


def _last_event(text: str) -> tuple[int, int] | None:
    """Return event number and events read from the last line, None when it tells none."""
    lines = text.strip().splitlines()
    match = _EVENT.search(lines[-1]) if lines else None
    return (int(match[1]), int(match[2])) if match else None
