"""How long the pilot's identity lasts, and what that means: 1163, 1177, 1370, 1373, 1382 (behaviour 10). Pure.

A proxy has two ends: that of the certificates in its file, and that of its VOMS attributes.
"""

import base64
import binascii
import json
import math
from dataclasses import dataclass

from errors.codes import ErrorCode

TOKEN = "token"  # noqa: S105 - the kind of an identity
CERTIFICATE = "certificate"
NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """When an identity ends, epoch seconds; None where that is not known.

    Attributes:
        kind: TOKEN, CERTIFICATE or NOTHING.
        ends_wall: End of the token, or the earliest end of all certificates in the file.
        attributes_end_wall: End of the VOMS attributes.
        limited: It is a limited proxy, which the server refuses.
        note: Why something is not known.
        code: A check that failed by itself: its code; 0 for none.
    """

    kind: str
    ends_wall: float | None = None
    attributes_end_wall: float | None = None
    limited: bool = False
    note: str = ""
    code: int = 0


def verdict(ends: Ends, wall: float, *, least_s: float, token_least_s: float, at_start: bool) -> tuple[int, str]:
    """Return the pilot error code and its text, (0, "") when the identity lasts for long enough or cannot be judged.

    Args:
        ends: What is known.
        wall: Now, epoch seconds.
        least_s: What a proxy must have left.
        token_least_s: What a token must have left; tokens are short-lived by design.
        at_start: Too short a life is then 1382, which tells that no job was touched.
    """
    if ends.kind == NOTHING:
        return int(ErrorCode.NOPROXY), ends.note or "neither a proxy nor a token was found"
    if ends.code:
        return ends.code, ends.note
    if ends.limited:
        return int(ErrorCode.NOVOMSPROXY), "a limited proxy is refused by the server"
    if ends.kind == TOKEN:
        return _short("token", ends.ends_wall, wall, token_least_s, ErrorCode.NOPROXY, at_start=at_start)
    of_certificate = _short(
        "certificate", ends.ends_wall, wall, least_s, ErrorCode.CERTIFICATEHASEXPIRED, at_start=at_start
    )
    if of_certificate[0]:
        return of_certificate
    # Attributes that end soon ask for a renewal; those that are over have failed already.
    code = ErrorCode.NOVOMSPROXY if at_start else ErrorCode.VOMSPROXYABOUTTOEXPIRE
    return _short("life of the VOMS attributes", ends.attributes_end_wall, wall, least_s, code, at_start=at_start)


def for_good(code: int) -> int:
    """Return the code that a job or pilot ends with: 1370 only asks for a renewal, and is 1177 when there is none."""
    return int(ErrorCode.NOVOMSPROXY) if code == ErrorCode.VOMSPROXYABOUTTOEXPIRE else code


def _short(
    what: str, ends_wall: float | None, wall: float, least_s: float, code: ErrorCode, *, at_start: bool
) -> tuple[int, str]:
    if ends_wall is None or ends_wall - wall >= least_s:
        return 0, ""
    left_s = round(ends_wall - wall)
    said = f"ends in {left_s} s" if left_s > 0 else f"has ended {-left_s} s ago"
    text = f"the {what} {said}, {least_s:g} s are needed"
    return int(ErrorCode.PROXYTOOSHORT if at_start and left_s > 0 else code), text


def token_end(token: str) -> float | None:
    """Return the "exp" claim of a JSON web token, None when it is none or says nothing; no signature is looked at."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    end = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(end, bool) or not isinstance(end, int | float) or not math.isfinite(end):
        return None
    return float(end)
