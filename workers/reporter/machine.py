"""Which call is under way for which lease: one at a time, in order, each with a deadline (pure).

Each call has a number; a reply under another number than the current one is that of an abandoned call and changes
nothing.
"""

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from workers.reporter.exchange import Conversation, HttpRequest, LocalCall, Lost, Outcome, Reply, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """Hand the request to the courier; a reply is of use until `deadline` (monotonic seconds)."""

    number: int
    request: Request
    deadline: float


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Abandon the call under way: its thread and connection are not to be used again."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Tell the supervisor how the work under `lease` ended."""

    lease: str
    outcome: Outcome


Action: TypeAlias = Carry | GiveUp | Finish


@dataclass(slots=True, kw_only=True)
class _Work:
    lease: str
    conversation: Conversation
    number: int = 0
    deadline: float = 0.0


class Machine:
    """The calls in work; every method returns what is to be done, in order."""

    def __init__(self) -> None:
        self._number = 0
        self._current: _Work | None = None
        self._waiting: deque[_Work] = deque()

    @property
    def doing(self) -> str:
        """What is under way, "idle" for nothing."""
        return self._current.conversation.what if self._current is not None else "idle"

    def submit(self, lease: str, conversation: Conversation, mono: float) -> list[Action]:
        """Take a task; one whose lease is in work already is ignored."""
        held = [*self._waiting, *([self._current] if self._current is not None else [])]
        if any(work.lease == lease for work in held):
            return []
        self._waiting.append(_Work(lease=lease, conversation=conversation))
        return self._next(mono)

    def heard(self, number: int, reply: Reply, mono: float) -> list[Action]:
        """Take the reply to call `number`."""
        work = self._current
        if work is None or work.number != number:
            return []
        return self._follow(work, work.conversation.heard(reply), mono)

    def cancel(self, lease: str, mono: float) -> list[Action]:
        """Drop a task; nothing is answered."""
        self._waiting = deque(work for work in self._waiting if work.lease != lease)
        work = self._current
        if work is None or work.lease != lease:
            return []
        self._current = None
        return [GiveUp(number=work.number), *self._next(mono)]

    def tick(self, mono: float) -> list[Action]:
        """Abandon the call that overran its deadline; its conversation hears that no answer came."""
        work = self._current
        if work is None or mono < work.deadline:
            return []
        lost = Lost(text=f"{work.conversation.what}: no complete answer within {work.conversation.limit_s:g} s")
        return [GiveUp(number=work.number), *self._follow(work, work.conversation.heard(lost), mono)]

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do, None when only a reply can bring it on."""
        return self._current.deadline if self._current is not None else None

    def _follow(self, work: _Work, step: Request | Outcome, mono: float) -> list[Action]:
        if isinstance(step, (HttpRequest, LocalCall)):
            self._number += 1
            work.number = self._number
            work.deadline = mono + work.conversation.limit_s
            self._current = work
            return [Carry(number=work.number, request=step, deadline=work.deadline)]
        self._current = None
        return [Finish(lease=work.lease, outcome=step), *self._next(mono)]

    def _next(self, mono: float) -> list[Action]:
        if self._current is not None or not self._waiting:
            return []
        work = self._waiting.popleft()
        return self._follow(work, work.conversation.begin(), mono)
