"""Carries one request and brings the whole answer, within bounds: size, decompressed size, time. Runs in a thread.

Nothing is sent twice here, no redirect is followed, cookies and .netrc are not used; retries are the supervisor's.
"""

import logging
import time
import zlib
from collections.abc import Mapping
from typing import Any

import urllib3

from errors.exceptions import BulkheadError
from host.imports import absent
from settings.settings import Settings
from workers.reporter.exchange import MAX_ANSWER_BYTES, Answer, HttpRequest, LocalCall, Lost, Reply, Request
from workers.reporter.identity import Identity, no_identity, read_identity
from workers.reporter.quoting import quote

with absent("chardet", "charset_normalizer"):
    # Answers are read as bytes, so nobody has to guess their character set: 3 MiB and 10 ms less.
    import requests
    import requests.adapters
    import requests.utils

_CHUNK = 64 * 1024
_LEAST_WAIT_S = 0.001
#: An idle connection is not used again after this: a firewall may have forgotten it without a word.
_KEEP_S = 30.0


class AnswerError(Exception):
    """The answer cannot be used: too large, too late, or badly encoded."""


class Carrier:
    """One session, kept alive between requests of the same identity."""

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._session: requests.Session | None = None
        self._stamp: tuple[object, ...] = ()
        self._used = 0.0
        self._logger = logging.getLogger("reporter")

    def perform(self, request: Request, deadline: float) -> Reply:
        """Return the answer, or why there is none; whatever the other side does, this raises nothing.

        Args:
            request: What to do.
            deadline: Monotonic time by which the whole answer must be here.
        """
        try:
            if isinstance(request, LocalCall):
                return Answer(body=request.run())
            return self._send(request, deadline)
        except BulkheadError as error:
            return Lost(text=quote(error.detail), code=int(error.code))
        except AnswerError as error:
            reason = str(error)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            reason = _innermost(error)
        except (OSError, ValueError) as error:
            reason = quote(error)
        except Exception as error:
            # A bug, or an answer so odd that a library stumbled: the call failed, the worker need not.
            self._logger.exception("a request ended in an unexpected error")
            reason = type(error).__name__
        where = "" if isinstance(request, LocalCall) else f"{_host(request.url)}: "
        self.close()
        return Lost(text=f"{where}{reason}")

    def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _send(self, request: HttpRequest, deadline: float) -> Answer:
        who = read_identity if request.authenticated else no_identity
        identity = who(self._settings, self._environ)
        session = self._session_for(identity)
        prepared = requests.Request(
            method=request.method,
            url=request.url,
            headers=dict((*request.headers, *identity.headers)),
            data=request.body or None,
        ).prepare()
        left_s = max(_LEAST_WAIT_S, deadline - time.monotonic())
        # The session's `send` leaves the environment and .netrc alone; only the proxies are taken from it.
        response = session.send(
            prepared,
            stream=True,
            allow_redirects=False,
            timeout=(min(self._settings.http_connect_timeout_s, left_s), left_s),
            verify=identity.authorities or True,
            cert=identity.certificate or None,
            proxies=requests.utils.get_environ_proxies(request.url, no_proxy=None),
        )
        try:
            body = _body(response, deadline)
        except BaseException:
            response.close()
            raise
        self._used = time.monotonic()
        return Answer(status=response.status_code, body=body, location=response.headers.get("Location", ""))

    def _session_for(self, identity: Identity) -> requests.Session:
        stale = time.monotonic() - self._used > _KEEP_S
        if self._session is not None and (stale or self._stamp != identity.stamp):
            self.close()
        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = False
            adapter = requests.adapters.HTTPAdapter(pool_connections=2, pool_maxsize=1, max_retries=0)
            self._session.mount("https://", adapter)
            self._session.mount("http://", adapter)
            self._stamp = identity.stamp
        return self._session


def _body(response: requests.Response, deadline: float) -> bytes:
    """Return the decoded body.

    Raises:
        AnswerError: larger than 64 MiB as sent or decompressed, not complete at the deadline, or an unknown encoding.
    """
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_ANSWER_BYTES:
        raise AnswerError(f"an answer of {announced[:20]} bytes is announced, the limit is {MAX_ANSWER_BYTES}")
    decoder = _decoder(response.headers.get("Content-Encoding", ""))
    parts: list[bytes] = []
    raw_bytes = decoded_bytes = 0
    while True:
        chunk = response.raw.read1(_CHUNK, decode_content=False)
        if not chunk:
            break
        raw_bytes += len(chunk)
        room = MAX_ANSWER_BYTES + 1 - decoded_bytes
        part = chunk if decoder is None else decoder.decompress(chunk, room)
        decoded_bytes += len(part)
        if max(raw_bytes, decoded_bytes) > MAX_ANSWER_BYTES:
            raise AnswerError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > deadline:
            raise AnswerError("the answer came too slowly")
        parts.append(part)
    if decoder is not None and raw_bytes and not decoder.eof:
        raise AnswerError("the compressed answer was cut")
    return b"".join(parts)


def _decoder(encoding: str) -> "zlib._Decompress | None":
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return None
    if name in {"gzip", "x-gzip"}:
        return zlib.decompressobj(16 + zlib.MAX_WBITS)
    if name == "deflate":
        return zlib.decompressobj()
    raise AnswerError(f"the answer is encoded as {quote(encoding)}, which was not asked for")


def _innermost(error: BaseException) -> str:
    """Return the cause under the layers of urllib3 and requests, which would quote the whole URL."""
    inner: Any = error
    for _ in range(8):
        reason = getattr(inner, "reason", None)
        arguments: tuple[Any, ...] = getattr(inner, "args", ())
        if isinstance(reason, BaseException):
            inner = reason
        elif arguments and isinstance(arguments[0], BaseException):
            inner = arguments[0]
        elif len(arguments) > 1 and isinstance(arguments[1], BaseException):
            inner = arguments[1]
        else:
            break
    text = quote(inner)
    return f"{type(inner).__name__}: {text}" if text else type(inner).__name__


def _host(url: str) -> str:
    """Return scheme, host and port of a URL, without the user name, path and query that may hold secrets."""
    parts = urllib3.util.parse_url(url)
    return f"{parts.scheme}://{parts.host}{f':{parts.port}' if parts.port else ''}"
