"""What the server's database can keep of an update: widths, ranges and characters (seen on releases 1.0 and 0.8.1).

The server cuts some texts itself. One value that its database refuses costs the *whole* update, with StatusCode 30 each
time it is sent (legacy answers 0 to metadata that it dropped together with the update), so nothing of the kind is sent.
Pure.
"""

from collections.abc import Mapping
from typing import Final

#: Widths that the server leaves to its database, in characters.
_WIDTHS: Final = {"node": 128, "scheduler_id": 128, "cpu_consumption_unit": 128, "pilot_timing": 100}
#: Largest absolute values.
_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1
_LIMITS: Final = {
    "pilot_error_code": _INT32,
    "exe_error_code": _INT32,
    "n_input_files": _INT32,
    "core_count": _INT32,
    "mean_core_count": 999_999,
}
_LOST = "\N{REPLACEMENT CHARACTER}"


def storable(body: Mapping[str, object]) -> dict[str, object]:
    """Return the arguments of update_job with every value within what the server can keep.

    Texts lose NULs and lone surrogates (each becomes U+FFFD) and what is too wide; numbers are clamped.
    """
    return {name: _storable(name, value) for name, value in body.items()}


def _storable(name: str, value: object) -> object:
    if isinstance(value, str):
        return storable_text(value)[: _WIDTHS.get(name)]
    if isinstance(value, int) and not isinstance(value, bool):
        limit = _LIMITS.get(name, _INT64)
        return max(-limit, min(value, limit))
    return value


def storable_text(text: str) -> str:
    """Return the text without the characters that no database takes."""
    if text.isascii():
        return text.replace("\0", _LOST)
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs become one character
    return whole.replace("\0", _LOST)
