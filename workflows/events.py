"""The workflow of a job that is fed with events (event-service 1, 3, 4.2, 7.3): the standard plan, changed. Pure.

Inputs, log and final update are those of any job. The payload is told of a channel, a feeder goes on beside it; what
it makes is brought in archives while it runs: there is no stage-out of outputs.
"""

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from errors.codes import ErrorCode
from errors.exceptions import JobError
from events.injection import inject
from ipc.parts import EventStore, Variable
from ipc.tasks import FeedEvents, RunPayload, TransferLog
from jobs.definition import JobDefinition
from jobs.record import Plan
from movers.registry import MOVERS
from queues.copytools import schemes_of, stageout_tool, tools_of
from queues.faults import PlacementError
from queues.paths import first_access, join_url
from queues.queue import Queue
from queues.storages import Storage
from settings.settings import Settings

_SOCKET = "es.sock"
_LEDGER = "es_ledger.jsonl"
_TARS = "EventService_premerge_*.tar"
#: A socket's path may have 107 bytes (unix(7)).
_MAX_PATH_BYTES = 100
_PLAIN_PATH = re.compile(r"/[\w./@+=,%-]+", re.ASCII)
_WRITE = ("write_lan", "w", "write_wan")
_SILENT_RANGE_MIN = 360.0


def is_fed(job: JobDefinition) -> bool:
    """Tell whether a job is fed with events; merge jobs and hyper-parameter jobs are not."""
    return job.event_service and not job.event_service_merge and not job.is_hpo


def with_events(
    plan: Plan, job: JobDefinition, queue: Queue, storages: Mapping[str, Storage], settings: Settings
) -> Plan:
    """Return the plan of a job that is fed with events.

    Raises:
        JobError: 1240 when no place for the channel has a usable name.
        PlacementError: 1133 when the queue has no storage for events, 1313 when none can be written to, 1323 when no
            copy tool is known.
    """
    if plan.run is None:
        return plan
    channel = channel_of(plan.run.job_dir, settings)
    feed = FeedEvents(
        job_id=job.job_id,
        jobset_id=job.jobset_id,
        task_id=job.task_id,
        job_dir=plan.run.job_dir,
        control_dir=plan.run.control_dir,
        channel=channel,
        core_count=job.core_count,
        stores=tuple(_stores(queue, storages)),
        gap_s=float(queue.zip_time_gap_s),
        silent_range_s=_silent_range_s(queue),
        local_names=job.positional_event_numbers,
    )
    return replace(plan, run=_run(plan.run, channel, job.core_count), stage_out=None, log=_log(plan), feed=feed)


def channel_of(job_dir: str, settings: Settings) -> str:
    """Return the endpoint of a job's channel: in its directory, else in a short one that is the pilot's alone (4.3).

    Raises:
        JobError: 1240 when none of the places has a usable name.
    """
    environment = dict(settings.environment)
    short = f"bulkhead-es-{zlib.crc32(job_dir.encode()):08x}"
    elsewhere = (environment.get("XDG_RUNTIME_DIR", ""), environment.get("TMPDIR", ""), "/tmp")  # noqa: S108
    for directory in (job_dir, *(f"{parent.rstrip('/')}/{short}" for parent in elsewhere if parent)):
        path = f"{directory}/{_SOCKET}"
        if len(path.encode()) <= _MAX_PATH_BYTES and _PLAIN_PATH.fullmatch(path):
            return f"ipc://{path}"
    raise JobError(ErrorCode.MESSAGEHANDLINGFAILURE, f"no place for the channel of {job_dir}")


def _run(run: RunPayload, channel: str, core_count: int) -> RunPayload:
    values = {variable.name: variable.value for variable in run.environment}
    values.update(
        PILOT_EVENTRANGECHANNEL=channel,
        PILOT_ES_TRANSPORT="zmq",
        ATHENA_PROC_NUMBER=str(core_count),
        ATHENA_CORE_NUMBER=str(core_count),
    )
    variables = tuple(Variable(name=name, value=value) for name, value in sorted(values.items()))
    return replace(run, command=inject(run.command, channel), environment=variables)


def _log(plan: Plan) -> TransferLog | None:
    """Return the log with the ledger of ranges and without archives that were not brought."""
    if plan.log is None:
        return None
    ledger = f"{plan.prepare.control_dir}/{_LEDGER}"
    exclude = (*plan.log.exclude, _SOCKET, _TARS)
    return replace(plan.log, exclude=exclude, extras=(*plan.log.extras, ledger))


def _silent_range_s(queue: Queue) -> float:
    """Return how long one range may take without a word of it: `max_wait_for_one_event` in catchall, in minutes."""
    text = queue.tag_value("max_wait_for_one_event")
    return 60.0 * (float(text) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text, re.ASCII) else _SILENT_RANGE_MIN)


# ---------------------------------------------------------------- storages
def _stores(queue: Queue, storages: Mapping[str, Storage]) -> Iterator[EventStore]:
    """Give the storage for archives of events, and the one that takes them when it does not (7.3)."""
    first = _endpoint(queue, "es_events")
    if not first:
        raise PlacementError("events", f"queue {queue.name} has no storage for es_events or pw", ErrorCode.NOSTORAGE)
    yield _store(queue, storages, first, "es_events")
    other = _endpoint(queue, "es_failover")
    if other and other != first:
        try:
            yield _store(queue, storages, other, "es_failover")
        except PlacementError:
            return  # one that cannot be used is none


def _endpoint(queue: Queue, activity: str) -> str:
    names = queue.astorages.get(activity) or queue.astorages.get("pw") or ()
    return names[0] if names else ""


def _store(queue: Queue, storages: Mapping[str, Storage], name: str, activity: str) -> EventStore:
    storage = storages.get(name)
    if storage is None:
        raise PlacementError("events", f"storage {name} is not known", ErrorCode.NOSTORAGE)
    activities = (activity, "es_events", "pw", "default")
    tools = tools_of(queue, activities, MOVERS)
    for tool in tools:
        found = first_access(storage, _WRITE, schemes_of(queue, activities, tool))
        if found:
            return EventStore(
                copytool=stageout_tool(tool),
                endpoint=name,
                storage_id=storage.id or storage.bucket_id,
                base=join_url(found[0], ""),
                deterministic=storage.is_deterministic,
            )
    raise PlacementError(
        "events", f"{name} has no protocol for writing with {', '.join(tools)}", ErrorCode.NOSTORAGEPROTOCOL
    )
