"""The conversation of a FetchProxy: the payload's own proxy, fetched from the server and judged (panda-protocol 1.8).

It looks at the file first, so the same task brings the proxy, watches its life, and renews it. Each one is written as
a whole, with mode 0600, into the job directory; the pilot's own identity is another file and is never touched.
"""

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from host.secret_files import write_secret
from ipc.results import ProxyFetched
from ipc.tasks import FetchProxy
from settings.settings import Settings
from workers.reporter.calls import Call
from workers.reporter.calls_credentials import get_proxy
from workers.reporter.certificates import certificate_ends, holds_certificate
from workers.reporter.exchange import Failure, HttpRequest, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.lifetimes import NOTHING, Ends, for_good, verdict
from workers.reporter.server_either import ServerEither
from workers.reporter.server_legacy import ServerLegacy

#: The payload waits for it, and so do the updates of its job.
_LIMIT_S = 30.0


class ProxyFetch:
    """Looks at the proxy, asks for another one if it will not do, and looks again."""

    def __init__(self, task: FetchProxy, settings: Settings, server: ServerEither | ServerLegacy) -> None:
        self.what = "payload proxy"
        self.limit_s = min(_LIMIT_S, settings.http_timeout_s)
        self._task = task
        self._call = server.ask(self.what, self.limit_s, partial(_make, task, settings))
        self._asked = False
        self._notes: list[str] = []
        self._step: Callable[[Reply], Request | Outcome] = self._judge

    def begin(self) -> Request | Outcome:
        """Look at what is there."""
        return self._look()

    def heard(self, reply: Reply) -> Request | Outcome:
        """Go on with what the reply belongs to."""
        return self._step(reply)

    def _look(self) -> Request:
        self._step = self._judge
        return LocalCall(run=partial(_ends, self._task.path))

    def _judge(self, reply: Reply) -> Request | Outcome:
        if isinstance(reply, Lost):
            return Failure(text=reply.text, code=reply.code, retry=True)
        ends = Ends(**json.loads(reply.body))
        code, text = verdict(ends, time.time(), least_s=self._task.least_s, token_least_s=0.0, at_start=False)
        if code and not self._asked:
            self._asked = True
            if ends.kind != NOTHING:
                self._notes.append(f"{code} {text}: another one is asked for")
            self._step = self._take
            return self._next(self._call.begin())
        present = ends.kind != NOTHING
        judged = self._task.verify and (present or self._task.needed)
        code = for_good(code) if judged else 0
        note = "; ".join([*self._notes, *([ends.note] if ends.note and present and not code else [])])
        return ProxyFetched(present=present, code=code, diag=f"payload proxy: {text}" if code else "", note=note)

    def _take(self, reply: Reply) -> Request | Outcome:
        return self._next(self._call.heard(reply))

    def _next(self, found: Request | str | Failure) -> Request | Outcome:
        """Return the next request: the call's own, the storing of what it brought, or another look.

        A first proxy is worth another try later; while the payload runs, what it has is judged as it is.
        """
        if isinstance(found, HttpRequest | LocalCall):
            return found
        if isinstance(found, Failure) and found.retry and not self._task.needed:
            return found
        if isinstance(found, Failure):
            self._notes.append(f"the server gave none: {found.text}")
            return self._look()
        if not holds_certificate(found):
            self._notes.append("the server gave something that is no proxy")
            return self._look()
        self._step = self._stored
        return LocalCall(run=partial(_store, self._task.path, found))

    def _stored(self, reply: Reply) -> Request:
        if isinstance(reply, Lost):
            self._notes.append(f"it cannot be stored: {reply.text}")
        return self._look()


def _make(task: FetchProxy, settings: Settings, dialect: str) -> Call[str]:
    return get_proxy(settings, task.role, task.dn, dialect=dialect)


def _ends(path: str) -> bytes:
    """Return the fields of Ends as JSON; runs in the courier's thread, as files and tools may hang."""
    ends = certificate_ends(path)
    return json.dumps({name: getattr(ends, name) for name in Ends.__dataclass_fields__}).encode()


def _store(path: str, text: str) -> bytes:
    write_secret(Path(path), text)
    return b""
