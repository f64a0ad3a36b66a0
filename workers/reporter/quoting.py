"""Foreign text made fit to stand in a log line or an error: one line, short, and without credentials (pitfall P118)."""

from errors.redaction import redact
from errors.texts import one_line

_LENGTH = 160


def quote(text: object) -> str:
    """Return at most 160 characters of `text` on one line, with what looks like a secret replaced by "***"."""
    return redact(one_line(text))[:_LENGTH]
