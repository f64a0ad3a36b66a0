"""What a job leaves at an access point that the next one shares: it must not be taken for the next one's.

Harvester's messenger gives the attributes that lie there to every job of the worker, whichever wrote them; a job that
was just fed would be over at once. So they go as soon as it is certain that Harvester has read the last word of the job
before: in each of its rounds it reads the attributes first, then takes the dump, then acknowledges.
"""

import logging
import time
from pathlib import Path

from settings.handover import Handover

_LOG = logging.getLogger("reporter")
#: A round that took a dump which lay there so long after the last attributes has read these.
_ROUND_S = 5.0


class Turnover:
    """Looks after the access point between two jobs; the last attributes are there when it first looks."""

    def __init__(self) -> None:
        self._unread_since = 0.0
        self._sure = False

    def look(self, handover: Handover) -> None:
        """Remove the attributes of the job before once Harvester has read them, not before.

        Raises:
            OSError: they cannot be removed.
        """
        if not handover.harvester_updates:
            return
        point = Path(handover.access_point)
        dump = point / handover.names.dump
        if dump.exists() or dump.with_name(f"{dump.name}.read").exists():
            moment = time.monotonic()
            self._unread_since = self._unread_since or moment
            self._sure = self._sure or (dump.exists() and moment - self._unread_since >= _ROUND_S)
        elif self._sure:
            self._sure = False
            _LOG.info("Harvester has read the last word of the job before; its attributes are removed")
            (point / handover.names.attributes).unlink(missing_ok=True)

    def reset(self) -> None:
        """Begin anew: a job was taken."""
        self._unread_since, self._sure = 0.0, False
