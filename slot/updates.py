"""One update of a job into the files of Harvester and ARC, in the order that their readers rely on.

Files first, then the dump, then the job report, then the attributes: Harvester takes the final state as leave to read
the rest (hpc-and-harvester 2.2). ARC's heartbeat.json comes after heartbeat_new.json (panda-protocol 6).
"""

import json
import logging
from pathlib import Path
from typing import Any

from host.files import read_bounded, write_atomic
from ipc.tasks import SendUpdate
from jobs.names import pattern
from settings.settings import Settings
from slot import legacy
from slot.dump import entries, local_path, write_dump

_LOG = logging.getLogger("reporter")
_FINAL = frozenset({"finished", "failed"})
_REPORT = "jobReport.json"
#: Object stores are written to by way of Rucio (volunteer-boinc-arc 2.2).
_OBJECT_STORES = "rucio://rucio-lb-prod.cern.ch;failureallowed=yes/objectstores"
_LIST_BYTES = 16 * 1024 * 1024
#: Calls that say what the machine is like go into a file, from where they come into the metadata (panda-protocol 6).
_MAPS = {"update_worker_node": "workernode_map.json", "update_worker_node_gpu": "gpu_map.json"}


def write_update(settings: Settings, task: SendUpdate, wall: float) -> None:
    """Write what an update says into all files that somebody reads in this mode; may be done twice.

    Raises:
        OSError: a file could not be written; those before it in the order are.
        ValueError: the update is not a JSON object.
    """
    body = json.loads(task.body)
    call = task.call.rpartition("/")[2]
    if call in _MAPS:
        write_atomic(Path(settings.home) / _MAPS[call], json.dumps(body))
    if call != "update_job":
        return
    home = Path(settings.home)
    if body.get("job_status") in _FINAL:
        _leave_files(settings, task, body)
        body["meta_data"] = legacy.with_node_maps(str(body.get("meta_data") or ""), home)
    elif settings.handover.harvester_updates:
        # Harvester would tell the report of the job before as this one's.
        (point_of(settings, body.get("job_id")) / _REPORT).unlink(missing_ok=True)
    if settings.handover.harvester_updates:
        write_attributes(settings, body, wall)
    write_heartbeat(home, body, wall)


def write_attributes(settings: Settings, body: dict[str, Any], wall: float) -> None:
    """Write the worker attributes of an update (5.4)."""
    folder = point_of(settings, body.get("job_id"))
    write_atomic(folder / settings.handover.names.attributes, json.dumps(legacy.attributes(body, wall)))


def write_heartbeat(home: Path, body: dict[str, Any], wall: float) -> None:
    """Write heartbeat_new.json (v1 names) and heartbeat.json (legacy names and types), in this order."""
    write_atomic(home / "heartbeat_new.json", json.dumps(body))
    write_atomic(home / "heartbeat.json", json.dumps(legacy.heartbeat(body, wall)))


def point_of(settings: Settings, job_id: object) -> Path:
    """Return where a job's files for Harvester lie: its own directory below the access point, if there is one.

    Raises:
        OSError: the access point is gone and cannot be made again.
    """
    point = Path(settings.handover.access_point)
    own = point / str(job_id)
    if own.is_dir():
        return own
    point.mkdir(parents=True, exist_ok=True)
    return point


def _leave_files(settings: Settings, task: SendUpdate, body: dict[str, Any]) -> None:
    """Tell of the files of a job that is over, then copy its report."""
    report = _report(body)
    folders = [Path(settings.home), *([Path(settings.output_dir)] if settings.output_dir else [])]
    _add_to_output_list(Path(settings.home) / "output.list", report, folders)
    if not settings.handover.harvester_updates:
        return
    folder = point_of(settings, body.get("job_id"))
    found = entries(report, task.log_lfn, folders)
    if found:
        write_dump(folder / settings.handover.names.dump, int(body["job_id"]), found)
    else:
        _LOG.warning("job=%s there is no file to tell Harvester of", body.get("job_id"))
    job_report = body.get("meta_data")
    if job_report:
        write_atomic(folder / _REPORT, without_log_reports(str(job_report)))


def _report(body: dict[str, Any]) -> dict[str, dict[str, object]]:
    try:
        report = json.loads(body.get("job_output_report") or "{}")
    except ValueError:
        return {}
    return {lfn: entry for lfn, entry in report.items() if isinstance(entry, dict)} if isinstance(report, dict) else {}


def without_log_reports(report: str) -> str:
    """Return a job report with the `logfileReport` of each executor emptied; a text that is none as it is."""
    try:
        fields = json.loads(report)
    except (ValueError, RecursionError):
        return report
    executors = fields.get("executor") if isinstance(fields, dict) else None
    for executor in executors if isinstance(executors, list) else ():
        if isinstance(executor, dict) and "logfileReport" in executor:
            executor["logfileReport"] = {}
    return json.dumps(fields)


def _add_to_output_list(path: Path, report: dict[str, dict[str, object]], folders: list[Path]) -> None:
    """Name the files that lie beside the job directory for ARC to upload; lines of what is not one are dropped."""
    old = read_bounded(path, _LIST_BYTES).splitlines()
    lines = {lfn: line for line in old if _may_be_listed(lfn := line.partition(" ")[0], folders)}
    for lfn, entry in report.items():
        lines[lfn] = f"{lfn} {_upload_place(entry)}"
    there = [line for lfn, line in lines.items() if local_path(lfn, "", folders) is not None]
    if there or path.exists():
        write_atomic(path, "".join(f"{line}\n" for line in there))


def _upload_place(entry: dict[str, object]) -> str:
    """Return where ARC is to bring a file, in its notation; an upload to an object store may fail without harm."""
    surl = str(entry.get("surl", ""))
    if surl.startswith("s3://"):
        return f"{_OBJECT_STORES}/s3+rucio{surl.removeprefix('s3')}/{entry.get('endpoint', '')}/write"
    kind = "md5" if "md5sum" in entry else "adler32"
    checksum = entry.get("md5sum") or entry.get("adler32") or ""
    return f"{surl}:checksumtype={kind}:checksumvalue={checksum}"


def _may_be_listed(lfn: str, folders: list[Path]) -> bool:
    """Tell whether a line that was there may stay: a payload could have written it, to have other files uploaded."""
    path = local_path(lfn, "", folders) if pattern("lfn").fullmatch(lfn) else None
    return path is not None and not path.is_symlink()
