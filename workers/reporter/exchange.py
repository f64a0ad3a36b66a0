"""The words of the reporter's parts: requests, replies, outcomes, and conversations that turn one into the other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from errors.codes import ErrorCode
from ipc.results import Result

T_co = TypeVar("T_co", covariant=True)
MAX_ANSWER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One HTTP request. `authenticated` asks for the pilot's identity, which is read when it is sent."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    authenticated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalCall:
    """Work on local files, which may hang like a server (CVMFS, NFS); an OSError or ValueError becomes a Lost."""

    run: Callable[[], bytes]


Request: TypeAlias = HttpRequest | LocalCall


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A whole answer: HTTP status (200 for a local call), body as it is after decompression, redirect target."""

    status: int = 200
    body: bytes = b""
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """No usable answer: what happened, free of secrets. For a POST it means unknown, not failed (pitfall P70)."""

    text: str
    code: int = int(ErrorCode.COMMUNICATIONFAILURE)


Reply: TypeAlias = Answer | Lost


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The task failed: catalogue code, text, and whether doing it again may help."""

    text: str
    code: int = int(ErrorCode.COMMUNICATIONFAILURE)
    retry: bool


Outcome: TypeAlias = Result | Failure


class Talk(Protocol[T_co]):
    """Requests and replies that end with a T_co or a failure; nothing in it waits, sends or looks at a clock.

    Attributes:
        what: What is done, for people.
        limit_s: Seconds that each of its requests may take in all.
    """

    what: str
    limit_s: float

    def begin(self) -> Request | T_co | Failure:
        """Return the first request, or the outcome when there is nothing to ask."""

    def heard(self, reply: Reply) -> Request | T_co | Failure:
        """Return what follows from the reply to the last request."""


#: One task.
Conversation: TypeAlias = Talk[Result]
