"""The descriptions of a queue and its storages for a program that is no pilot (panda-protocol 8.1).

The same places as a pilot's, in the same order: the current directory, what `$HARVESTER_PILOT_CONFIG` names, the
server, CVMFS, CRIC. A description serves for ten minutes.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import BulkheadError
from host.files import read_regular
from movers.base import MoverError, Order
from pilot.api.carrier import Carrier
from queues.faults import QueueError
from queues.queue import Queue, parse_queue
from queues.storages import Storage, parse_storages
from settings.build import build
from settings.errors import SettingsError
from workflows.information import queue_task

_SERVES_S = 600.0
_SOURCE_LIMIT_S = 20.0
_MAX_BYTES = 64 * 1024 * 1024


def described(name: str, tools: Sequence[str] = ()) -> tuple[Queue, Mapping[str, Storage]]:
    """Return a queue and the storages that are known, with `tools` in place of the queue's copy tools if there are any.

    Raises:
        BulkheadError: 1116, 1117, it cannot be obtained or used; the text names the places that were tried.
    """
    if not name:
        raise QueueError("queuedata", "no queue is named", ErrorCode.QUEUEDATA)
    text, storages = _texts(name, str(Path.cwd()), os.environ.get("HARVESTER_PILOT_CONFIG", ""), _period())
    queue = parse_queue(text, name, {"acopytools": {"default": list(tools)}} if tools else None)
    return queue, parse_storages(storages) if storages else {}


def _period() -> int:
    return int(time.monotonic() / _SERVES_S)


@lru_cache(maxsize=32)
def _texts(name: str, folder: str, config: str, _period: int) -> tuple[bytes, bytes]:
    environ = {"HARVESTER_PILOT_CONFIG": config} if config else {}
    try:
        task = queue_task(build(["-q", name, "-b"], environ, folder), "")
    except SettingsError as error:
        raise QueueError("queuedata", str(error), ErrorCode.QUEUEDATA) from error
    with Carrier() as carrier:
        queue = _first(carrier, name, task.queue_sources, check=_of_queue)
        try:
            storages = _first(carrier, name, task.storage_sources, check=lambda _text, _name: None)
        except BulkheadError:
            storages = b""  # tools that need no storages work without
    return queue, storages


def _first(carrier: Carrier, name: str, sources: Sequence[str], check: Callable[[bytes, str], None]) -> bytes:
    troubles = []
    for source in sources:
        place = source.replace("{pandaqueue}", name)
        try:
            text = _read(carrier, place)
            check(text, name)
        except (OSError, ValueError, RecursionError, MoverError) as error:
            troubles.append(f"{place.partition('?')[0]}: {error.text if isinstance(error, MoverError) else error}")
        else:
            return text
    raise QueueError("queuedata", "; ".join(troubles) or "no source is set", ErrorCode.QUEUEDATA)


def _of_queue(text: bytes, name: str) -> None:
    """Refuse the description of another queue: a program serves many, the file beside it describes one.

    Raises:
        ValueError: it is one, or no JSON object.
    """
    document = json.loads(text)
    if not isinstance(document, dict) or (name not in document and document.get("nickname", name) != name):
        raise ValueError(f"no description of {name}")


def _read(carrier: Carrier, place: str) -> bytes:
    if "://" not in place:
        return read_regular(Path(place), _MAX_BYTES)
    with tempfile.TemporaryDirectory(prefix="bulkhead-") as folder:
        order = Order(source=place, destination=f"{folder}/document", direction="in", time_limit_s=_SOURCE_LIMIT_S)
        carrier.carry("http", order, _SOURCE_LIMIT_S)
        return read_regular(Path(folder) / "document", _MAX_BYTES)
