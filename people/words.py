"""Numbers as people read them."""

import time

_KIB = 1024.0
_MINUTE_S, _HOUR_S = 60, 3600


def size_text(size_bytes: float) -> str:
    """Return a size with a binary unit: 512 B, 1.5 KiB, 200.0 MiB."""
    value, unit = float(size_bytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < _KIB:
            break
        value, unit = value / _KIB, larger
    return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"


def duration_text(seconds: float) -> str:
    """Return a duration: 0.04 s, 12.3 s, 4 min 05 s, 2 h 10 min."""
    if seconds < 1:
        return f"{max(0.0, seconds):.2f} s"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    if seconds < _HOUR_S:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, _MINUTE_S)
    return f"{hours} h {minutes:02d} min"


def clock_text(wall: float, *, thousandths: bool = False) -> str:
    """Return the local time of day of an epoch time."""
    text = time.strftime("%H:%M:%S", time.localtime(wall))
    return f"{text}.{int(wall % 1 * 1000):03d}" if thousandths else text


def state_text(state: str) -> str:
    """Return a job's state as words: "staging in"."""
    return state.replace("_", " ")
