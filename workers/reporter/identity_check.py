"""The conversation of a CheckIdentity: what the identity's life is, a new token if that is due, and the verdict.

The server gives a new token for the old one and a key (panda-protocol 1.8). It replaces the old file by a rename, so
that every next request, of a worker started anew as well, finds it in its place.
"""

import json
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_url

from errors.exceptions import RetryError
from host.secret_files import write_secret
from ipc.schema import CheckIdentity, IdentityChecked
from settings.server import server_url
from settings.settings import Settings
from workers.reporter.certificates import certificate_ends
from workers.reporter.dialect_v1 import user_agent
from workers.reporter.exchange import Answer, Failure, HttpRequest, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.foreign_json import ForeignJsonError, read_object
from workers.reporter.identity import (
    key_file,
    read_identity,
    read_secret_word,
    renewed_place,
    token_file,
    token_names,
)
from workers.reporter.lifetimes import NOTHING, TOKEN, Ends, token_end, verdict

_CALL = "api/v1/creds/get_access_token"
_NAMES = ("user_proxy", "access_token", "userProxy")
_LIMIT_S = 60.0


class IdentityCheck:
    """Looks, renews when that is due or needed, and looks again."""

    def __init__(self, task: CheckIdentity, settings: Settings, environ: Mapping[str, str]) -> None:
        self.what = "identity"
        self.limit_s = min(_LIMIT_S, settings.http_timeout_s)
        self._task = task
        self._settings = settings
        self._environ = environ
        self._asked = False
        self._note = ""
        self._renewed = False
        self._step = self._judge

    def begin(self) -> Request | Outcome:
        """Look first: a token that is well needs no renewal but at its time."""
        return self._look()

    def heard(self, reply: Reply) -> Request | Outcome:
        """Go on with what the reply belongs to."""
        return self._step(reply)

    def _look(self) -> Request:
        self._step = self._judge
        return LocalCall(run=partial(_look, self._settings, self._environ))

    def _judge(self, reply: Reply) -> Request | Outcome:
        if isinstance(reply, Lost):
            return Failure(text=reply.text, code=reply.code, retry=True)
        ends = Ends(**json.loads(reply.body))
        code, text = verdict(
            ends,
            time.time(),
            least_s=self._task.least_s,
            token_least_s=self._task.token_least_s,
            at_start=self._task.at_start,
        )
        wanted = self._task.renew or (self._task.may_renew and code != 0)
        if ends.kind == TOKEN and wanted and not self._asked:
            self._asked = True
            return self._ask()
        if not self._task.verify:
            code, text = 0, ""
        note = "; ".join(part for part in (self._note, ends.note if not code else "") if part)
        return IdentityChecked(code=code, diag=text, note=note, renewed=self._renewed)

    def _ask(self) -> Request:
        name = self._environ.get("PANDA_AUTH_TOKEN_KEY", "")
        path = key_file(name, self._settings, self._environ) if name else None
        if path is None:
            self._note = "the token cannot be renewed: its key cannot be read"
            return self._look()
        self._step = self._take
        key = quote_url(read_secret_word(path), safe="")
        headers = (
            ("User-Agent", user_agent(self._settings)),
            ("Content-Type", "application/json"),
            ("Accept", "application/json"),
        )
        url = f"{server_url(self._settings)}/{_CALL}?client_name=pilot_server&token_key={key}"
        return HttpRequest(method="GET", url=url, headers=headers, authenticated=True)

    def _take(self, reply: Reply) -> Request:
        if isinstance(reply, Lost):
            self._note = f"the token was not renewed: {reply.text}"
            return self._look()
        token = _new_token(reply)
        end = token_end(token)
        if not token or (end is not None and end <= time.time()):
            self._note = f"the token was not renewed: HTTP {reply.status} without a usable token"
            return self._look()
        self._step = self._stored
        return LocalCall(run=partial(_store, token, self._settings, self._environ))

    def _stored(self, reply: Reply) -> Request:
        self._renewed = isinstance(reply, Answer)
        self._note = "the token was renewed" if self._renewed else "the renewed token cannot be stored"
        return self._look()


def _new_token(answer: Answer) -> str:
    """Return the token in an answer of v1 (`data.user_proxy`, also `access_token`), "" when there is none."""
    try:
        envelope = read_object(answer.body) if answer.status == 200 else {}
    except ForeignJsonError:
        return ""
    inner = envelope.get("data")
    data: dict[str, Any] = inner if isinstance(inner, dict) else envelope
    if envelope.get("success", True) is not True or str(data.get("StatusCode", 0)) != "0":
        return ""
    word = next((data[name] for name in _NAMES if isinstance(data.get(name), str)), "").strip()
    printable = word.isascii() and word.isprintable() and " " not in word
    return word if printable else ""


def _look(settings: Settings, environ: Mapping[str, str]) -> bytes:
    """Return the fields of Ends as JSON; runs in the courier's thread, as files and tools may hang."""
    ends = _ends(settings, environ)
    return json.dumps({name: getattr(ends, name) for name in Ends.__dataclass_fields__}).encode()


def _ends(settings: Settings, environ: Mapping[str, str]) -> Ends:
    name, origin = token_names(environ)
    if name and origin:
        path = token_file(name, settings, environ)
        if path is None:
            return Ends(kind=NOTHING, note=f"no token can be read from a file named {Path(name).name}")
        end = token_end(read_secret_word(path))
        return Ends(kind=TOKEN, ends_wall=end, note="" if end else "the token does not say when it ends")
    try:
        certificate = read_identity(settings, environ).certificate
    except RetryError as error:
        return Ends(kind=NOTHING, note=error.detail)
    if not certificate:
        return Ends(kind=NOTHING)
    return certificate_ends(certificate)


def _store(token: str, settings: Settings, environ: Mapping[str, str]) -> bytes:
    """Write the new token in place of the old one, else beside the pilot's own files."""
    name = token_names(environ)[0]
    path = token_file(name, settings, environ)
    if path is not None:
        try:
            write_secret(path.resolve(), token)
        except OSError:
            path = None
    if path is None:
        write_secret(renewed_place(name, settings), token)
    return b""
