"""Job status, bulk updates, resource types and the debug switch (panda-protocol 1.7, 1.9). Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ipc.results import UpdateAnswered
from settings.settings import Settings
from workers.reporter import dialect_legacy, dialect_v1
from workers.reporter.answers import garbage, refused_by_status
from workers.reporter.call_names import CALLS, renamed
from workers.reporter.calls import Call, UnreadableError, make, objects
from workers.reporter.exchange import Answer, Failure, Lost, Reply
from workers.reporter.foreign_json import ForeignJsonError, read_object
from workers.reporter.quoting import quote

_NOT_FOUND = frozenset({"not found", "notfound"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """What the server says of a job: its state there ("" when it does not know it), its attempt."""

    job_id: int
    status: str
    attempt_nr: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType:
    """A resource type with its limits; memory in MB per core; None is no limit."""

    name: str
    min_cores: int | None = None
    max_cores: int | None = None
    min_mb_per_core: int | None = None
    max_mb_per_core: int | None = None


def get_job_status(settings: Settings, job_ids: Sequence[int], *, dialect: str = "v1") -> Call[tuple[JobStatus, ...]]:
    """Return the call that brings the states of jobs, in the order of their ids; of use after a restart."""
    if dialect == "legacy":
        arguments: dict[str, object] = {"job_ids": " ".join(map(str, job_ids))}
        return make(settings, dialect, "pilot/get_job_status", arguments, lambda found: _joined(found, job_ids))
    return make(settings, dialect, "pilot/get_job_status", {"job_ids": tuple(job_ids)}, _listed)


def update_jobs_bulk(
    settings: Settings, updates: Iterable[Mapping[str, object]], harvester_id: str, *, dialect: str = "v1"
) -> Call[tuple[UpdateAnswered | Failure, ...]]:
    """Return the call that sends updates (v1 names) of several jobs; it brings how each was taken, in order.

    One exception at the server spoils the whole answer, though updates before it may be stored: then it is a Failure.
    """
    entries = [dict(update) for update in updates]
    if dialect == "legacy":
        names = CALLS["pilot/update_job"].names
        text = json.dumps([renamed(names, entry) for entry in entries])
        arguments: dict[str, object] = {"job_list": text, "harvester_id": harvester_id}
        made = make(settings, dialect, "pilot/update_jobs_bulk", arguments, _nothing)
        return Call(made.request, _read_bulk_legacy)
    arguments = {"job_list": entries, "harvester_id": harvester_id}
    return make(settings, dialect, "pilot/update_jobs_bulk", arguments, _bulk)


def get_resource_types(settings: Settings, *, dialect: str = "v1") -> Call[tuple[ResourceType, ...]]:
    """Return the call that brings the resource types, of use for limits of memory."""
    return make(settings, dialect, "metaconfig/get_resource_types", {}, _resource_types)


def set_debug_mode(settings: Settings, job_id: int, *, on: bool, dialect: str = "v1") -> Call[bool]:
    """Return the call that switches a job's debug mode; the message decides, as v1's `success` is inverted (1.4)."""
    made = make(settings, dialect, "job/set_debug_mode", {"job_id": job_id, "mode": on}, _nothing)
    return Call(made.request, _read_debug_legacy if dialect == "legacy" else _read_debug_v1)


def read_debug_switch(dialect: str, reply: Reply) -> UpdateAnswered | Failure:
    """Return how the debug switch was taken, as an outbox wants it; one that was refused is not sent again."""
    switched = _read_debug_legacy(reply) if dialect == "legacy" else _read_debug_v1(reply)
    return switched if isinstance(switched, Failure) else UpdateAnswered(stored=True)


def _nothing(_content: Any) -> Any:
    """Stand for a reader that is replaced."""


def _listed(content: Any) -> tuple[JobStatus, ...]:
    return tuple(
        JobStatus(
            job_id=_whole(item.get("job_id")),
            status=_state(item.get("status")),
            attempt_nr=_whole(item.get("attempt_number", 0)),
        )
        for item in objects(content, "job states")
    )


def _joined(content: Any, job_ids: Sequence[int]) -> tuple[JobStatus, ...]:
    """Take apart what legacy joins with "+"."""
    states, attempts = (str(content.get(name, "")).split("+") for name in ("status", "attemptNr"))
    if not len(states) == len(attempts) == len(job_ids):
        raise UnreadableError(f"{len(states)} states of {len(job_ids)} jobs")
    return tuple(
        JobStatus(job_id=job_id, status=_state(state), attempt_nr=_whole(attempt))
        for job_id, state, attempt in zip(job_ids, states, attempts, strict=True)
    )


def _state(value: Any) -> str:
    if not isinstance(value, str):
        raise UnreadableError("a job state that is no text")
    return "" if value in _NOT_FOUND else value


def _whole(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise UnreadableError("a number that is none")


def _bulk(content: Any) -> tuple[UpdateAnswered | Failure, ...]:
    answers = objects(content, "answers")
    return tuple(_single(dialect_v1.read_update(_as_answer(answer))) for answer in answers)


def _read_bulk_legacy(reply: Reply) -> tuple[UpdateAnswered | Failure, ...] | Failure:
    """Read the JSON text of [true, [<answers>]] or [false, "<text>"]."""
    if isinstance(reply, Lost):
        return Failure(text=reply.text, code=reply.code, retry=True)
    if reply.status != 200:
        return refused_by_status(reply)
    found = dialect_legacy.nested(reply.body.decode("utf-8", "replace"))
    if not isinstance(found, list) or len(found) != 2 or not isinstance(found[0], bool):
        return garbage("no pair of success and answers")
    if not found[0]:
        return Failure(text=f"the server answers: {quote(found[1])}", retry=True)
    if not isinstance(found[1], list):
        return garbage("no list of answers")
    return tuple(_single(dialect_legacy.read_update(_as_answer(answer))) for answer in found[1])


def _as_answer(value: Any) -> Answer:
    """Return one of the answers as it would come alone.

    The server puts each in as {"type": "json", "content": <JSON text>}, and as url-encoded text where JSON was not
    asked for (seen on release 0.8.1).
    """
    inner = value.get("content", value) if isinstance(value, dict) else value
    text = inner if isinstance(inner, str) else json.dumps(inner)
    return Answer(body=text.encode("utf-8", "replace"))


def _single(outcome: Any) -> UpdateAnswered | Failure:
    return outcome if isinstance(outcome, (UpdateAnswered, Failure)) else garbage("no answer to an update")


def _resource_types(content: Any) -> tuple[ResourceType, ...]:
    found = content.get("ResourceTypes") if isinstance(content, dict) else content
    return tuple(_resource_type(item) for item in objects(found, "resource types"))


def _resource_type(item: dict[str, Any]) -> ResourceType:
    name = item.get("resource_name")
    if not isinstance(name, str) or not name:
        raise UnreadableError("a resource type without a name")

    def limit(key: str) -> int | None:
        value = item.get(key)
        return None if value in (None, "", "None", "NULL") else _whole(value)

    return ResourceType(
        name=name,
        min_cores=limit("mincore"),
        max_cores=limit("maxcore"),
        min_mb_per_core=limit("minrampercore"),
        max_mb_per_core=limit("maxrampercore"),
    )


def _read_debug_v1(reply: Reply) -> bool | Failure:
    if isinstance(reply, Lost) or reply.status != 200:
        return _refused(reply)
    try:
        message = read_object(reply.body).get("message")
    except ForeignJsonError as error:
        return garbage(str(error))
    return _switched(message)


def _read_debug_legacy(reply: Reply) -> bool | Failure:
    if isinstance(reply, Lost) or reply.status != 200:
        return _refused(reply)
    text = reply.body[:400].decode("utf-8", "replace").strip().strip('"')
    if not text or text.startswith("<"):
        return garbage("an HTML or XML page" if text else "an empty body")
    return _switched(text)


def _switched(message: Any) -> bool | Failure:
    if message == "Succeeded":
        return True
    return Failure(text=f"the server answers: {quote(message or 'no reason')}", retry=False)


def _refused(reply: Reply) -> Failure:
    if isinstance(reply, Lost):
        return Failure(text=reply.text, code=reply.code, retry=True)
    return refused_by_status(reply)
