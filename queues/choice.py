"""Where the files of a job come from and go to. Pure: no directory is looked at, no catalogue is asked.

Every answer is a list in order of preference; the stager goes down the list until one transfer succeeds.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from posixpath import dirname, join

from errors.codes import ErrorCode
from jobs.definition import JobDefinition
from jobs.files import InputFile, OutputFile
from queues.copytools import (
    GRID_SCHEMES,
    LOCAL_TOOLS,
    belongs_to_mv,
    schemes_of,
    stagein_activities,
    stagein_tool,
    stageout_activities,
    stageout_tool,
    tools_of,
)
from queues.faults import PlacementError
from queues.paths import deterministic_path, first_access, join_url, output_url
from queues.queue import Queue
from queues.storages import Storage

_READ, _READ_FAR = ("read_lan", "r"), ("read_wan",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Directories of this pilot; absolute paths, "" for an option that was not given.

    Attributes:
        job_dir: the job's directory.
        main_dir: the pilot's main directory.
        launch_dir: where the pilot was started.
        input_dir: option --input-dir: inputs lie there by their LFN.
        output_dir: option --output-dir: outputs and log go there.
        input_destination_dir: option --input-destination-dir: inputs are brought there.
    """

    job_dir: str
    main_dir: str = ""
    launch_dir: str = ""
    input_dir: str = ""
    output_dir: str = ""
    input_destination_dir: str = ""


@dataclass(frozen=True, slots=True)
class Replica:
    """One place an input can be had from.

    Attributes:
        copytool: the mover to use.
        url: absolute path or URL.
        endpoint: storage endpoint, "" for a directory.
    """

    copytool: str
    url: str
    endpoint: str = ""


@dataclass(frozen=True, slots=True)
class Destination:
    """One place an output can go to.

    Attributes:
        copytool: the mover to use.
        url: absolute path or URL to write to (turl).
        surl: what the file report says.
        endpoint: storage endpoint for the file report; the one the job wants when a directory takes the file.
        alternative: only for the alternative stage-out, when the endpoint that was meant has failed.
    """

    copytool: str
    url: str
    surl: str
    endpoint: str = ""
    alternative: bool = False


@dataclass(frozen=True, slots=True)
class Chooser:
    """Chooses for one job on one queue.

    Attributes:
        job: the job.
        queue: the queue.
        storages: the storages by name; may be empty with local tools.
        places: the directories.
        known_tools: names of the copy tools that can be used here.
    """

    job: JobDefinition
    queue: Queue
    storages: Mapping[str, Storage]
    places: Places
    known_tools: Collection[str] = LOCAL_TOOLS

    def inputs(self) -> tuple[tuple[Replica, ...], ...]:
        """Return the replicas of each input, in the order of `job.inputs`; none is ever empty.

        Raises:
            PlacementError: 1323 when no tool of the queue is known, 1313 when a file lies where no tool reaches.
        """
        if not self.job.inputs:
            return ()
        tools = tools_of(self.queue, stagein_activities(self.job, self.queue), self.known_tools)
        return tuple(self._replicas(file, tools) for file in self.job.inputs)

    def outputs(self) -> tuple[tuple[Destination, ...], ...]:
        """Return the destinations of each output, in the order of `job.outputs`; none is ever empty.

        Raises:
            PlacementError: 1323 when no tool is known, 1133 when there is no storage, 1313 when it has no protocol for
                the tools, 1329 when its paths cannot be built.
        """
        return tuple(self._destinations(file, log=False) for file in self.job.outputs)

    def log(self) -> tuple[Destination, ...]:
        """Return the destinations of the log archive, () for a job without one.

        Raises:
            PlacementError: as `outputs`.
        """
        return self._destinations(self.job.log, log=True) if self.job.log is not None else ()

    def _replicas(self, file: InputFile, tools: tuple[str, ...]) -> tuple[Replica, ...]:
        found = [replica for tool in tools for replica in self._replicas_by(tool, file)]
        if not found:
            raise PlacementError(
                file.lfn,
                f"no way for {', '.join(tools)} to {file.url or file.endpoint or 'a storage'}",
                ErrorCode.NOSTORAGEPROTOCOL,
            )
        return tuple(dict.fromkeys(found))

    def _replicas_by(self, tool: str, file: InputFile) -> Iterator[Replica]:
        mover = stagein_tool(tool)
        places = self.places
        if tool not in LOCAL_TOOLS:
            if file.url and file.url.partition("://")[0] in schemes_of(self.queue, ("read_lan",), tool):
                yield Replica(mover, file.url)
            else:
                yield from self._stored(tool, file)
            return
        if places.input_dir:
            yield Replica(mover, join(places.input_dir, file.lfn))
        if belongs_to_mv(tool) and places.input_destination_dir:
            yield Replica(mover, join(dirname(places.input_destination_dir.rstrip("/")), file.lfn))
            yield Replica(mover, join(places.input_destination_dir, file.lfn))
        yield from self._stored(tool, file)
        if belongs_to_mv(tool) or places.input_dir or not self._lies_elsewhere(file):
            yield Replica(mover, join(dirname(places.job_dir.rstrip("/")), file.lfn))
            if places.launch_dir:
                yield Replica(mover, join(places.launch_dir, file.lfn))

    def _stored(self, tool: str, file: InputFile) -> Iterator[Replica]:
        """Yield the places of a file on storages, near ones first, by the deterministic path and by the plain one."""
        activities = stagein_activities(self.job, self.queue)
        schemes = schemes_of(self.queue, activities, tool)
        near = _first_list(self.queue.astorages, activities)
        names = dict.fromkeys(name for name in (file.endpoint, *near) if name in self.storages)
        for name in names:
            storage = self.storages[name]
            reads = _READ if name in near or not self.queue.allow_wan else (*_READ, *_READ_FAR)
            for access in first_access(storage, reads, schemes):
                if storage.is_deterministic and file.scope:
                    url = join_url(access, deterministic_path(file.scope, file.lfn))
                    yield Replica(stagein_tool(tool), url, name)
                if access.scheme == "file" or not storage.is_deterministic:
                    yield Replica(stagein_tool(tool), join_url(access, file.lfn), name)

    def _lies_elsewhere(self, file: InputFile) -> bool:
        """Say whether a file is known to be on a storage or at a URL that local tools do not reach."""
        storage = self.storages.get(file.endpoint)
        return bool(file.url) or (storage is not None and not first_access(storage, (*_READ, *_READ_FAR), ("file",)))

    def _destinations(self, file: OutputFile, *, log: bool) -> tuple[Destination, ...]:
        activities = stageout_activities(self.job, self.queue, log=log)
        found: list[Destination] = []
        failure: PlacementError | None = None
        for tool in tools_of(self.queue, activities, self.known_tools):
            try:
                found += self._destinations_by(tool, file, activities)
            except PlacementError as error:
                failure = failure or error
        if not found and failure is not None:
            raise failure
        return tuple(sorted(dict.fromkeys(found), key=lambda place: place.alternative))

    def _destinations_by(self, tool: str, file: OutputFile, activities: tuple[str, ...]) -> list[Destination]:
        mover = stageout_tool(tool)
        if tool in LOCAL_TOOLS and self.places.output_dir:
            path = join(self.places.output_dir, file.lfn)
            return [Destination(mover, path, path, file.endpoint)]
        beside = join(dirname(self.places.job_dir.rstrip("/")), file.lfn)
        try:
            return self._on_storages(tool, file, activities)
        except PlacementError:
            if belongs_to_mv(tool):
                surl, endpoint = self._on_grid(file, activities)
                return [Destination(mover, beside, surl or beside, endpoint)]
            raise

    def _on_grid(self, file: OutputFile, activities: tuple[str, ...]) -> tuple[str, str]:
        """Return where ARC is to bring a file that is left beside the job: URL and storage; no URL without storages."""
        try:
            name = self._endpoints(file, activities)[0]
            return self._on_storage("gfal", file, name, GRID_SCHEMES).url, name
        except PlacementError:
            return "", file.endpoint

    def _on_storages(self, tool: str, file: OutputFile, activities: tuple[str, ...]) -> list[Destination]:
        schemes = schemes_of(self.queue, activities, tool)
        first, *others = self._endpoints(file, activities)
        found = [self._on_storage(tool, file, first, schemes)]
        for name in others:
            try:
                found.append(self._on_storage(tool, file, name, schemes, alternative=True))
            except PlacementError:
                continue  # an alternative that cannot be used is none
        return found

    def _endpoints(self, file: OutputFile, activities: tuple[str, ...]) -> list[str]:
        """Return the endpoint for an output and, where they are allowed, its alternatives.

        The one the job wants counts when it is in the queue's list; else it becomes the first alternative.
        """
        listed = _first_list(self.queue.astorages, activities)
        if not listed:
            raise PlacementError(
                file.lfn, f"queue {self.queue.name} has no storage for {', '.join(activities)}", ErrorCode.NOSTORAGE
            )
        first = file.endpoint if file.endpoint in listed else listed[0]
        allowed = self.queue.allow_alt_stage_out
        if allowed is None:
            allowed = self.job.alt_stage_out
        if not allowed:
            return [first]
        others = [name for name in (file.endpoint, *listed) if name and name != first and not self._is_nucleus(name)]
        return [first, *dict.fromkeys(others)]

    def _is_nucleus(self, name: str) -> bool:
        nucleus = self.job.nucleus
        storage = self.storages.get(name)
        return bool(nucleus) and (name == nucleus or (storage is not None and storage.site == nucleus))

    def _on_storage(
        self, tool: str, file: OutputFile, name: str, schemes: Collection[str], *, alternative: bool = False
    ) -> Destination:
        storage = self.storages.get(name)
        if storage is None:
            raise PlacementError(file.lfn, f"storage {name} is not known", ErrorCode.NOSTORAGE)
        url = output_url(storage, file.scope, file.lfn, schemes)
        return Destination(stageout_tool(tool), url, url, name, alternative)


def _first_list(lists: Mapping[str, tuple[str, ...]], activities: tuple[str, ...]) -> tuple[str, ...]:
    return next((lists[activity] for activity in activities if lists.get(activity)), ())
