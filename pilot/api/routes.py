"""Where the files of another program's transfers come from and go to, by the rules that jobs follow.

Pure but for what `known` looks up.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from posixpath import join
from typing import Any

from errors.codes import ErrorCode
from errors.exceptions import JobError
from jobs.definition import JobDefinition, build
from jobs.files import InputFile, OutputFile
from jobs.names import checked, checked_lfn
from movers.base import Order
from movers.checksums import normal
from movers.registry import MOVERS
from pilot.info.filespec import FileSpec
from queues.choice import Chooser, Destination, Places, Replica
from queues.copytools import LOCAL_TOOLS
from queues.queue import Queue
from queues.storages import Storage

#: Returns the queue and its storages; raises BulkheadError when they cannot be had.
Known = Callable[[], tuple[Queue, Mapping[str, Storage]]]
_WEB = ("http", "https", "dav", "davs")
_DIGITS = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Directories that a call names; `workdir` is where inputs go to and outputs lie when the file names none."""

    workdir: str = ""
    input_dir: str = ""
    output_dir: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One way to bring a file: a copy tool, its order, the storage that takes part, what is reported as its place."""

    tool: str
    order: Order
    endpoint: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Router:
    """Finds the ways of files.

    Attributes:
        known: looks the queue and its storages up, when they are needed.
        folders: the directories of the call.
        tools: the copy tools that may be used when a file's own place is known, in order.
    """

    known: Known
    folders: Folders
    tools: Sequence[str] = ()
    _job: JobDefinition = field(default_factory=lambda: build({"PandaID": 1, "transformation": "true"}))

    def inward(self, file: FileSpec) -> list[Step]:
        """Return the ways to get an input, best first, never none.

        Raises:
            BulkheadError: 1103, 1190 and their like for a bad name; 1116, 1117 without queue description; 1323, 1313.
        """
        lfn, scope = _identity(file)
        folder = str(file.workdir or self.folders.workdir)
        if not folder.startswith("/"):
            raise JobError(ErrorCode.MKDIR, f"{lfn}: no directory to bring it to")
        order = self._order(file, "in", destination=join(folder, lfn))
        own = [Replica(tool, url) for url in _own_places(file) for tool in self._tools_for(url)]
        if self.folders.input_dir:
            own.append(Replica("cp", join(self.folders.input_dir, lfn)))
        found = own or self._stored(file, lfn, scope, folder)
        ways = [
            Step(replica.copytool, order._replace(source=replica.url), replica.endpoint, replica.url)
            for replica in dict.fromkeys(found)
            if replica.url != order.destination
        ]
        if not ways:
            raise JobError(ErrorCode.NOREPLICAS, f"{lfn}: it is nowhere to be had")
        return ways

    def outward(self, file: FileSpec) -> list[Step]:
        """Return the ways to bring an output away, best first, never none.

        Raises:
            BulkheadError: a bad name; 1116, 1117 without queue description; 1323, 1133, 1313, 1329.
        """
        lfn, scope = _identity(file)
        beside = join(str(file.workdir or self.folders.workdir), lfn)
        source = str(file.surl) if str(file.surl or "").startswith("/") else beside
        if not source.startswith("/"):
            raise JobError(ErrorCode.MISSINGOUTPUTFILE, f"{lfn}: no directory that it lies in")
        order = self._order(file, "out", source=source)
        if file.turl:
            found = [Destination(tool, str(file.turl), str(file.turl)) for tool in self._tools_for(str(file.turl))]
        elif self.folders.output_dir:
            path = join(self.folders.output_dir, lfn)
            found = [Destination("cp", path, path)]
        else:
            found = self._placed(file, lfn, scope)
        return [
            Step(place.copytool, order._replace(destination=place.url), place.endpoint, place.surl) for place in found
        ]

    def _order(self, file: FileSpec, direction: str, *, source: str = "", destination: str = "") -> Order:
        token = f"{zlib.crc32(f'{file.scope}:{file.lfn}'.encode('utf-8', 'surrogateescape')):08x}"
        return Order(source, destination, direction, size_of(file) or -1, normal(_checksum(file.checksum)), token=token)

    def _tools_for(self, url: str) -> list[str]:
        """Return the tools that reach a known place."""
        scheme = url.partition("://")[0] if "://" in url else "file"
        if scheme in _WEB:
            return ["http"]
        if scheme == "file":
            return [tool for tool in self.tools if tool in LOCAL_TOOLS] or ["cp"]
        raise JobError(ErrorCode.UNKNOWNCOPYTOOL, f"no copy tool for {scheme}:// is available")

    def _stored(self, file: FileSpec, lfn: str, scope: str, folder: str) -> list[Replica]:
        endpoint = checked("endpoint", "ddmendpoint", str(file.ddmendpoint)) if file.ddmendpoint else ""
        wanted = InputFile(lfn=lfn, scope=scope, endpoint=endpoint)
        return list(self._chooser(replace(self._job, inputs=(wanted,)), folder).inputs()[0])

    def _placed(self, file: FileSpec, lfn: str, scope: str) -> list[Destination]:
        endpoint = checked("endpoint", "ddmendpoint", str(file.ddmendpoint)) if file.ddmendpoint else ""
        wanted = OutputFile(lfn=lfn, scope=scope, endpoint=endpoint)
        if file.filetype == "log":
            return list(self._chooser(replace(self._job, log=wanted), "").log())
        return list(self._chooser(replace(self._job, outputs=(wanted,)), "").outputs()[0])

    def _chooser(self, job: JobDefinition, folder: str) -> Chooser:
        queue, storages = self.known()
        return Chooser(job, queue, storages, Places(job_dir=join(folder, "-")), known_tools=tuple(MOVERS))


def known_tools(acopytools: Any, default: Any, activities: Sequence[str]) -> list[str]:
    """Return the copy tools that a caller asks for, as far as they are available: activity -> names, or just names."""
    wanted: Any = None
    if isinstance(acopytools, Mapping):
        wanted = next((acopytools[name] for name in (*activities, "default") if acopytools.get(name)), None)
    wanted = wanted or default or ()
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    return [name for name in names if name in MOVERS]


def size_of(file: FileSpec) -> int:
    """Return the size that a file is said to have, 0 where it is not known.

    Raises:
        JobError: 1402, it is no number of bytes.
    """
    text = str(file.filesize or "0")
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise JobError(ErrorCode.BADJOBDEFINITION, f"{file.lfn}: filesize {text[:40]!r} is no number of bytes")
    return int(text)


def _identity(file: FileSpec) -> tuple[str, str]:
    """Return LFN and scope of a file once both are names that may be part of a path."""
    lfn = checked_lfn("lfn", str(file.lfn), output=file.filetype != "input")
    return lfn, checked("scope", "scope", str(file.scope)) if file.scope else ""


def _own_places(file: FileSpec) -> Iterator[str]:
    """Give the places of an input that the caller knows."""
    replicas = file.replicas if isinstance(file.replicas, list | tuple) else ()
    found = [file.turl, file.surl]
    for replica in replicas:
        if isinstance(replica, Mapping):
            found.append(next((replica[key] for key in ("pfn", "turl", "surl") if replica.get(key)), ""))
        else:
            found.append(replica)
    for place in found:
        if isinstance(place, str) and (place.startswith("/") or "://" in place):
            yield place


def _checksum(given: Any) -> str:
    """Return a checksum as "type:hex", "" for none."""
    if isinstance(given, Mapping):
        return next((f"{kind}:{given[kind]}" for kind in ("adler32", "md5", "ad", "md") if given.get(kind)), "")
    return str(given or "")
