"""Foreign text made fit to stand in a log line or an error: one line, short, and without credentials (pitfall P118)."""

import re

from errors.texts import one_line

_LENGTH = 160
_SECRETS = re.compile(
    r"-----BEGIN.*?(?:-----END[^-]*-----|\Z)"  # PEM blocks, also cut ones
    r"|\beyJ[\w-]{5,}(?:\.[\w-]*){0,4}"  # JSON web tokens
    r"|(?<=bearer )\S+"
    r"|\b(?:authz|token)=[^\s&]+"
    r"|\bX-Amz-\w+=[^\s&]+"
    r"|(?<=://)[^/\s@]+@",  # user:password@
    re.IGNORECASE | re.DOTALL,
)


def quote(text: object) -> str:
    """Return at most 160 characters of `text` on one line, with what looks like a secret replaced by "***"."""
    return _SECRETS.sub("***", one_line(text))[:_LENGTH]
