"""What a trace of a transfer says: a table of its fields and where each comes from (panda-protocol 9, 13). Pure."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from errors.catalogue import load
from errors.codes import ErrorCode
from errors.redaction import redact
from ipc.parts import Attempt, TraceBasis, TracedFile

_REASON_CHARS = 500
#: Names of failures that no tool's words stand for.
_OWN_STATES = {
    ErrorCode.NOREPLICAS: "NO_REPLICA",
    ErrorCode.UNKNOWNCOPYTOOL: "BAD_COPYTOOL",
    ErrorCode.MISSINGOUTPUTFILE: "MISSINGOUTPUTFILE",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who sends: the node's full name and address, and a uuid for traces of jobs without a definition id."""

    hostname: str = "unknown"
    ip: str = "0.0.0.0"  # noqa: S104 - what the protocol wants where there is none
    uuid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that a trace is made of."""

    basis: TraceBasis
    attempt: Attempt
    file: TracedFile
    sender: Sender

    @property
    def inward(self) -> bool:
        """Whether the file came to the node."""
        return self.attempt.kind == "input"


def compose(basis: TraceBasis, attempt: Attempt, sender: Sender) -> str | None:
    """Return the trace as JSON text; None where none is sent: a file of no trace, or one without its sites."""
    file = next((file for file in basis.files if (file.lfn, file.kind) == (attempt.lfn, attempt.kind)), None)
    if file is None:
        return None
    known = Known(basis=basis, attempt=attempt, file=file, sender=sender)
    trace = {name: value(known) for name, value in FIELDS.items()}
    if not all(trace[name] for name in ("eventType", "localSite", "remoteSite", "uuid")):
        return None
    return json.dumps(trace)


def client_state(attempt: Attempt) -> str:
    """Return DONE, or the word for the failure."""
    if not attempt.code:
        return "DONE"
    inward = attempt.kind == "input"
    default = "STAGEIN_ATTEMPT_FAILED" if inward else "STAGEOUT_ATTEMPT_FAILED"
    return _states("stagein" if inward else "stageout").get(attempt.code, default)


@cache
def _states(direction: str) -> Mapping[int, str]:
    """Return the words of a direction by code: those of the tools' texts, the first of several, and our own."""
    found: dict[int, str] = {int(code): state for code, state in _OWN_STATES.items()}
    for row in load()["transfer_texts"]["table"]:
        if direction in row:
            found.setdefault(row[direction], row["state"])
    return found


def _event_type(known: Known) -> str:
    return ("get_sm" if known.inward else "put_sm") + ("_a" if known.basis.is_analysis else "")


def _uuid(known: Known) -> str:
    definition_id = known.basis.definition_id
    return _md5(f"ppilot_{definition_id}") if definition_id > 0 else known.sender.uuid.replace("-", "")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode("utf-8", "replace"), usedforsecurity=False).hexdigest()


def _protocol(known: Known) -> str | None:
    return known.attempt.copytool or urlsplit(known.attempt.url).scheme or None


def _url(known: Known) -> str | None:
    """Return the address without what may be a key to it: user name, password, query."""
    plain = known.attempt.url.partition("?")[0].partition("#")[0]
    scheme, sign, rest = plain.partition("://")
    host, slash, path = rest.partition("/")
    return redact(f"{scheme}{sign}{host.rpartition('@')[2]}{slash}{path}" if sign else plain) or None


def _state_reason(known: Known) -> str:
    if not known.attempt.code:
        return "OK"
    return redact(known.attempt.text).replace("\\", "")[:_REASON_CHARS] or f"error {known.attempt.code}"


def _size(known: Known) -> int | None:
    return known.attempt.size_bytes if known.attempt.size_bytes >= 0 else None


#: Every field of a trace, in the protocol's order. `ipv` and `workdir` of the older pilots' own must not be among them.
FIELDS: Mapping[str, Callable[[Known], Any]] = {
    "eventType": _event_type,
    "eventVersion": lambda known: known.basis.event_version,
    "protocol": _protocol,
    "clientState": lambda known: client_state(known.attempt),
    "stateReason": _state_reason,
    "localSite": lambda known: known.basis.local_site or known.attempt.endpoint,
    "remoteSite": lambda known: known.attempt.endpoint,
    "timeStart": lambda known: known.attempt.began_wall,
    "catStart": lambda _known: None,
    "relativeStart": lambda known: known.attempt.started_wall,
    "transferStart": lambda known: known.attempt.started_wall,
    "validateStart": lambda _known: None,
    "timeEnd": lambda known: known.attempt.ended_wall,
    "dataset": lambda known: known.file.dataset,
    "scope": lambda known: known.file.scope,
    "filename": lambda known: known.file.lfn,
    "guid": lambda known: known.file.guid.replace("-", ""),
    "filesize": _size,
    "url": _url,
    "version": lambda _known: None,
    "duid": lambda _known: None,
    "usr": lambda known: _md5(known.basis.user),
    "usrdn": lambda known: known.basis.user,
    "appid": lambda known: str(known.basis.job_id),
    "taskid": lambda known: known.basis.task_id,
    "hostname": lambda known: known.sender.hostname,
    "ip": lambda known: known.sender.ip,
    "suspicious": lambda _known: "0",
    "uuid": _uuid,
    "pq": lambda known: known.basis.queue,
}
