"""The information service as Harvester calls it: `init` with a queue's name, then `queuedata`."""

import threading
from types import SimpleNamespace
from typing import Any


class InfoService(threading.local):
    """Which queue is meant, for each thread its own: Harvester brings files for several queues side by side.

    Nothing is looked up here: that is left to the transfers which need it.

    Attributes:
        pandaqueue: the queue's name, "" before `init`.
        queuedata: what the caller sets about the queue; transfers of whole files need none of it.
        confinfo: passed back by the caller.
        extinfo: passed back by the caller.
    """

    def __init__(self) -> None:
        self.pandaqueue = ""
        self.queuedata = SimpleNamespace()
        self.confinfo: Any = None
        self.extinfo: Any = None

    def init(self, pandaqueue: str, confinfo: Any = None, extinfo: Any = None, **_more: Any) -> None:
        """Take the queue's name."""
        self.pandaqueue = pandaqueue
        self.confinfo, self.extinfo = confinfo, extinfo
        self.queuedata = SimpleNamespace(name=pandaqueue, direct_access_lan=False, direct_access_wan=False)
