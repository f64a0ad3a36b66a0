"""Whether and where the lines of a job's output are sent while it runs (behaviour 24, panda-protocol 8.3). Pure."""

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from ipc.schema import LogStream, Variable
from jobs.definition import JobDefinition
from queues.queue import Queue
from settings.settings import Settings

_TARGET = re.compile(r"(?P<kind>loki|logstash);(?P<url>https?://[^\s;,]+)", re.IGNORECASE)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+-]*")
_LOKI_PERIOD_S = 30.0
_LOGSTASH_PERIOD_S = 5.0
_LOKI_PATH = "/loki/api/v1/push"


def log_stream(job: JobDefinition, queue: Queue, settings: Settings) -> LogStream | None:
    """Return where the job's lines go, None when nobody asked for them or no server is named.

    They are asked for by `--use-realtime-logging`, by the queue's `logging=` tag, or by a job in debug mode. The server
    is that of the option or the configuration, then LOKI_URL, then the queue's.
    """
    environment = dict(settings.environment)
    of_queue = queue.tag_value("logging")
    if not (settings.use_realtime_logging or of_queue or job.debug):
        return None
    own = f"loki;{environment['LOKI_URL']}" if environment.get("LOKI_URL") else ""
    named = (settings.realtime_logging_server, own, of_queue)
    found = next((target for text in named if (target := _target(text))), None)
    if found is None:
        return None
    kind, url = found
    stream = LogStream(
        kind=kind,
        url=url,
        file=environment.get("REALTIME_LOGFILE") or _plain(queue.tag_value("loggingfile")) or "payload.stdout",
        period_s=_period_s(environment.get("LOKI_PERIOD", "")) if kind == "loki" else _LOGSTASH_PERIOD_S,
        labels=_labels(job, settings),
        stream_labels=tuple(key.strip() for key in environment.get("LOKI_LABELKEYS", "").split(",") if key.strip()),
    )
    return with_secrets(stream, dict(job.pilot_secrets))


def with_secrets(stream: LogStream, secrets: Mapping[str, str]) -> LogStream:
    """Return where lines go, with user and password from the pilot's secrets: the only use there is for them."""
    user, password = (secrets.get(f"{stream.kind}_{name}", "") for name in ("login", "password"))
    return replace(stream, user=user, password=password)


def _target(text: str) -> tuple[str, str] | None:
    match = _TARGET.fullmatch(text.strip())
    if match is None:
        return None
    kind, url = match["kind"].lower(), match["url"].rstrip("/")
    if kind == "loki" and not urlsplit(url).path:
        url += _LOKI_PATH
    return kind, url


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
