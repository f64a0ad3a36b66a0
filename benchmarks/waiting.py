"""Waiting for something that can be seen, with a deadline."""

import time
from collections.abc import Callable
from typing import TypeVar

from benchmarks.scenario import WrongOutcomeError

_T = TypeVar("_T")


def wait_for(look: Callable[[], _T | None], timeout_s: float, what: str, poll_s: float = 0.001) -> _T:
    """Return what `look` gives as soon as that is something.

    Raises:
        WrongOutcomeError: it was nothing for `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            raise WrongOutcomeError(f"not within {timeout_s} s: {what}")
        time.sleep(poll_s)
