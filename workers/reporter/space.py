"""Free disk before a job is asked for (behaviour 8): too little ends the hunt, the rest goes into the request."""

import json
import os

from errors.codes import ErrorCode
from settings.settings import Settings
from workers.reporter.exchange import Failure

_MEGABYTE = 1024 * 1024


def lack_of_space(settings: Settings) -> Failure | None:
    """Return why no job may be asked for here (1098, permanent), None when there is room enough."""
    free_bytes, limit_bytes = _free_bytes(settings), settings.limits.free_space_bytes
    if free_bytes is None or free_bytes >= limit_bytes:
        return None
    place = settings.workdir or settings.launch_dir
    text = (
        f"{place} has {free_bytes // _MEGABYTE} MB free, {limit_bytes // _MEGABYTE} MB are needed before a job; "
        "give another directory with -a or a lower --set free_space_bytes"
    )
    return Failure(text=text, code=int(ErrorCode.NOLOCALSPACE), retry=False)


def with_space(settings: Settings, request: str) -> str:
    """Return the job request with `disk_space` as the smaller of the queue's limit and what is free, in MB."""
    fields = json.loads(request)
    free_bytes = _free_bytes(settings)
    if free_bytes is not None and "disk_space" in fields:
        free_mb = free_bytes // _MEGABYTE
        fields["disk_space"] = min(free_mb, fields["disk_space"]) if fields["disk_space"] else free_mb
    return json.dumps(fields)


def _free_bytes(settings: Settings) -> int | None:
    try:
        status = os.statvfs(settings.workdir or settings.launch_dir)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize
