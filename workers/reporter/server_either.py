"""The server in the dialect that it speaks: v1, and legacy by itself where v1 is not known (panda-protocol 0, 1.4).

Decided once for each life of the reporter. Until then a v1 call that is answered 403 "forbidden" or 404 is asked once
more in the legacy dialect, in the same conversation; the first answer that is one decides. So a call costs two requests
at the most, and a server that merely starts (404 to both) stays with v1.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ipc.results import Result
from ipc.tasks import AcquireJob, SendUpdate
from settings.settings import Settings
from workers.reporter import dialect_legacy
from workers.reporter.answers import names_method, unknown_dialect
from workers.reporter.call_names import call_names
from workers.reporter.calls import Call
from workers.reporter.dialect_v1 import open_envelope
from workers.reporter.exchange import Answer, Failure, Reply, Request, Talk
from workers.reporter.server_legacy import ServerLegacy
from workers.reporter.server_v1 import Exchange, ServerV1

T = TypeVar("T")
_LOG = logging.getLogger("reporter")
#: A server that is exchanged for a newer one takes its legacy dialect away; that often is it followed.
_MAX_RETURNS = 1


@dataclass(slots=True)
class Choice:
    """The dialect decided on: "v1", "legacy", or "" as long as no server answered; `returns` counts changes of mind."""

    dialect: str = ""
    returns: int = 0

    def settle(self, dialect: str) -> None:
        """Decide, and say so if it is not the usual."""
        if self.dialect == dialect:
            return
        self.dialect = dialect
        if dialect == "legacy":
            _LOG.warning("the server does not know API v1: the legacy API is spoken from here on")


class Either(Generic[T]):
    """A conversation in the dialect decided on, in both while none is."""

    def __init__(self, choice: Choice, v1: Talk[T], legacy: Talk[T] | None) -> None:
        """Take the same call in both dialects; `legacy` is None where that dialect does not have it."""
        self.what = v1.what
        self.limit_s = v1.limit_s
        self._choice = choice
        self._v1 = v1
        self._legacy = legacy
        self._dialect = "v1"
        self._other: Reply | None = None

    def begin(self) -> Request | T | Failure:
        """Ask in the dialect decided on, in v1 while none is; it may have been decided while this call waited."""
        if self._choice.dialect == "legacy" and self._legacy is not None:
            self._dialect = "legacy"
        return self._exchange().begin()

    def heard(self, reply: Reply) -> Request | T | Failure:
        """Take the answer; ask in the other dialect if the server does not know this one."""
        if self._other is not None:
            return self._heard_other(reply, self._other)
        if self._legacy is None or not self._may_change(reply):
            if self._choice.dialect == "" and self._dialect == "v1" and _is_v1(reply):
                self._choice.settle("v1")
            return self._exchange().heard(reply)
        self._other = reply
        self._dialect = "v1" if self._dialect == "legacy" else "legacy"
        return self._exchange().begin()

    def _may_change(self, reply: Reply) -> bool:
        if self._dialect == "v1":
            # "legacy": another call found it out while this one was under way.
            return self._choice.dialect != "v1" and unknown_dialect(reply)
        return self._choice.returns < _MAX_RETURNS and names_method(reply)

    def _heard_other(self, reply: Reply, first: Reply) -> Request | T | Failure:
        """Decide after both dialects were asked; when neither is known, v1 says why."""
        legacy_reply = reply if self._dialect == "legacy" else first
        v1_reply = first if self._dialect == "legacy" else reply
        if self._dialect == "v1" and _is_v1(reply):
            self._choice.returns += 1
            _LOG.warning("the server took its legacy API away: API v1 is spoken again")
            self._choice.settle("v1")
        elif self._dialect == "legacy" and _is_legacy(reply):
            self._choice.settle("legacy")
        elif self._dialect == "legacy" and names_method(legacy_reply):
            self._choice.settle("v1")
        if unknown_dialect(legacy_reply):
            return self._v1.heard(v1_reply)
        return self._exchange().heard(reply)

    def _exchange(self) -> Talk[T]:
        return self._legacy if self._dialect == "legacy" and self._legacy is not None else self._v1


def _is_v1(reply: Reply) -> bool:
    return isinstance(reply, Answer) and reply.status == 200 and not isinstance(open_envelope(reply), Failure)


def _is_legacy(reply: Reply) -> bool:
    if not isinstance(reply, Answer) or reply.status != 200:
        return False
    return not isinstance(dialect_legacy.open_answer(reply), Failure)


class ServerEither:
    """Source and sink in the dialect that the server speaks."""

    def __init__(self, settings: Settings) -> None:
        self._v1 = ServerV1(settings)
        self._legacy = ServerLegacy(settings)
        self.choice = Choice()

    def acquire(self, task: AcquireJob) -> Either[Result]:
        """Ask for one job."""
        return Either(self.choice, self._v1.acquire(task), self._legacy.acquire(task))

    def deliver(self, task: SendUpdate) -> Either[Result]:
        """Send one update, or another call whose answer is only yes or no."""
        names = call_names(task.call)
        legacy = self._legacy.deliver(task) if names is not None and names.legacy else None
        return Either(self.choice, self._v1.deliver(task), legacy)

    def ask(self, what: str, limit_s: float, make: Callable[[str], Call[T]]) -> Either[T]:
        """Carry out another call that both dialects have; `make` makes it for "v1" or "legacy"."""
        v1: Exchange[T] = Exchange(
            what=what, limit_s=limit_s, ask=lambda: make("v1").request, read=lambda reply: make("v1").read(reply)
        )
        legacy: Exchange[T] = self._legacy.ask(what, limit_s, make)
        return Either(self.choice, v1, legacy)
