"""http, https: gets a file (a transform, mostly) from a web server to this node.

TLS and the host's name are verified (P114). A redirect is followed on the same scheme, host and port only. Connecting,
each read and the whole have limits. There is no resuming: what a dead attempt left is thrown away (P82, H108). Errors
name host and status, never the query, which may carry a signature (P118).

Codes: 1331 absent, 1338 refused, 1175 other size, 1171/1145 other checksum, 1098 no space, 1327 no network, 1151 too
slow, 1168 larger than bounded, 1099 else.
"""

import http.client
import os
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from errors.codes import ErrorCode
from host.authorities import trusting_context
from movers.base import Capabilities, Moved, MoverError, Order, Report, check, os_failure
from movers.checksums import Hasher, hasher
from movers.landing import Landing, verify_whole

#: WebDAV is read by plain GET.
_SCHEMES = {"http": "http", "https": "https", "dav": "http", "davs": "https"}
CAPABILITIES = Capabilities(schemes=tuple(_SCHEMES), directions=("in",))

#: A file of unknown size may have this many bytes.
MAX_BYTES = 4 * 1024**3
_CONNECT_S = 30.0
_READ_S = 120.0
_CHUNK = 256 * 1024
_ABSENT = (404, 410)
_REFUSED = (401, 403, 407)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


class _SameHost(urllib.request.HTTPRedirectHandler):
    """Follows redirects that stay on the same scheme, host and port."""

    max_redirections = 5

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if (old.scheme, old.netloc) != (new.scheme, new.netloc):
            fp.close()
            raise MoverError(ErrorCode.STAGEINFAILED, f"{old.hostname} redirects to another place ({new.hostname})")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def move(order: Order, report: Report) -> Moved:
    """Get the file; a destination that is already right is left alone when its size and checksum are known."""
    if order.direction != "in":
        raise MoverError(ErrorCode.STAGEOUTFAILED, "this mover cannot upload")
    parts = urlsplit(order.source)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise MoverError(ErrorCode.STAGEINFAILED, "not a web address")
    url = parts._replace(scheme=_SCHEMES[parts.scheme]).geturl()
    with Landing(order) as landing:
        if order.checksum and order.size_bytes >= 0:
            there = landing.present(order.size_bytes, lambda: order.checksum, report)
            if there is not None:
                return there
        deadline = time.monotonic() + order.time_limit_s if order.time_limit_s > 0 else float("inf")
        try:
            with _open(url, deadline) as answer:
                limit = order.size_bytes if order.size_bytes >= 0 else MAX_BYTES
                announced = answer.length
                if announced is not None:
                    _check_length(announced, order, limit)
                    landing.check_space(announced)
                target = hasher(order.checksum, order.checksum_type)
                size = _receive(answer, landing.create(), target, limit, deadline, report)
        except TimeoutError as error:
            raise MoverError(ErrorCode.STAGEINTIMEOUT, f"{parts.hostname}: timed out", retry=True) from error
        except (http.client.HTTPException, ssl.SSLError) as error:
            raise MoverError(ErrorCode.STAGEINFAILED, f"{parts.hostname}: {error!r}", retry=True) from error
        except OSError as error:
            raise os_failure(error, "in", f"getting from {parts.hostname}") from error
        if announced is not None and size != announced:
            raise MoverError(ErrorCode.GETWRONGSIZE, f"{parts.hostname}: {size} of {announced} bytes came", retry=True)
        return verify_whole(order, landing, size, target.text())


def _open(url: str, deadline: float) -> http.client.HTTPResponse:
    # Beside the system's: the grid's certificate authorities, where a site has them.
    place = os.environ.get("X509_CERT_DIR", "")
    context = trusting_context(place if Path(place).exists() else "")
    opener = urllib.request.build_opener(_SameHost(), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})  # noqa: S310 - scheme checked
    host = urlsplit(url).hostname
    try:
        answer = opener.open(request, timeout=max(0.001, min(_CONNECT_S, deadline - time.monotonic())))
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(error.code, f"{host}: HTTP status {error.code}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise error.reason from error
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise MoverError(ErrorCode.STAGEINFAILED, f"{host}: {error.reason.verify_message}") from error
        raise MoverError(ErrorCode.UNREACHABLENETWORK, f"{host}: {error.reason}", retry=True) from error
    if not isinstance(answer, http.client.HTTPResponse):
        answer.close()
        raise MoverError(ErrorCode.STAGEINFAILED, f"{host}: not an HTTP answer")
    return answer


def _refusal(status: int, text: str) -> MoverError:
    if status in _ABSENT:
        return MoverError(ErrorCode.MISSINGINPUTFILE, text, missing=True)
    if status in _REFUSED:
        return MoverError(ErrorCode.STAGEINAUTHENTICATIONFAILURE, text)
    return MoverError(ErrorCode.STAGEINFAILED, text, retry=status in _PASSING)


def _check_length(announced: int, order: Order, limit: int) -> None:
    check(order._replace(checksum=""), announced, "")
    if announced > limit:
        raise MoverError(ErrorCode.SIZETOOLARGE, f"{announced} bytes announced, at most {limit} are taken")


def _receive(
    answer: http.client.HTTPResponse, partial: int, target: Hasher, limit: int, deadline: float, report: Report
) -> int:
    """Write the body to `partial`; return its size.

    Raises:
        MoverError: more than `limit` bytes came (1168).
        TimeoutError: `deadline` has passed, or no byte came for two minutes.
    """
    size = 0
    with open(partial, "wb", closefd=False) as stream:
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            _limit_read(answer, min(_READ_S, left))
            data = answer.read1(_CHUNK)
            if not data:
                break
            size += len(data)
            if size > limit:
                raise MoverError(ErrorCode.SIZETOOLARGE, f"more than {limit} bytes came")
            target.update(data)
            stream.write(data)
            report(size)
    return size


def _limit_read(answer: http.client.HTTPResponse, timeout_s: float) -> None:
    """Bound the next read: the socket is only to be had through its file."""
    raw = getattr(answer.fp, "raw", None)
    connection = getattr(raw, "_sock", None)
    if connection is not None:
        connection.settimeout(timeout_s)
