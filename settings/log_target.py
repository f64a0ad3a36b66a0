"""How a server for real-time logs is named in an option, the configuration or a queue's `catchall` (behaviour 24)."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

#: Kind -> the protocols it is spoken to by; the first one is meant where none is given.
PROTOCOLS = {
    "loki": ("https", "http"),
    "logstash": ("https", "http"),
    "fluent": ("tcp", "tls", "http", "https"),
    "google-cloud-logging": ("https", "http"),
}
FORM = "KIND;PROTOCOL://HOST:PORT or KIND:HOST:PORT"
_TARGET = (
    rf"(?:logserver=)?(?P<kind>{'|'.join(PROTOCOLS)})(?:[;:](?:(?P<protocol>[a-z]+)://)?(?P<place>(?!\S*://)[^\s;,]+))?"
)
_LOKI_PATH = "/loki/api/v1/push"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogTarget:
    """A log server: kind and URL; Google's has none of its own."""

    kind: str
    url: str = ""


def read_log_target(text: str) -> LogTarget | None:
    """Return the server that a text names, None when it names none that can be used.

    "KIND;PROTOCOL://HOST:PORT" is the form of the pilots in use, "logserver=" in front of it that of their option, and
    "KIND:HOST:PORT" that of its description. For fluent http and https mean its HTTP input, tcp and tls its forward
    protocol; those and nothing else need a port.
    """
    match = re.fullmatch(_TARGET, text.strip(), re.IGNORECASE)
    if match is None:
        return None
    kind = match["kind"].lower()
    if kind == "google-cloud-logging":
        return LogTarget(kind=kind)
    protocol = (match["protocol"] or PROTOCOLS[kind][0]).lower()
    if protocol not in PROTOCOLS[kind] or not match["place"]:
        return None
    url = f"{protocol}://{match['place']}".rstrip("/")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname or (protocol in ("tcp", "tls") and port is None):
        return None
    return LogTarget(kind=kind, url=url + _LOKI_PATH if kind == "loki" and not parts.path else url)
