"""The pilot's heartbeat file, which tells other programs on the node that the pilot lives (panda-protocol 3.8)."""

import json
from pathlib import Path

from host.files import read_bounded, write_atomic

#: A longer gap between two pulses means that the pilot stood still.
SUSPENDED_S = 600.0
_KEYS = ("last_pilot_update", "last_server_update", "max_diff_time", "time_since_detection")


def next_pulse(before: dict[str, float], last_server_update: float, wall: float) -> dict[str, float]:
    """Return the content at `wall` after the content `before` ({} for none). Epoch seconds and seconds.

    `max_diff_time` is the longest gap between two pulses; `time_since_detection` how long the last gap above 600 s
    was, 0 without any.
    """
    last = before.get("last_pilot_update", 0.0)
    gap_s = max(0.0, wall - last) if last else 0.0
    return {
        "last_pilot_update": round(wall),
        "last_server_update": round(last_server_update),
        "max_diff_time": round(max(gap_s, before.get("max_diff_time", 0.0))),
        "time_since_detection": round(gap_s) if gap_s > SUSPENDED_S else before.get("time_since_detection", 0.0),
    }


def write_pulse(path: Path, last_server_update: float, wall: float) -> None:
    """Write the file anew; what stands there and is none of ours counts as nothing.

    Raises:
        OSError: it could not be written.
    """
    try:
        found = json.loads(read_bounded(path, 4096) or "{}")
        before = {key: float(found[key]) for key in _KEYS}
    except (ValueError, TypeError, KeyError):
        before = {}
    write_atomic(path, json.dumps(next_pulse(before, last_server_update, wall)) + "\n")
