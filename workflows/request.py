"""What is asked of the server before there is a job: the queue's description, and the job request (panda-protocol 1.6).

The free disk space is filled in by the reporter, which can look; the cap for it is given here.
"""

import json
from functools import lru_cache

from ipc.results import QueueFetched
from jobs.ledger import Hunt
from queues.queue import Queue, check_active, check_online, parse_queue
from queues.storages import parse_storages
from settings.server import request_label
from settings.settings import Settings
from workflows.information import overrides_of


def kept_at(main_dir: str, hunt: Hunt) -> str:
    """Return where the next job's definition is kept between the server's answer and the journal.

    Each job has a file of its own, which goes with the job's other files.
    """
    return f"{main_dir}/.bulkhead/acquired-{hunt.jobs_taken}.job"


def local_queue(settings: Settings) -> QueueFetched:
    """Return the description of a queue that is only this machine: local copy tools, no storages, one job."""
    queue = {
        "nickname": settings.queue,
        "panda_resource": settings.queue,
        "state": "ACTIVE",
        "status": "online",
        "type": "unified",
        "copytools": {"cp": {"setup": ""}, "mv": {"setup": ""}},
    }
    return QueueFetched(queue_text=json.dumps(queue), storage_text="{}")


def worker_status(settings: Settings, word: str) -> dict[str, object]:
    """Return the arguments of update_worker_status (panda-protocol 1.7)."""
    return {
        "worker_id": int(settings.harvester_worker_id),
        "harvester_id": settings.harvester_id,
        "status": word,
        "node_id": settings.node,
    }


@lru_cache(maxsize=4)
def queue_of(queue_text: str, name: str) -> Queue:
    """Return the queue's description as a value; it was checked when it came."""
    return parse_queue(queue_text, name)


def check_queue(fetched: QueueFetched, settings: Settings) -> None:
    """Check that the descriptions can be used.

    Raises:
        BulkheadError: 1117 for a bad field, 1359 for a queue that is not active, 1386 for one that is offline.
    """
    queue = parse_queue(fetched.queue_text, settings.queue, overrides_of(settings))
    check_active(queue)
    check_online(queue)
    parse_storages(fetched.storage_text)


def time_floor_s(queue_text: str) -> int:
    """Return for how long further jobs are asked for, in seconds; 0 means one job only."""
    return queue_of(queue_text, "").time_floor_s


def is_hpc(queue_text: str) -> bool:
    """Say whether the queue is one of an HPC, where the lack of jobs has a code of its own (1385)."""
    return queue_of(queue_text, "").resource_type.lower() == "hpc"


def job_request(settings: Settings, hunt: Hunt) -> str:
    """Return the JSON text of the arguments of acquire_jobs; "disk_space" holds the queue's limit in MB."""
    queue = queue_of(hunt.queue_text, settings.queue)
    request: dict[str, object] = {
        "site_name": queue.panda_resource or settings.queue,
        "computing_element": settings.queue,
        "prod_source_label": request_label(settings, queue.status),
        "disk_space": queue.max_workdir_mb,
        "memory": settings.memory_mb,
        "node": settings.node,
    }
    if settings.job_type:
        request["job_type"] = settings.job_type
    if settings.resource_type:
        request["resource_type"] = settings.resource_type
    if settings.allow_same_user and hunt.last_task_id:
        request["task_id"] = hunt.last_task_id
    if settings.harvester_id:
        request["scheduler_id"] = settings.harvester_id
    if settings.harvester_worker_id.isdecimal():
        request["worker_id"] = int(settings.harvester_worker_id)
    return json.dumps(request)


def renewal_allowed(queue_text: str, name: str) -> bool:
    """Say whether the queue lets the pilot renew its token: `no_token_renewal` in catchall forbids it (1.8)."""
    return not queue_of(queue_text, name).has_tag("no_token_renewal")
