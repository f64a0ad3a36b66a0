"""What a feeder wants of others, as tasks for them, and what becomes of it, as events for the feeder.

A wish has the same name and content whenever it is told, so that it is one task however often its feeder begins anew.
"""

import json
from collections.abc import Callable

from events.groups import Group
from events.ledger import Tar
from events.reports import Report
from events.words import (
    AskRanges,
    Drain,
    Event,
    RangesCame,
    RangesFailed,
    ReportFailed,
    ReportTaken,
    TarFailed,
    TarStaged,
)
from ipc.observations import Wanted
from ipc.parts import Copy, EventStore, Transfer
from ipc.results import RangesAcquired, RangesReported, Staged
from ipc.schema import Heed
from ipc.tasks import AcquireRanges, FeedEvents, ReportRanges, StageTar
from queues.paths import deterministic_path
from workers.runner.ranges import ranges_of

_SCOPE = "transient"
_RANGES, _TAR = "ranges-", "tar-"
_RESULTS = {"stored": True, "refused": False}


def ranges_wanted(task: FeedEvents, ask: AskRanges) -> Wanted:
    """Return the wish for ranges."""
    wish = AcquireRanges(
        job_id=task.job_id,
        jobset_id=task.jobset_id,
        task_id=task.task_id,
        n_ranges=ask.count,
        keep_at=f"{task.control_dir}/es_ranges-{ask.number}.json",
    )
    return Wanted(name=f"{_RANGES}{ask.number}", task=wish)


def tar_wanted(task: FeedEvents, group: Group) -> Wanted:
    """Return the wish for an archive on a storage, on the first of the job's that takes it."""
    path = f"{task.job_dir}/{group.lfn}"
    copies = tuple(_copy(store, path, group.lfn) for store in task.stores)
    transfer = Transfer(lfn=group.lfn, kind="output", copies=copies)
    wish = StageTar(job_dir=task.job_dir, tar_path=path, members=group.paths, transfer=transfer)
    return Wanted(name=f"{_TAR}{group.lfn}", task=wish)


def report_wanted(task: FeedEvents, report: Report) -> Wanted:
    """Return the wish for a report."""
    wish = ReportRanges(
        job_id=task.job_id,
        task_id=task.task_id,
        version=report.version,
        entries=json.dumps(report.entries),
        ids=report.ids,
    )
    return Wanted(name=report.name, task=wish)


def answer_of(message: Heed, task: FeedEvents, missing: Callable[[str], tuple[str, ...]]) -> Event:
    """Return what a message means to the feeder; `missing` names the ranges of an archive whose files are gone."""
    name = message.name
    if name == "drain":
        return Drain(text=message.diag)
    if name.startswith(_RANGES):
        return _ranges(int(name.removeprefix(_RANGES)), message, task)
    if name.startswith(_TAR):
        return _tar(name.removeprefix(_TAR), message, missing)
    result = message.result
    if isinstance(result, RangesReported):
        results = tuple(_RESULTS.get(word) for word in result.results)
        return ReportTaken(name=name, results=results, command=result.command)
    return ReportFailed(name=name, text=message.diag)


def _ranges(number: int, message: Heed, task: FeedEvents) -> Event:
    if not isinstance(message.result, RangesAcquired):
        return RangesFailed(number=number, text=message.diag)
    found = ranges_of(message.result.ranges, task.job_dir, local_names=task.local_names)
    return RangesCame(number=number, ranges=found)


def _tar(lfn: str, message: Heed, missing: Callable[[str], tuple[str, ...]]) -> Event:
    if not isinstance(message.result, Staged):
        return TarFailed(lfn=lfn, text=message.diag, missing=missing(lfn))
    (file,) = message.result.files
    tar = Tar(lfn=lfn, endpoint=file.endpoint, size_bytes=file.size_bytes, checksum=file.checksum)
    return TarStaged(tar=tar)


def _copy(store: EventStore, path: str, lfn: str) -> Copy:
    name = deterministic_path(_SCOPE, lfn) if store.deterministic else lfn
    url = f"{store.base}{name}"
    return Copy(copytool=store.copytool, source=path, destination=url, endpoint=store.endpoint, surl=url)
