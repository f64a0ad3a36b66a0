"""The information service as Harvester imports it: this module stands for one, each thread has its own queue in it."""

from typing import Any

from pilot.info.infoservice import InfoService

_SERVICE = InfoService()
init = _SERVICE.init


def __getattr__(name: str) -> Any:
    """Return what this thread's service has: `pandaqueue`, `queuedata`, `confinfo`, `extinfo`."""
    return getattr(_SERVICE, name)
