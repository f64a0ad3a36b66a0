"""Which kind of screen there is: one that rich can draw on, or plain text."""

import importlib.util
import os
import sys
from typing import TextIO


def can_draw(stream: TextIO | None = None, *, plain: bool = False) -> bool:
    """Tell whether to draw: on a terminal that is not dumb and knows UTF-8, with rich, unless `plain` is asked for."""
    stream = stream or sys.stdout
    if plain or not stream.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        return False
    if not stream.encoding.lower().startswith("utf"):
        return False
    return importlib.util.find_spec("rich") is not None
