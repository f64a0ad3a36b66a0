"""The conversation of a CheckIdentity: what the identity's life is, a new one if that is due, and the verdict.

The server gives a new token for the old one and a key, and a new proxy for one whose attributes end soon
(panda-protocol 1.8). What it gives replaces the old file by a rename, so that every next request, of a worker started
anew as well, finds it in its place.
"""

import json
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TypeAlias

from errors.codes import ErrorCode
from host.secret_files import write_secret
from ipc.results import IdentityChecked
from ipc.tasks import CheckIdentity
from settings.settings import Settings
from workers.reporter.calls import Call
from workers.reporter.calls_credentials import get_access_token, get_proxy
from workers.reporter.certificates import certificate_ends, text_ends
from workers.reporter.exchange import Answer, Failure, HttpRequest, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.identity import (
    certificate_file,
    given_certificate,
    key_file,
    read_secret_word,
    renewed_place,
    secret_word,
    token_file,
    token_names,
)
from workers.reporter.lifetimes import NOTHING, TOKEN, Ends, for_good, token_end, verdict
from workers.reporter.server_either import Either, ServerEither
from workers.reporter.server_legacy import ServerLegacy
from workers.reporter.server_v1 import Exchange

_Store: TypeAlias = Callable[[str, Settings, Mapping[str, str]], bytes]
_LIMIT_S = 60.0


class IdentityCheck:
    """Looks, renews when that is due or needed, and looks again."""

    def __init__(
        self,
        task: CheckIdentity,
        settings: Settings,
        environ: Mapping[str, str],
        server: ServerEither | ServerLegacy,
    ) -> None:
        self.what = "identity"
        self.limit_s = min(_LIMIT_S, settings.http_timeout_s)
        self._task = task
        self._settings = settings
        self._environ = environ
        self._server = server
        self._asked = False
        self._note = ""
        self._renewed = False
        self._step: Callable[[Reply], Request | Outcome] = self._judge

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
        if not self._asked and self._wants_another(ends, code):
            self._asked = True
            return self._ask_token() if ends.kind == TOKEN else self._ask_proxy(code, text)
        code = for_good(code) if self._task.verify else 0
        note = "; ".join(part for part in (self._note, ends.note if not code else "") if part)
        return IdentityChecked(code=code, diag=text if code else "", note=note, renewed=self._renewed)

    def _wants_another(self, ends: Ends, code: int) -> bool:
        if ends.kind == TOKEN:
            return self._task.renew or (self._task.may_renew and code != 0)
        return code == ErrorCode.VOMSPROXYABOUTTOEXPIRE and bool(self._task.proxy_role)

    def _ask_token(self) -> Request:
        name = self._environ.get("PANDA_AUTH_TOKEN_KEY", "")
        path = key_file(name, self._settings, self._environ) if name else None
        if path is None:
            return self._add("the token cannot be renewed: its key cannot be read")
        key = read_secret_word(path)
        return self._ask("token", lambda dialect: get_access_token(self._settings, key, dialect=dialect), _store_token)

    def _ask_proxy(self, code: int, text: str) -> Request:
        self._note = f"{code} {text}: a new proxy is asked for"
        role, dn = self._task.proxy_role, self._task.proxy_dn
        return self._ask("proxy", lambda dialect: get_proxy(self._settings, role, dn, dialect=dialect), _store_proxy)

    def _ask(self, kind: str, make: Callable[[str], Call[str]], store: _Store) -> Request:
        call = self._server.ask(kind, self.limit_s, make)
        self._step = partial(self._take, kind, call, store)
        return self._or_look(kind, call.begin(), store)

    def _take(self, kind: str, call: Either[str] | Exchange[str], store: _Store, reply: Reply) -> Request:
        return self._or_look(kind, call.heard(reply), store)

    def _or_look(self, kind: str, found: Request | str | Failure, store: _Store) -> Request:
        """Return the next request: the call's own, the storing of what it brought, or another look."""
        if isinstance(found, HttpRequest | LocalCall):
            return found
        if isinstance(found, Failure):
            return self._add(f"the {kind} was not renewed: {found.text}")
        if not (_is_usable_token(found) if kind == "token" else self._is_usable_proxy(found)):
            return self._add(f"the {kind} was not renewed: the server gave no usable {kind}")
        self._step = partial(self._stored, kind)
        return LocalCall(run=partial(store, found, self._settings, self._environ))

    def _stored(self, kind: str, reply: Reply) -> Request:
        self._renewed = isinstance(reply, Answer)
        return self._add(f"the {kind} was renewed" if self._renewed else f"the renewed {kind} cannot be stored")

    def _add(self, said: str) -> Request:
        self._note = f"{self._note}; {said}" if self._note else said
        return self._look()

    def _is_usable_proxy(self, text: str) -> bool:
        """Tell whether a proxy that the server gave is one, and lasts for as long as it must."""
        least_s = self._task.least_s
        return verdict(text_ends(text), time.time(), least_s=least_s, token_least_s=0.0, at_start=False)[0] == 0


def _is_usable_token(token: str) -> bool:
    end = token_end(token)
    return bool(secret_word(token)) and (end is None or end > time.time())


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
    certificate = certificate_file(settings, environ)
    return certificate_ends(certificate) if certificate else Ends(kind=NOTHING)


def _store_token(token: str, settings: Settings, environ: Mapping[str, str]) -> bytes:
    name = token_names(environ)[0]
    return _store(token, token_file(name, settings, environ), name, settings)


def _store_proxy(proxy: str, settings: Settings, environ: Mapping[str, str]) -> bytes:
    path = given_certificate(settings, environ)
    return _store(proxy, Path(path), path, settings)


def _store(text: str, path: Path | None, name: str, settings: Settings) -> bytes:
    """Write what the server gave in place of the old one, else beside the pilot's own files."""
    if path is not None:
        try:
            write_secret(path.resolve(), text)
        except OSError:
            path = None
    if path is None:
        write_secret(renewed_place(name, settings), text)
    return b""
