"""Which server is meant, and under which label jobs are asked of it (panda-protocol 1.1, 1.6). Pure."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from settings.errors import SettingsError
from settings.settings import Settings

#: Where PanDA's jobs are when neither `--url` nor the configuration file says so.
DEFAULT_SERVER = "https://pandaserver.cern.ch:25443"
_LABELS_OF_TAG = {("RC", "rc_test2"): "rc_test2", ("RC", "ptest"): "ptest", ("RCM", "ptest"): "rcm_test2"}


def server_url(settings: Settings) -> str:
    """Return "<scheme>://<host>:<port>" of the server, without a slash at the end.

    A port inside the URL wins over `port`; a URL without scheme means https; a path in it is kept as a prefix.

    Raises:
        SettingsError: The URL cannot be used.
    """
    given = settings.url.strip() or DEFAULT_SERVER
    if "://" not in given:
        given = f"https://{given}"
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"--url: {settings.url!r} is not a URL: {error}") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise SettingsError("--url: give it as host, host:port, https://host:port or http://host:port")
    if parts.username is not None:
        raise SettingsError("--url: no user name or password in the URL; use a proxy or a token")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port if port is not None else settings.port}{parts.path.rstrip('/')}"


def request_label(settings: Settings, queue_status: str) -> str:
    """Return the label to ask jobs for, from `-j`, `-i` and the queue's status ("online", "test", ...)."""
    label = _LABELS_OF_TAG.get((settings.version_tag, settings.job_label))
    if label is not None:
        return label
    if settings.version_tag == "ALRB":
        return "rc_alrb"
    if queue_status == "test" and settings.job_label != "ptest":
        return "test"
    return settings.job_label


def identity_in_use(settings: Settings) -> bool:
    """Say whether the server gets to see who the pilot is: it is asked over TLS, or a token is configured."""
    if settings.job_file or not settings.url:
        return False
    return server_url(settings).startswith("https:") or _has_token(settings)


def plain_http_warnings(settings: Settings) -> tuple[str, ...]:
    """Return what is said at start of secrets and descriptions that cross a network without TLS (pitfall P114)."""
    found = []
    if not settings.job_file and _has_token(settings) and _is_plain(server_url(settings)):
        found.append("--url: the token goes over plain http to another host, where everybody on the way can read it")
    for option, url in (("--queuedata-url", settings.queuedata_url), ("--storagedata-url", settings.storagedata_url)):
        if _is_plain(url):
            found.append(f"{option}: it comes over plain http from another host: everybody on the way can change it")
    return tuple(found)


def _is_plain(url: str) -> bool:
    """Tell whether a URL means a connection without TLS to another host than this one."""
    if not url.lower().startswith("http:"):
        return False
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return True
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True


def renewable_token(settings: Settings) -> bool:
    """Say whether there is a token and the key that renews it (panda-protocol 1.8)."""
    key = dict(settings.environment).get("PANDA_AUTH_TOKEN_KEY")
    return bool(key and not settings.job_file and _has_token(settings))


def _has_token(settings: Settings) -> bool:
    environ = dict(settings.environment)
    name = environ.get("OIDC_AUTH_TOKEN") or environ.get("PANDA_AUTH_TOKEN")
    return bool(name and (environ.get("OIDC_AUTH_ORIGIN") or environ.get("PANDA_AUTH_ORIGIN")))
