"""The queue's description and that of the storages it names, from paths or URLs tried in order (panda-protocol 8.1).

Three documents, one after the other: the queue's own, the full one that it is laid over, the storages'. Each pass asks
every source once; passes again, with pauses, are the supervisor's. What came from afar is kept in the pilot's home: for
three hours it serves instead of a download, later when no download succeeds.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_url

from errors.codes import ErrorCode
from host.files import write_atomic
from ipc.results import QueueFetched
from ipc.tasks import FetchQueue
from queues.queue import READ_FIELDS
from settings.settings import Settings
from workers.reporter.dialect_v1 import user_agent
from workers.reporter.exchange import Answer, Failure, HttpRequest, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.files import read_document
from workers.reporter.foreign_json import ForeignJsonError, read_object, write_object
from workers.reporter.quoting import quote

#: Seconds for one source, unless the setting for calls is shorter.
SOURCE_LIMIT_S = 20.0
CACHE_S = 3 * 3600.0
#: How telling a trouble is: a document that cannot be used, a source that does not answer, a file that is not there.
_BAD, _SILENT, _NOT_THERE = range(3)
_MAX_CACHED_BYTES = 16 * 1024 * 1024

_LOG = logging.getLogger("reporter")


@dataclass(frozen=True, slots=True)
class _Source:
    """A place to ask; a file that is older than `age_s` is not taken (None: of any age)."""

    place: str
    age_s: float | None = None

    @property
    def is_far(self) -> bool:
        return "://" in self.place


@dataclass(slots=True)
class _Part:
    """One of the documents: its cache's name, what is left to ask, why the sources before did not do.

    `take` reads a document and returns what of it is worth keeping. `bad`: a source gave one that cannot be used.
    """

    what: str
    cache: str
    sources: list[_Source]
    take: Callable[[dict[str, Any]], dict[str, Any]]
    troubles: list[tuple[int, str]] = field(default_factory=list)
    bad: bool = False

    @property
    def tried(self) -> str:
        """Why the sources did not do, the telling ones first; files that are just not there only when all else is."""
        told = [text for rank, text in sorted(self.troubles) if rank < _NOT_THERE]
        return "; ".join(told or [text for _, text in self.troubles]) or "no source is set"


class QueueFetch:
    """The conversation of a FetchQueue: what must be there, the queue's documents, its storages if it names any."""

    def __init__(self, task: FetchQueue, settings: Settings) -> None:
        self.what = f"description of {task.queue}"
        self.limit_s = min(SOURCE_LIMIT_S, settings.http_timeout_s)
        self._task = task
        self._settings = settings
        self._queue: dict[str, Any] = {}
        self._storages: dict[str, Any] = {}
        self._endpoints: frozenset[str] = frozenset()
        self._part = self._made("description", "queuedata.json", task.queue_sources, self._take_queue)
        self._parts = [self._made("full description", "cric_pandaqueues.json", task.full_sources, self._take_full)]
        self._source = _Source("")
        self._needed = list(task.needed_paths)

    def begin(self) -> Request | Outcome:
        """Ask for what must be there, or the first source."""
        if self._needed:
            return LocalCall(run=partial(_look_into, self._needed[0]))
        return self._ask_next()

    def heard(self, reply: Reply) -> Request | Outcome:
        """Take a source's document, or go on with the next source."""
        if self._needed:
            return self._looked(reply)
        try:
            described = self._part.take(_document(reply))
        except ForeignJsonError as error:
            self._part.bad = True
            self._trouble(_BAD, error)
        except OSError as error:
            self._trouble(_NOT_THERE if "No such file" in str(error) else _SILENT, error)
        else:
            self._keep(described)
            return self._next_part()
        return self._ask_next()

    def _made(
        self, what: str, cache: str, places: tuple[str, ...], take: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> _Part:
        """Return a part whose cache comes after the file that a wrapper placed, and at the end at any age."""
        home = self._task.cache_dir.rstrip("/")
        kept = f"{home}/{cache}"
        sources = [_Source(place, CACHE_S if home and place == kept else None) for place in places]
        if home and sources:
            if kept not in places:
                placed = str(Path(self._settings.launch_dir) / cache)
                sources.insert(places.index(placed) + 1 if placed in places else 0, _Source(kept, CACHE_S))
            sources.append(_Source(kept))
        return _Part(what, cache, sources, take)

    def _looked(self, reply: Reply) -> Request | Outcome:
        path = self._needed.pop(0)
        if isinstance(reply, Lost):
            text = f"{path} cannot be read: {reply.text}; -b leaves this check out"
            return Failure(text=text, code=int(ErrorCode.CVMFSISNOTALIVE), retry=False)
        return self.begin()

    def _trouble(self, rank: int, error: Exception) -> None:
        self._part.troubles.append((rank, f"{quote(self._source.place)}: {error}"))

    def _ask_next(self) -> Request | Outcome:
        part = self._part
        if not part.sources:
            return self._next_part() if self._may_do_without() else self._failure()
        self._source = part.sources.pop(0)
        if self._source.is_far:
            url = self._source.place.replace("{pandaqueue}", quote_url(self._task.queue, safe=""))
            headers = (
                ("User-Agent", user_agent(self._settings)),
                ("Accept", "application/json"),
                ("Accept-Encoding", "gzip"),
            )
            return HttpRequest(method="GET", url=url, headers=headers)
        path = Path(self._source.place.replace("{pandaqueue}", self._task.queue))
        return LocalCall(run=partial(_read, path, self._source.age_s))

    def _may_do_without(self) -> bool:
        if self._part.what != "full description":
            return False
        if self._part.bad:
            _LOG.warning("the %s of the queue is left out: %s", self._part.what, self._part.tried)
        return True

    def _next_part(self) -> Request | Outcome:
        if not self._parts:
            return QueueFetched(queue_text=self._text(), storage_text=write_object(self._storages))
        self._part = self._parts.pop(0)
        return self._ask_next()

    def _text(self) -> str:
        return write_object({name: value for name, value in self._queue.items() if name in READ_FIELDS})

    def _take_queue(self, document: dict[str, Any]) -> dict[str, Any]:
        described = _described(document, self._task.queue)
        write_object(described)  # refuses what is nested too deeply
        self._queue = described
        if self._source.place in self._task.full_sources:
            self._parts.clear()  # it is the full one
        self._name_storages()
        return described

    def _take_full(self, document: dict[str, Any]) -> dict[str, Any]:
        full = _described(document, self._task.queue)
        write_object(full)
        self._queue = {**full, **self._queue}
        self._name_storages()
        return {self._task.queue: full}

    def _name_storages(self) -> None:
        self._endpoints = _named_endpoints(self._queue.get("astorages"))
        self._parts = [part for part in self._parts if part.what != "storages"]
        if self._endpoints and self._task.storage_sources:
            sources = self._task.storage_sources
            self._parts.append(self._made("storages", "cric_ddmendpoints.json", sources, self._take_storages))

    def _take_storages(self, document: dict[str, Any]) -> dict[str, Any]:
        known = {name: value for name, value in document.items() if name in self._endpoints and isinstance(value, dict)}
        if not known:
            raise ForeignJsonError("none of the storages that the queue names")
        write_object(known)
        self._storages = known
        return known

    def _keep(self, described: dict[str, Any]) -> None:
        """Write the cache of what came from afar."""
        if not self._task.cache_dir or not self._is_elsewhere():
            return
        text = json.dumps(described, indent=1)
        if len(text) > _MAX_CACHED_BYTES:
            return
        try:
            write_atomic(Path(self._task.cache_dir) / self._part.cache, text + "\n")
        except OSError as error:
            _LOG.warning("the cache %s cannot be written: %s", self._part.cache, error)

    def _is_elsewhere(self) -> bool:
        """Tell whether the source is neither the cache itself nor a file that a wrapper placed."""
        folder = str(Path(self._source.place).parent)
        return self._source.is_far or folder not in {self._task.cache_dir, self._settings.launch_dir}

    def _failure(self) -> Failure:
        part = self._part
        text = f"{part.what} of queue {self._task.queue}: {part.tried}"
        code = ErrorCode.QUEUEDATANOTOK if part.bad else ErrorCode.QUEUEDATA
        return Failure(text=text, code=int(code), retry=bool(part.troubles))


def _look_into(path: str) -> bytes:
    """Read the first name in a directory, which a mount that does not answer never does.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(path) as entries:
        next(entries, None)
    return b""


def _read(path: Path, age_s: float | None) -> bytes:
    """Return a document from a file.

    Raises:
        OSError: it cannot be read, or is older than `age_s`.
    """
    if age_s is not None and time.time() - path.stat().st_mtime > age_s:
        raise OSError(f"{path} is older than {age_s:g} s")
    return read_document(path)


def _document(reply: Reply) -> dict[str, Any]:
    """Return the JSON object in a reply.

    Raises:
        OSError: there is no document.
        ForeignJsonError: it is not a JSON object, or one that says that there was an error.
    """
    if not isinstance(reply, Answer):
        raise OSError(reply.text)
    if reply.status != 200:
        to = f" to {quote(reply.location)}: not followed" if reply.location else ""
        raise OSError(f"HTTP {reply.status}{to}")
    document = read_object(reply.body)
    if "error" in document:
        raise ForeignJsonError(f"a document that says: {quote(document['error'])}")
    return document


def _described(document: dict[str, Any], queue: str) -> dict[str, Any]:
    """Return the queue's object: the document itself, or its member of that name."""
    member = document.get(queue)
    if isinstance(member, dict):
        return member
    if not document or all(isinstance(value, dict) for value in document.values()):
        raise ForeignJsonError(f"no queue named {queue}")
    return document


def _named_endpoints(storages: Any) -> frozenset[str]:
    """Return all endpoint names in a queue's `astorages` (activity -> list of names)."""
    lists = storages.values() if isinstance(storages, dict) else ()
    return frozenset(name for names in lists if isinstance(names, list) for name in names if isinstance(name, str))
