"""What the database behind the server refuses of an update, as measured on releases 1.0 and 0.8.1 with PostgreSQL.

The server cuts most texts before it stores them; these it does not. Such an update is lost as a whole.
"""

from collections.abc import Mapping
from typing import Any

_WIDTHS = {"scheduler_id": 128, "cpu_consumption_unit": 128, "pilot_timing": 100}
_LIMITS = {
    "pilot_error_code": 2**31,
    "exe_error_code": 2**31,
    "n_input_files": 2**31,
    "core_count": 2**31,
    "mean_core_count": 10**6,
    "n_events": 2**63,
    **{f"{kind}_{name}": 2**63 for kind in ("max", "avg") for name in ("rss", "vmem", "swap", "pss")},
}
#: Stored in tables of their own; a failure there is not told.
_APART = frozenset({"pilot_log", "stdout", "job_output_report", "meta_data"})


def metadata_refused(update: Mapping[str, Any]) -> bool:
    """Tell whether the job report cannot be kept; nothing else of the update is looked at then."""
    return not _is_text(update.get("meta_data") or "")


def database_error(update: Mapping[str, Any]) -> str:
    """Return the name of an argument whose value the job's row cannot take, "" when there is none."""
    for name, value in update.items():
        if isinstance(value, str) and name not in _APART:
            if not _is_text(value) or len(value) > _WIDTHS.get(name, len(value)):
                return name
        elif isinstance(value, int | float) and abs(value) >= _LIMITS.get(name, float("inf")):
            return name
    return ""


def _is_text(value: str) -> bool:
    """Tell whether it has neither NUL nor half of a surrogate pair."""
    return "\0" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
