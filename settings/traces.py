"""Where the traces of transfers are sent (panda-protocol 9). Pure."""

from urllib.parse import urlsplit

from settings.errors import SettingsError
from settings.settings import Settings

#: The experiments whose transfers are those of one known Rucio. Users' names go there: nobody else's do by default.
_SERVERS = {"atlas": "https://rucio-lb-prod.cern.ch/traces/"}


def trace_url(settings: Settings) -> str:
    """Return the address, "" where no traces are sent: switched off, or a pilot that has no server of its own to tell.

    The configuration file's `[Rucio] url` wins over `--rucio-host`, which wins over the experiment's own server.

    Raises:
        SettingsError: what was given is no http(s) address; the text names it.
    """
    if not settings.use_rucio_traces or settings.job_file or not settings.update_server or settings.fake_job:
        return ""
    if settings.rucio_url:
        return _checked(settings.rucio_url, "Rucio.url")
    if settings.rucio_host:
        host = settings.rucio_host if "://" in settings.rucio_host else f"https://{settings.rucio_host}"
        return f"{_checked(host, '--rucio-host').rstrip('/')}/traces/"
    return _SERVERS.get(settings.pilot_user.lower(), "")


def _checked(url: str, name: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        raise SettingsError(f"{name}: {url!r} is not a URL: {error}") from error
    if not good or parts.username is not None or parts.query or parts.fragment:
        raise SettingsError(f"{name}: give it as https://host/path, without user name and query")
    return url
