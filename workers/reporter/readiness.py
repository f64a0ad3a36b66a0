"""Whether a job may be asked for at this moment, whatever the server's dialect (behaviour 8, pitfall P43)."""

import os
from pathlib import Path

from ipc.results import NoJob
from ipc.tasks import AcquireJob
from settings.settings import Settings
from workers.reporter.exchange import Failure, Outcome
from workers.reporter.space import lack_of_space

#: A file of this name in the pilot's home or launch directory: the job under way is the last one.
DRAIN_FILE = "pilot_drain"


def reason_to_wait(settings: Settings, task: AcquireJob) -> Outcome | None:
    """Return the outcome of a request that is not to be made now, None when it may be made.

    A drain file ends the search for jobs; a high load counts as no answer; too little disk ends the pilot (1098).
    """
    for home in _homes(settings, task):
        if (home / DRAIN_FILE).exists():
            return NoJob(reason=f"{home / DRAIN_FILE} is there: no further job is taken", end=True)
    return lack_of_space(settings) or _load(settings)


def _homes(settings: Settings, task: AcquireJob) -> tuple[Path, ...]:
    # The definition is kept in the pilot's own directory below its home.
    home = (Path(task.keep_at).parent.parent,) if task.keep_at else ()
    places = (settings.workdir, settings.launch_dir)
    return (*home, *(Path(place) for place in places if place))


def _load(settings: Settings) -> Failure | None:
    if not settings.enable_load_delay:
        return None
    load, limit = os.getloadavg()[0], (os.cpu_count() or 1) * settings.load_factor
    if load <= limit:
        return None
    return Failure(text=f"the load of {load:.1f} is above {limit:.1f}: no job is asked for now", retry=True)
