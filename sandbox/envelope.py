"""The form of every v1 answer."""

from typing import Any


def envelope(success: bool, message: str = "", data: Any = None) -> dict[str, Any]:
    """Return a v1 answer."""
    return {"success": success, "message": message, "data": data}
