"""Keeps what a monitor knows of a job beside its control files: peaks and totals survive a monitor's death (P94)."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from host.files import read_bounded
from workers.monitor.fit import Fit
from workers.monitor.machine import IO_KINDS, MEMORY_KINDS, Memory, State

_NAME = "usage.json"


def keep(control_dir: Path, state: State) -> None:
    """Write the totals; not synced, since they are worth nothing after the machine's death.

    Raises:
        OSError: they could not be written.
    """
    record: dict[str, object] = {"cpu_s": state.cpu_s, "wall_s": state.wall_s, "silence_s": state.silence_s}
    record.update((kind, asdict(getattr(state, kind))) for kind in MEMORY_KINDS)
    record.update(io=state.io, fit=asdict(state.fit), max_size_bytes=state.max_size_bytes)
    temporary = control_dir / f".{_NAME}.{os.getpid()}"
    temporary.write_text(json.dumps(record), encoding="ascii")
    temporary.replace(control_dir / _NAME)


def recall(control_dir: Path, state: State) -> State:
    """Return `state` with the totals that were kept; what cannot be read counts as never kept."""
    try:
        record = json.loads(read_bounded(control_dir / _NAME, 65536) or "{}")
        return replace(
            state,
            cpu_s=float(record["cpu_s"]),
            wall_s=float(record["wall_s"]),
            silence_s=float(record["silence_s"]),
            pss=Memory(**record["pss"]),
            rss=Memory(**record["rss"]),
            vmem=Memory(**record["vmem"]),
            swap=Memory(**record["swap"]),
            io=_io(record.get("io")),
            max_size_bytes=int(record.get("max_size_bytes", 0)),
            fit=_fit(record.get("fit", {})),
        )
    except (ValueError, TypeError, KeyError):
        return state


def _fit(found: dict[str, Any]) -> Fit:
    """Return the fit that was kept; JSON made lists of its points."""
    return Fit(**{**found, "held": tuple((float(x), float(y)) for x, y in found.get("held", ()))})


def _io(found: object) -> tuple[int, ...]:
    """Return the four totals that were kept, () when there are none."""
    if not isinstance(found, list) or len(found) != len(IO_KINDS):
        return ()
    return tuple(int(value) for value in found)
