"""Reads when the certificates and VOMS attributes of a proxy file end: with `cryptography`, else with a grid tool.

`cryptography` is an optional extra; without it the tools of the node are asked (arcproxy, voms-proxy-info, openssl),
by argument list. When nothing can tell, the answer says so and nothing is judged.
"""

import os
import re
import shutil
import ssl
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

from errors.codes import ErrorCode
from host.files import read_bounded
from workers.reporter.lifetimes import CERTIFICATE, NOTHING, Ends

_MAX_BYTES = 1024 * 1024
_MAX_CHAIN = 20
_TOOL_LIMIT_S = 10.0
_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]{1,200000}-----END CERTIFICATE-----")
_AC_OID = "1.3.6.1.4.1.8005.100.100.5"
#: The validity of an attribute certificate is the one place in it where two generalized times stand side by side.
_AC_VALIDITY = re.compile(rb"\x18\x0f\d{14}Z\x18\x0f(\d{14})Z")
_LIMITED = "limited proxy"


def holds_certificate(text: str) -> bool:
    """Tell whether a text has a PEM certificate in it, whatever that is worth."""
    return len(text) <= _MAX_BYTES and _BLOCK.search(text) is not None


def text_ends(text: str) -> Ends:
    """Return what can be known of a proxy that is in no file yet; without `cryptography` that is nothing."""
    blocks = _BLOCK.findall(text[:_MAX_BYTES])[:_MAX_CHAIN]
    try:
        return _by_library(blocks) if blocks else Ends(kind=NOTHING)
    except ImportError:
        return Ends(kind=CERTIFICATE)
    except ValueError:
        return Ends(kind=NOTHING)


def certificate_ends(path: str) -> Ends:
    """Return what can be known of the proxy file; it blocks for some milliseconds, with a tool for up to 10 s."""
    text = read_bounded(Path(path).resolve(), _MAX_BYTES)
    blocks = _BLOCK.findall(text)[:_MAX_CHAIN]
    if not blocks:
        return Ends(kind=NOTHING, note=f"no certificate can be read from {Path(path).name}")
    try:
        return _by_library(blocks)
    except ImportError:
        return by_tools(path, blocks)
    except ValueError as error:
        return Ends(kind=CERTIFICATE, code=int(ErrorCode.NOVOMSPROXY), note=f"a certificate cannot be read: {error}")


def _by_library(blocks: list[str]) -> Ends:
    from cryptography import x509  # noqa: PLC0415 - optional, and only this check needs it

    ends_wall: list[float] = []
    attributes: list[float] = []
    limited = False
    for block in blocks:
        certificate = x509.load_pem_x509_certificate(block.encode())
        ends_wall.append(certificate.not_valid_after_utc.timestamp())
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        limited = limited or any(name.value == _LIMITED for name in names)
        for extension in certificate.extensions:
            if extension.oid.dotted_string == _AC_OID and isinstance(extension.value, x509.UnrecognizedExtension):
                attributes += _attribute_ends(extension.value.value)
    return Ends(
        kind=CERTIFICATE,
        ends_wall=min(ends_wall),
        attributes_end_wall=min(attributes, default=None),
        limited=limited,
    )


def _attribute_ends(raw: bytes) -> list[float]:
    found = _AC_VALIDITY.search(raw)
    if found is None:
        return []
    return [datetime.strptime(found[1].decode(), "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()]


def by_tools(path: str, blocks: list[str]) -> Ends:
    """Return what the first tool that can tell says."""
    trouble = Ends(kind=CERTIFICATE, note="the proxy's life cannot be checked: neither cryptography nor a tool is here")
    for tool, ask in (("arcproxy", _arcproxy), ("voms-proxy-info", _voms_proxy_info), ("openssl", _openssl)):
        program = shutil.which(tool)
        if program is None:
            continue
        try:
            told = ask(program, path, blocks)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            told = Ends(kind=CERTIFICATE, note=f"{tool}: {type(error).__name__}")
        if told.ends_wall is not None:
            return told
        trouble = told if told.code or not trouble.code else trouble
    return trouble


def _run(arguments: list[str], given: str = "") -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name in _TOOL_VARIABLES}
    return subprocess.run(
        arguments, input=given, capture_output=True, text=True, errors="replace", timeout=_TOOL_LIMIT_S, env=environ,
        check=False,
    )  # fmt: skip


_TOOL_VARIABLES = frozenset({"PATH", "LD_LIBRARY_PATH", "HOME", "X509_CERT_DIR", "X509_VOMS_DIR"})


def _arcproxy(program: str, path: str, _blocks: list[str]) -> Ends:
    done = _run([program, "-P", path, "-i", "validityLeft", "-i", "vomsACvalidityLeft"])
    if done.returncode != 0:
        return _arcproxy_failed(done.stdout, done.stderr)
    numbers = [float(line) for line in done.stdout.split() if re.fullmatch(r"\d{1,12}", line)]
    return _left(numbers)


def _arcproxy_failed(stdout: str, stderr: str) -> Ends:
    """Map arcproxy's words to codes (error-codes.json, proxy_text_patterns)."""
    if "Unable to verify signature! Server certificate possibly not installed" in stdout + stderr:
        return Ends(kind=CERTIFICATE, note="arcproxy cannot verify the attributes: the check is left out")
    if "arcproxy: error while loading shared libraries" in stderr:
        return Ends(kind=CERTIFICATE, note=f"{int(ErrorCode.ARCPROXYLIBFAILURE)}: arcproxy lacks a library; ignored")
    code = ErrorCode.ARCPROXYFAILURE if "arcproxy:" in stdout + stderr else ErrorCode.NOVOMSPROXY
    return Ends(kind=CERTIFICATE, code=int(code), note="arcproxy refuses the proxy")


def _voms_proxy_info(program: str, path: str, _blocks: list[str]) -> Ends:
    numbers = []
    for option in ("-timeleft", "-actimeleft"):
        done = _run([program, "-file", path, option])
        if done.returncode == 0 and re.fullmatch(r"\s*\d{1,12}\s*", done.stdout):
            numbers.append(float(done.stdout))
    return _left(numbers)


def _left(numbers: list[float]) -> Ends:
    """Return the ends from the seconds left of the certificate and, if there, of the attributes."""
    wall = time.time()
    return Ends(
        kind=CERTIFICATE,
        ends_wall=wall + numbers[0] if numbers else None,
        attributes_end_wall=wall + numbers[1] if len(numbers) > 1 else None,
        note="" if numbers else "the tool says nothing of the proxy's life",
    )


def _openssl(program: str, _path: str, blocks: list[str]) -> Ends:
    ends: list[float] = []
    limited = False
    for block in blocks:
        done = _run([program, "x509", "-noout", "-enddate", "-subject"], block)
        found = re.search(r"notAfter=(.+)", done.stdout)
        if done.returncode != 0 or found is None:
            raise ValueError("no notAfter")
        ends.append(float(ssl.cert_time_to_seconds(found[1].strip())))
        limited = limited or re.search(rf"CN\s*=\s*{_LIMITED}\s*(?:$|[,/])", done.stdout, re.MULTILINE) is not None
    note = "openssl cannot read the life of VOMS attributes"
    return Ends(kind=CERTIFICATE, ends_wall=min(ends), limited=limited, note=note)
