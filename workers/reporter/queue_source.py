"""The queue's description and that of the storages it names, from paths or URLs tried in order (panda-protocol 8.1)."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote as quote_url

from errors.codes import ErrorCode
from ipc.schema import FetchQueue, QueueFetched
from settings.settings import Settings
from workers.reporter.dialect_v1 import user_agent
from workers.reporter.exchange import Failure, HttpRequest, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.files import read_document
from workers.reporter.foreign_json import ForeignJsonError, read_object, write_object
from workers.reporter.quoting import quote

#: Seconds for one source, unless the setting for calls is shorter.
SOURCE_LIMIT_S = 20.0


@dataclass(slots=True)
class _Troubles:
    """Why the sources before did not do; `bad` once one gave a document that cannot be used."""

    texts: list[str] = field(default_factory=list)
    bad: bool = False


class QueueFetch:
    """The conversation of a FetchQueue: queue sources first, then storage sources if the queue names storages."""

    def __init__(self, task: FetchQueue, settings: Settings) -> None:
        self.what = f"description of {task.queue}"
        self.limit_s = min(SOURCE_LIMIT_S, settings.http_timeout_s)
        self._queue = task.queue
        self._settings = settings
        self._sources = list(task.queue_sources)
        self._storage_sources = list(task.storage_sources)
        self._queue_text = ""
        self._endpoints: frozenset[str] = frozenset()
        self._troubles = _Troubles()
        self._source = ""

    def begin(self) -> Request | Outcome:
        """Ask the first source."""
        return self._ask_next()

    def heard(self, reply: Reply) -> Request | Outcome:
        """Take a source's document, or go on with the next source."""
        try:
            document = _document(reply)
            return self._take_storages(document) if self._queue_text else self._take_queue(document)
        except ForeignJsonError as error:
            self._troubles.bad = True
            self._troubles.texts.append(f"{quote(self._source)}: {error}")
        except OSError as error:
            self._troubles.texts.append(f"{quote(self._source)}: {error}")
        return self._ask_next()

    def _ask_next(self) -> Request | Outcome:
        if not self._sources:
            return self._failure()
        self._source = self._sources.pop(0)
        if "://" in self._source:
            url = self._source.replace("{pandaqueue}", quote_url(self._queue, safe=""))
            headers = (
                ("User-Agent", user_agent(self._settings)),
                ("Accept", "application/json"),
                ("Accept-Encoding", "gzip"),
            )
            return HttpRequest(method="GET", url=url, headers=headers)
        path = Path(self._source.replace("{pandaqueue}", self._queue))
        return LocalCall(run=partial(read_document, path))

    def _take_queue(self, document: dict[str, Any]) -> Request | Outcome:
        described = _described(document, self._queue)
        self._queue_text = write_object(described)
        self._endpoints = _named_endpoints(described.get("astorages"))
        if not self._endpoints or not self._storage_sources:
            return QueueFetched(queue_text=self._queue_text, storage_text="{}")
        self._sources = self._storage_sources
        self._troubles = _Troubles()
        return self._ask_next()

    def _take_storages(self, document: dict[str, Any]) -> Request | Outcome:
        known = {name: value for name, value in document.items() if name in self._endpoints and isinstance(value, dict)}
        if not known:
            raise ForeignJsonError("none of the storages that the queue names")
        return QueueFetched(queue_text=self._queue_text, storage_text=write_object(known))

    def _failure(self) -> Failure:
        what = "storages" if self._queue_text else "description"
        tried = "; ".join(self._troubles.texts) or "no source is set"
        text = f"{what} of queue {self._queue}: {tried}"
        if self._troubles.bad:
            return Failure(text=text, code=int(ErrorCode.QUEUEDATANOTOK), retry=False)
        return Failure(text=text, code=int(ErrorCode.QUEUEDATA), retry=bool(self._troubles.texts))


def _document(reply: Reply) -> dict[str, Any]:
    """Return the JSON object in a reply.

    Raises:
        OSError: there is no document.
        ForeignJsonError: it is not a JSON object, or one that says that there was an error.
    """
    if isinstance(reply, Lost):
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
