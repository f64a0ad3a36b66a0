"""Where a feeder's ranges come from: the stock, and the requests that fill it (event-service 3, 10). Pure."""

from collections import deque
from collections.abc import Callable

from events.ledger import FETCHED, Entry, Ledger, Range
from events.words import Action, AskRanges, RangesCame, RangesFailed, Rules

_REQUEST_FACTOR = 2


class Supply:
    """The ranges that nobody has yet; one request is under way at a time."""

    def __init__(self, rules: Rules, ledger: Ledger, note: Callable[[Entry], None], actions: list[Action]) -> None:
        self._rules = rules
        self._ledger = ledger
        self._note = note
        self._actions = actions
        self._stock = deque(each.id for each in ledger.in_state(FETCHED))
        self._asked = False
        self._ask_at = 0.0
        self._failures = 0

    @property
    def empty(self) -> bool:
        """Whether nothing is in stock and nothing will come."""
        return not self._stock and self._ledger.supply_over

    def take(self) -> Range | None:
        """Take the next range, None while there is none."""
        return self._ledger.ranges[self._stock.popleft()] if self._stock else None

    def answered(self, event: RangesCame | RangesFailed, now: float) -> None:
        """Take the answer to the request under way; one to another request is passed over."""
        if event.number != self._ledger.batches + 1:
            return
        self._asked = False
        if isinstance(event, RangesCame):
            self._came(event)
        else:
            self._failed(event, now)

    def _came(self, event: RangesCame) -> None:
        """Put what is new into the stock; an answer without anything new is the last."""
        self._failures = 0
        told = {each["eventRangeID"]: each for each in event.ranges}
        new = {name: each for name, each in told.items() if name not in self._ledger.ranges}
        for name, each in new.items():
            self._note({"ev": FETCHED, "id": name, "range": each, "batch": event.number})
            self._stock.append(name)
        if not new:
            self._note({"ev": "end", "id": ""})

    def _failed(self, event: RangesFailed, now: float) -> None:
        """Plan the next try, or let the supply be over."""
        if self._failures < len(self._rules.retry_s):
            self._ask_at = now + self._rules.retry_s[self._failures]
            self._failures += 1
        else:
            self._note({"ev": "end", "id": "", "text": event.text})

    def ask(self, now: float) -> None:
        """Ask for ranges if there are too few and it is time."""
        if self._wants_more() and now >= self._ask_at:
            self._asked = True
            self._actions.append(AskRanges(self._ledger.batches + 1, _REQUEST_FACTOR * self._rules.core_count))

    def next_deadline(self) -> float | None:
        """Return when to ask, None when that waits for something else."""
        return self._ask_at if self._wants_more() else None

    def _wants_more(self) -> bool:
        few = len(self._stock) < self._rules.core_count
        return few and not self._asked and not self._ledger.supply_over and not self._ledger.drain
