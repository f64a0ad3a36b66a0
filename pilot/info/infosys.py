"""The information service as Harvester calls it: `init` and two names that it passes back. It looks nothing up."""

from typing import Any

confinfo: dict[str, Any] = {}
extinfo: dict[str, Any] = {}


class InfoService:
    """What `StageInClient` is given; the queue's name is all it holds."""

    def __init__(self, pandaqueue: str = "") -> None:
        self.pandaqueue = pandaqueue

    def init(self, pandaqueue: str, _confinfo: Any = None, _extinfo: Any = None, **_more: Any) -> None:
        """Take the queue's name."""
        self.pandaqueue = pandaqueue


def init(pandaqueue: str, _confinfo: Any = None, _extinfo: Any = None, **_more: Any) -> InfoService:
    """Return an information service for a queue."""
    return InfoService(pandaqueue)
