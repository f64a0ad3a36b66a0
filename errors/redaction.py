"""Takes secrets out of text that leaves the pilot: log lines, extracts, tool output, diagnostics (pitfall P118).

What is known by its form goes: PEM blocks, JSON web tokens, credentials in headers, URLs and JSON. The name of what was
there stays, so that a reader sees that there was something.
"""

import json
import logging
import re

_HIDDEN = "***"
_NAMES = (
    r"authz|token|access_token|refresh_token|id_token|token_key|userproxy|user_proxy|password|passwd|secret"
    r"|client_secret|secret_key|private_key|privatekey|aws_secret_access_key|aws_session_token"
)
_IN_URLS = r"X-(?:Amz|Goog)-[\w-]+|AWSAccessKeyId|GoogleAccessId|Signature|Key-Pair-Id|sig"
#: Each keeps its first group and hides the rest.
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE | re.DOTALL)
    for pattern in (
        # PEM blocks, also ones that lost their end.
        r"()-----BEGIN [A-Z0-9 ]{1,40}-----.*?(?:-----END[^-\n]{0,40}-----|\Z)",
        r"()\beyJ[\w-]{5,}(?:\.[\w-]*){0,4}",
        r"""(\bauthorization['"]?\s{0,4}[:=]\s{0,4}['"]?(?:(?:bearer|basic|negotiate)\s{1,4})?)[^\s"',;]+""",
        r"""(\b(?:bearer|basic)\s{1,4})(?=[^\s"']{0,4000}[\d._~+/=-])[^\s"',;]{8,}""",
        rf"""(\b(?:{_NAMES}|{_IN_URLS})=)['"]?[^\s&"',;]+""",
        rf"""(["'](?:{_NAMES})["']\s{{0,4}}:\s{{0,4}}["'])(?:[^"'\\]|\\.)+""",
        r"(\bX-(?:Amz|Goog)-(?:Security-Token|Signature|Credential):\s{0,4})\S+",
        r"(\w://)[^/\s@:]{0,256}:?[^/\s@]{0,4096}(?=@)",
    )
)


_NAME = re.compile(rf"authorization|{_NAMES}", re.IGNORECASE)
_PEM_END = "-----END "
_BASE64_LINE = re.compile(r"[A-Za-z0-9+/=]{1,76}")


def redact(text: str) -> str:
    """Return the text with everything that looks like a secret replaced by "***"."""
    if _PEM_END in text:
        text = _without_headless(text)
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\g<1>{_HIDDEN}", text)
    return text


def redact_json(text: str) -> str:
    """Return JSON text that means the same without its secrets; what is no JSON is redacted as any text.

    Each text in it is looked at alone, so that what comes out is still JSON; what stands under the name of a secret
    goes whole.
    """
    try:
        value = json.loads(text)
        clean = _clean(value)
    except (ValueError, RecursionError):
        return redact(text)
    return text if clean == value else json.dumps(clean)


def _clean(value: object) -> object:
    if isinstance(value, dict):
        return {
            redact(name): _HIDDEN if isinstance(item, str) and item and _NAME.fullmatch(name) else _clean(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return redact(value) if isinstance(value, str) else value


def _without_headless(text: str) -> str:
    """Hide the base64 lines before the end of a PEM block: a tail of a file may begin in the middle of one."""
    kept: list[str] = []
    body = 0
    for line in text.split("\n"):
        if line.startswith(_PEM_END) and body:
            kept[-body:] = [_HIDDEN]
        body = body + 1 if _BASE64_LINE.fullmatch(line.rstrip("\r")) else 0
        kept.append(line)
    return "\n".join(kept)


class RedactingFormatter(logging.Formatter):
    """Formats as its base does, tracebacks too, and redacts what comes out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines of a record without secrets."""
        return redact(super().format(record))
