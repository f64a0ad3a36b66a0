"""Who the pilot is for the server: a token or an X.509 proxy, read again for each request (panda-protocol 1.2).

With a token and an origin configured no client certificate is shown; the server's own certificate is always verified.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import RetryError
from host.files import read_bounded
from host.secret_files import RENEWED_SUFFIX
from settings.settings import Settings

_GRID_AUTHORITIES = "/etc/grid-security/certificates"
_MAX_TOKEN_BYTES = 64 * 1024
_PRINTABLE = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(r"[\w.:/-]{1,256}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What goes with a request.

    Attributes:
        headers: Of the token, none for a certificate.
        certificate: PEM file with certificate, chain and key, "" for none.
        authorities: Directory or file of trusted CAs, "" for those of the installation.
        stamp: Changes when one of the files does; a connection is good for one stamp only.
    """

    headers: tuple[tuple[str, str], ...] = ()
    certificate: str = ""
    authorities: str = ""
    stamp: tuple[object, ...] = ()

    def __repr__(self) -> str:
        return f"Identity({'token' if self.headers else self.certificate or 'none'})"


def read_identity(settings: Settings, environ: Mapping[str, str]) -> Identity:
    """Return the identity of this moment; none at all is an identity, too (the server decides).

    Raises:
        RetryError: 1163, a token and an origin are configured and the token cannot be read.
    """
    authorities = _authorities(settings, environ)
    name, origin = token_names(environ)
    if name and origin:
        if not _ORIGIN.fullmatch(origin):
            raise RetryError(ErrorCode.NOPROXY, "the origin of the token is not like <vo>:<role>")
        headers = (("Authorization", f"Bearer {_token(name, settings, environ)}"), ("Origin", origin))
        return Identity(headers=headers, authorities=authorities, stamp=("", authorities, *_stat(authorities)))
    certificate = certificate_file(settings, environ)
    stamp = (certificate, *_stat(certificate), authorities, *_stat(authorities))
    return Identity(certificate=certificate, authorities=authorities, stamp=stamp)


def no_identity(settings: Settings, environ: Mapping[str, str]) -> Identity:
    """Return what goes with a request that needs no identity: only whom to trust."""
    authorities = _authorities(settings, environ)
    return Identity(authorities=authorities, stamp=("anonymous", authorities, *_stat(authorities)))


def token_names(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the token's file and the origin; a token is in use when there are both."""
    name = environ.get("OIDC_AUTH_TOKEN") or environ.get("PANDA_AUTH_TOKEN") or ""
    return name, environ.get("OIDC_AUTH_ORIGIN") or environ.get("PANDA_AUTH_ORIGIN") or ""


def _token(name: str, settings: Settings, environ: Mapping[str, str]) -> str:
    path = token_file(name, settings, environ)
    if path is None:
        raise RetryError(ErrorCode.NOPROXY, f"no token can be read from a file named {Path(name).name}")
    return read_secret_word(path)


def token_file(name: str, settings: Settings, environ: Mapping[str, str]) -> Path | None:
    """Return the file whose token counts, None when no place has one.

    A renewed token that had to be put beside (see `renewed_place`) counts while it is newer than the first.
    """
    renewed = environ.get("OIDC_REFRESHED_AUTH_TOKEN", "")
    places = ([Path(renewed)] if renewed else []) + _places(name, settings, environ)
    found = next((path for path in places if read_secret_word(path)), None)
    beside = renewed_place(name, settings)
    if found is not None and _own_and_newer(beside, found) and read_secret_word(beside):
        return beside
    return found


def key_file(name: str, settings: Settings, environ: Mapping[str, str]) -> Path | None:
    """Return the file of the key that renews the token, looked for like the token itself."""
    return next((path for path in _places(name, settings, environ) if read_secret_word(path)), None)


def read_secret_word(path: Path) -> str:
    """Return the one printable word in a file, without the white space around it; "" for anything else."""
    return secret_word(read_bounded(path.resolve(), _MAX_TOKEN_BYTES))


def secret_word(text: str) -> str:
    """Return the one printable word in a text, without the white space around it; "" for anything else."""
    word = text.strip()
    return word if _PRINTABLE.fullmatch(word) else ""


def renewed_place(name: str, settings: Settings) -> Path:
    """Return where a renewed token or proxy goes when the place of the old one cannot be written.

    It is the pilot's home: the next incarnations of its workers and supervisor find it there, and it goes with the
    pilot.
    """
    home = settings.home or settings.workdir or settings.launch_dir
    return Path(home) / f".{Path(name).name}{RENEWED_SUFFIX}"


def _own_and_newer(path: Path, other: Path) -> bool:
    try:
        status = path.lstat()
        return status.st_uid == os.getuid() and status.st_mtime_ns > other.stat().st_mtime_ns
    except OSError:
        return False


def _places(name: str, settings: Settings, environ: Mapping[str, str]) -> list[Path]:
    """Return where a token or key may lie, best first: beside the credentials, the pilot's places, home."""
    beside = environ.get("OIDC_AUTH_DIR") or environ.get("PANDA_AUTH_DIR") or environ.get("X509_USER_PROXY") or ""
    places = [Path(beside).parent / name] if beside else []
    own = (environ.get("PILOT_SOURCE_DIR"), environ.get("PILOT_WORK_DIR"), settings.launch_dir, settings.workdir)
    places.extend(Path(place) / name for place in (*own, environ.get("HOME")) if place)
    return places


def usual_place() -> str:
    """Return where grid tools put a user's proxy."""
    return f"/tmp/x509up_u{os.getuid()}"  # noqa: S108 - that very place


def certificate_file(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the file of the pilot's proxy: the one given to it, or a newer one that it renewed; "" for none."""
    given = given_certificate(settings, environ)
    if not given:
        return ""
    beside = renewed_place(given, settings)
    return str(beside) if _own_and_newer(beside, Path(given)) else given


def given_certificate(settings: Settings, environ: Mapping[str, str]) -> str:
    """Return the file of the proxy as it was given to the pilot, "" for none."""
    for place in (settings.ca_cert, environ.get("X509_USER_PROXY", ""), usual_place()):
        if place and Path(place).is_file():
            return place
    return ""


def _authorities(settings: Settings, environ: Mapping[str, str]) -> str:
    for place in (settings.ca_path, environ.get("X509_CERT_DIR", "")):
        if place:
            return place
    return _GRID_AUTHORITIES if Path(_GRID_AUTHORITIES).is_dir() else ""


def _stat(place: str) -> tuple[int, ...]:
    if not place:
        return ()
    try:
        status = Path(place).stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
