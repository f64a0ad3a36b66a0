"""Now, twice: monotonic for every wait and limit, wall time for records only (pitfall P97)."""

import time
from typing import NamedTuple


class Now(NamedTuple):
    """One moment: `mono` in seconds of CLOCK_MONOTONIC, `wall` in seconds since the epoch."""

    mono: float
    wall: float


def now() -> Now:
    """Return this moment."""
    return Now(time.monotonic(), time.time())


def utc_text(wall: float) -> str:
    """Return `wall` as the server wants times: "YYYY-MM-DD HH:MM:SS" in UTC (panda-protocol 3.2)."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(wall))


def wait_ms(deadline: float | None, mono: float) -> int | None:
    """Return the poll time-out in ms, rounded up, that wakes at `deadline`; None waits for ever."""
    if deadline is None:
        return None
    return max(0, int((deadline - mono) * 1000) + 1)
