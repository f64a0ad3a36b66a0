"""Where the descriptions of queue and storages come from, and what is put over them (panda-protocol 8.1). Pure."""

from collections.abc import Mapping
from functools import lru_cache

from errors.codes import ErrorCode
from errors.exceptions import JobError
from ipc.tasks import FetchQueue
from jobs.definition import JobDefinition
from jobs.ledger import Hunt
from queues.faults import QueueError
from queues.queue import Queue, parse_queue
from queues.storages import Storage, parse_storages
from settings.settings import Settings

#: The names that the caches have in the pilot's home, and that a wrapper may place into the launch directory.
QUEUE_CACHE = "queuedata.json"
FULL_CACHE = "cric_pandaqueues.json"
STORAGE_CACHE = "cric_ddmendpoints.json"
#: The PanDA server gives the same document on its port without TLS, where the pilots in use fetch it (pitfall P114).
_QUEUE_URL = "https://pandaserver.cern.ch:25443/cache/schedconfig/{pandaqueue}.all.json"
_FULL_URL = "https://atlas-cric.cern.ch/cache/schedconfig/{pandaqueue}.json"
_STORAGE_URL = "https://atlas-cric.cern.ch/cache/ddmendpoints.json"
_CVMFS = "/cvmfs"
_CVMFS_COPIES = "atlas.cern.ch/repo/sw/local/etc"
#: What must be readable on CVMFS before a pilot of an experiment begins.
_NEEDED = {"atlas": ("atlas.cern.ch/repo/sw",)}


def queue_task(settings: Settings, main_dir: str) -> FetchQueue:
    """Return the task that gets the queue's and the storages' descriptions, from the sources in the order of 8.1.

    A description that the user names takes the place of the server's; the copies of CVMFS and CRIC then serve ATLAS
    alone, as another experiment's queue of the same name is none of theirs. The task has no sources when a job file is
    run and no description is named: then `local_queue` serves.
    """
    if settings.job_file and not settings.queuedata_url:
        return FetchQueue(queue=settings.queue, queue_sources=(), storage_sources=())
    local = settings.launch_dir.rstrip("/")
    base = f"{_cvmfs(settings)}/{_CVMFS_COPIES}"
    is_atlas = settings.pilot_user.lower() == "atlas"
    silent = settings.handover.updates_to_files
    # A pilot that tells nobody anything asks nobody either, unless it is told whom (hpc-and-harvester 5).
    named = settings.queuedata_url or ("" if silent else _QUEUE_URL)
    full_url = settings.queues_url or ("" if silent else _FULL_URL)
    queues = (f"{base}/{FULL_CACHE}", *((full_url,) if full_url else ()))
    storages = (f"{base}/{STORAGE_CACHE}", _STORAGE_URL)
    full = dict(settings.environment).get("LOCAL_AGIS_SCHEDCONF", "")
    others = queues if is_atlas or settings.queues_url or not settings.queuedata_url else ()
    return FetchQueue(
        queue=settings.queue,
        queue_sources=(f"{local}/{QUEUE_CACHE}", *((named,) if named else ()), *others),
        full_sources=(*((full,) if full else ()), f"{local}/{FULL_CACHE}", *others),
        storage_sources=(
            *((settings.storagedata_url,) if settings.storagedata_url else ()),
            *_other_storages(
                settings,
                f"{local}/{STORAGE_CACHE}",
                storages if is_atlas or not settings.storagedata_url else (),
            ),
        ),
        cache_dir=settings.information_cache_dir or main_dir,
        needed_paths=_needed(settings),
    )


def _other_storages(settings: Settings, beside: str, copies: tuple[str, ...]) -> tuple[str, ...]:
    """Return the sources behind the one that was named; a pilot without updates asks nobody else."""
    if settings.handover.updates_to_files:
        return ()
    return (beside, *copies)


def _cvmfs(settings: Settings) -> str:
    return (dict(settings.environment).get("ATLAS_SW_BASE") or _CVMFS).rstrip("/")


def _needed(settings: Settings) -> tuple[str, ...]:
    if not settings.check_cvmfs or "NO_CVMFS_OK" in dict(settings.environment):
        return ()
    return tuple(f"{_cvmfs(settings)}/{path}" for path in _NEEDED.get(settings.pilot_user.lower(), ()))


def queue_for_job(job: JobDefinition, hunt: Hunt, settings: Settings) -> Queue:
    """Return the queue as it is for a job: the configuration's values over the job's over the documents'.

    Raises:
        JobError: 1402 when the job's values spoil the description; the text names the field.
        QueueError: when it is spoiled without them.
    """
    given = dict(job.overwrite_queue)
    if job.platform:
        given["cmtconfig"] = job.platform
    overrides = overrides_of(settings)
    try:
        return _queue(hunt.queue_text, settings.queue, {**given, **overrides})
    except QueueError as error:
        _queue(hunt.queue_text, settings.queue, overrides)
        raise _fault_of_job("overwriteQueueData", error) from error


def storages_for_job(job: JobDefinition, hunt: Hunt) -> dict[str, Storage]:
    """Return the storages as they are for a job, its own values over the documents'.

    Raises:
        JobError: 1402 when the job's values are at fault; the text names endpoint and field.
        QueueError: when the descriptions are.
    """
    known = _storages(hunt.storage_text)
    if not job.overwrite_storage:
        return known
    try:
        return parse_storages(hunt.storage_text, overrides=job.overwrite_storage)
    except QueueError as error:
        raise _fault_of_job("overwriteStorageData", error) from error


def overrides_of(settings: Settings) -> dict[str, object]:
    """Return the values of the pilot's own configuration, which win over all others.

    `acopytools` is an object, activity -> list of copy tools, or just a list of copy tools for everything.
    """
    text = settings.acopytools.strip()
    if not text or text.lower() == "none":
        return {}
    return {"acopytools": text if text.startswith("{") else {"default": text.replace(",", " ").split()}}


def life_limit_s(hunt: Hunt, settings: Settings) -> float:
    """Return how long the pilot may live, in seconds from its start: the queue's maxtime, else its own option (10).

    In a pod only the option counts.
    """
    if settings.pod:
        return settings.lifetime_s
    limit_s = _plain_queue(hunt.queue_text, settings.queue).max_time_s if hunt.queue_text else 0
    return min(float(limit_s), settings.lifetime_s) if limit_s else settings.lifetime_s


def _fault_of_job(option: str, error: QueueError) -> JobError:
    return JobError(ErrorCode.BADJOBDEFINITION, f"--{option}: {error.field}: {error.text}")


def _queue(text: str, name: str, overrides: Mapping[str, object]) -> Queue:
    return parse_queue(text, name, overrides) if overrides else _plain_queue(text, name)


@lru_cache(maxsize=4)
def _plain_queue(text: str, name: str) -> Queue:
    return parse_queue(text, name)


@lru_cache(maxsize=2)
def _storages(text: str) -> dict[str, Storage]:
    return parse_storages(text)
