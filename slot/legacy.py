"""Updates with legacy names for the files of Harvester and ARC (panda-protocol 5.4, 6). Pure."""

import calendar
import json
import time
from collections.abc import Mapping
from pathlib import Path

from host.files import read_bounded
from jobs.field_names import legacy_timestamp, to_legacy

_MAP_BYTES = 1024 * 1024
_TIMES = ("startTime", "endTime")
#: Member of the metadata -> file with the map (behaviour 2, [Workernode]).
_NODE_MAPS = {"worker_node": "workernode_map.json", "worker_node_gpus": "gpu_map.json"}


def attributes(body: Mapping[str, object], wall: float) -> dict[str, object]:
    """Return the worker attributes of an update: legacy names, v1 types, no file report, `jobStatus` (5.4)."""
    named = to_legacy(body)
    named.pop("xml", None)
    return {**named, "jobStatus": body.get("job_status", ""), "timestamp": legacy_timestamp(wall)}


def heartbeat(body: Mapping[str, object], wall: float) -> dict[str, object]:
    """Return the content of heartbeat.json: legacy names and types, "xml" and "metaData" always (6)."""
    named = {**to_legacy(body), "timestamp": legacy_timestamp(wall)}
    named["jobId"] = str(body.get("job_id", ""))
    for name in _TIMES:
        if name in named:
            named[name] = _epoch(str(named[name]))
    for name in ("xml", "metaData"):
        named.setdefault(name, "")
    return named


def _epoch(utc: str) -> float:
    """Return a time of an update in seconds since the epoch, 0.0 for one that is none."""
    try:
        return float(calendar.timegm(time.strptime(utc, "%Y-%m-%d %H:%M:%S")))
    except ValueError:
        return 0.0


def with_node_maps(metadata: str, home: Path) -> str:
    """Return the metadata with the worker node maps that lie in `home`; made new when there is no job report (6)."""
    maps = {name: _json_object(read_bounded(home / file, _MAP_BYTES)) for name, file in _NODE_MAPS.items()}
    found = {name: content for name, content in maps.items() if content}
    if not found:
        return metadata
    report = _json_object(metadata)
    if metadata and not report:
        return metadata  # a report that is no object is passed on as it is
    return json.dumps({**report, **found})


def _json_object(text: str) -> dict[str, object]:
    try:
        value = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
