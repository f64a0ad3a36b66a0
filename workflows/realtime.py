"""Whether and where the lines of a job's output are sent while it runs (behaviour 24, panda-protocol 8.3). Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace

from ipc.parts import LogStream, Variable
from jobs.definition import JobDefinition
from queues.queue import Queue
from settings.log_target import LogTarget, read_log_target
from settings.settings import Settings

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_LOKI_PERIOD_S = 30.0
_PERIOD_S = 5.0
_DEFAULT_NAME = "pilot-log"
_DEFAULT_FILE = "payload.stdout"
#: Where the scripts of user jobs write.
_USERS_FILE = "tmp.stdout*"
_MAX_FILES = 8


def log_stream(job: JobDefinition, queue: Queue, settings: Settings) -> LogStream | None:
    """Return where the job's lines go, None when no server is named.

    They are asked for by `--use-realtime-logging`, by the queue's `logging=` tag, or by a job in debug mode, from the
    moment when it is. The server is that of the option or the configuration, then LOKI_URL, then the queue's.
    """
    environment = dict(settings.environment)
    of_queue = queue.tag_value("logging")
    wanted = settings.use_realtime_logging or of_queue or job.debug
    own = f"loki;{environment['LOKI_URL']}" if environment.get("LOKI_URL") else ""
    named = (settings.realtime_logging_server, own, of_queue)
    found = next((target for text in named if (target := read_log_target(text))), None)
    if found is None:
        return None
    stream = _with_files(_stream(found, job, settings, environment), job, queue, environment)
    return with_secrets(replace(stream, dormant=not wanted), dict(job.pilot_secrets))


def _stream(target: LogTarget, job: JobDefinition, settings: Settings, environment: Mapping[str, str]) -> LogStream:
    period = environment.get("LOKI_PERIOD", "")
    return LogStream(
        kind=target.kind,
        url=target.url,
        name=settings.realtime_logname or _DEFAULT_NAME,
        file=_DEFAULT_FILE,
        period_s=_period_s(period) if target.kind == "loki" else _PERIOD_S,
        labels=_labels(job, settings),
        stream_labels=tuple(key.strip() for key in environment.get("LOKI_LABELKEYS", "").split(",") if key.strip()),
    )


def with_secrets(stream: LogStream, secrets: Mapping[str, str]) -> LogStream:
    """Return where lines go, with user and password from the pilot's secrets: the only use there is for them."""
    user, password = (secrets.get(f"{stream.kind}_{name}", "") for name in ("login", "password"))
    return replace(stream, user=user, password=password)


def _with_files(stream: LogStream, job: JobDefinition, queue: Queue, environment: Mapping[str, str]) -> LogStream:
    """Return the stream with its files: those of the environment, the queue's, those of user jobs, else the default."""
    several = [name for name in re.split("[:,]", environment.get("REALTIME_LOGFILES", "")) if name][:_MAX_FILES]
    named = environment.get("REALTIME_LOGFILE") or _plain(queue.tag_value("loggingfile"))
    if named or several:
        first, *others = [named, *several] if named else several
        return replace(stream, file=first, more_files=tuple(other for other in others if other != first))
    if job.is_analysis:
        return replace(stream, file=_USERS_FILE, fallback=_DEFAULT_FILE)
    return stream


def _plain(name: str) -> str:
    """Return a file name of the queue's, "" when it could lead out of the job directory."""
    return name if _PLAIN_NAME.fullmatch(name) else ""


def _period_s(text: str) -> float:
    return max(1.0, float(text)) if re.fullmatch(r"\d{1,5}(\.\d+)?", text) else _LOKI_PERIOD_S


def _labels(job: JobDefinition, settings: Settings) -> tuple[Variable, ...]:
    values = {
        "TaskID": str(job.task_id),
        "PandaJobID": str(job.job_id),
        "RequestID": str(job.request_id) if job.request_id else "",
        "Harvester_ID": settings.harvester_id,
        "Harvester_WorkerID": settings.harvester_worker_id,
        "logName": settings.realtime_logname,
    }
    return tuple(Variable(name=name, value=value) for name, value in values.items() if value)
