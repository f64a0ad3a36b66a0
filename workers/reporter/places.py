"""The registry of job sources and job sinks: one line each."""

from collections.abc import Callable, Mapping
from typing import Protocol

from ipc.tasks import AcquireJob, SendUpdate
from settings.settings import Settings
from workers.reporter.exchange import Conversation
from workers.reporter.fake_job import FakeSource
from workers.reporter.files import FileSink, FileSource
from workers.reporter.handover import HandoverSink, HandoverSource
from workers.reporter.server_either import ServerEither
from workers.reporter.server_legacy import ServerLegacy


class Source(Protocol):
    """Where jobs come from."""

    def acquire(self, task: AcquireJob, /) -> Conversation:
        """Return the conversation that gets one job."""


class Sink(Protocol):
    """Where updates go to."""

    def deliver(self, task: SendUpdate, /) -> Conversation:
        """Return the conversation that delivers one update."""


SOURCES: Mapping[str, Callable[[Settings], Source]] = {
    "fake": FakeSource,
    "files": FileSource,
    "handover": HandoverSource,
    "legacy": ServerLegacy,
    "server": ServerEither,
}
SINKS: Mapping[str, Callable[[Settings], Sink]] = {
    "files": FileSink,
    "handover": HandoverSink,
    "legacy": ServerLegacy,
    "server": ServerEither,
}


def source_of(settings: Settings) -> Source:
    """Return the job source that the settings choose: a job file, the built-in job, files handed over, the server."""
    if settings.fake_job and not settings.job_file:
        return SOURCES["fake"](settings)
    if settings.handover.jobs_from_files:
        return SOURCES["handover"](settings)
    return SOURCES["files" if settings.job_file else _server(settings)](settings)


def sink_of(settings: Settings) -> Sink:
    """Return the job sink that the settings choose: the report file for file jobs, files handed over, the server."""
    if settings.handover.updates_to_files:
        return SINKS["handover"](settings)
    return SINKS["files" if settings.job_file or not settings.update_server else _server(settings)](settings)


def server_of(settings: Settings, *ends: Source | Sink) -> ServerEither | ServerLegacy:
    """Return the server for calls beside jobs and updates: that of one of the ends, which knows the dialect."""
    known = next((end for end in ends if isinstance(end, ServerEither | ServerLegacy)), None)
    if known is not None:
        return known
    return ServerLegacy(settings) if settings.server_api == "legacy" else ServerEither(settings)


def ends_of(settings: Settings) -> tuple[Source, Sink]:
    """Return source and sink; a server that is both is one, so that the dialect found out is known to both."""
    source, sink = source_of(settings), sink_of(settings)
    return source, source if isinstance(source, ServerEither) and isinstance(sink, ServerEither) else sink


def _server(settings: Settings) -> str:
    return "legacy" if settings.server_api == "legacy" else "server"
