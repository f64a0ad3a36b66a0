"""The trace server: takes what Rucio's schema and the protocol's table name, refuses all else (protocol 9, 13)."""

import json
import re
from collections.abc import Mapping
from typing import Any

from sandbox.arguments import ArgumentRefusedError
from sandbox.decoding import JSON_TYPE, Answer, text_answer

PATH = "/traces/"
EVENT_TYPES = ("get_sm", "get_sm_a", "put_sm", "put_sm_a")
_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
_TEXT, _NUMBER, _NOTHING = (str,), (int, float), (type(None),)
#: Each field and the types that it may have. Of what Rucio's schema describes only `url` may be null.
_FIELDS: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("eventType", "eventVersion", "clientState", "stateReason", "localSite", "remoteSite"), _TEXT),
    **dict.fromkeys(("dataset", "scope", "filename", "guid", "usr", "usrdn", "appid", "hostname", "ip"), _TEXT),
    **dict.fromkeys(("suspicious", "uuid", "pq"), _TEXT),
    **dict.fromkeys(("timeStart", "catStart", "relativeStart"), _NUMBER + _NOTHING),
    **dict.fromkeys(("transferStart", "validateStart", "timeEnd"), _NUMBER + _NOTHING),
    **dict.fromkeys(("version", "duid"), _NOTHING),
    "protocol": _TEXT + _NOTHING,
    "url": _TEXT + _NOTHING,
    "filesize": (int, *_NOTHING),
    "taskid": (int, str),
}


def decode_trace(headers: Mapping[str, str], raw: bytes) -> Any:
    """Read a trace.

    Raises:
        ArgumentRefusedError: not plain JSON under its own type.
    """
    if headers.get("Content-Type") != JSON_TYPE or headers.get("Content-Encoding"):
        raise ArgumentRefusedError("a trace is plain application/json")
    try:
        return json.loads(raw)
    except ValueError as err:
        raise ArgumentRefusedError(f"cannot decode json parameter: {err}") from err


def take_trace(method: str, trace: Any, problem: Exception | None) -> Answer:
    """Return 201 for a good trace, 405 for another method, 400 with the reason for the rest."""
    if method != "POST":
        return text_answer(405, "Method Not Allowed")
    reason = str(problem) if problem else trace_problem(trace)
    return text_answer(400, reason) if reason else Answer(201, b"Created", value="Created")


def trace_problem(trace: Any) -> str:
    """Say what is wrong with a trace, or nothing."""
    if not isinstance(trace, dict):
        return "a trace is an object"
    strange, absent = sorted(trace.keys() - _FIELDS.keys()), sorted(_FIELDS.keys() - trace.keys())
    if strange or absent:
        return f"unknown fields {strange}, missing fields {absent}"
    for name, value in trace.items():
        if isinstance(value, bool) or not isinstance(value, _FIELDS[name]):
            return f"{name} is of type {type(value).__name__}"
    if trace["eventType"] not in EVENT_TYPES:
        return f"eventType {trace['eventType']} is not supported"
    if not _UUID.fullmatch(trace["uuid"]):
        return f"uuid {trace['uuid']!r} is none"
    empty = [name for name in ("clientState", "localSite", "remoteSite", "filename") if not trace[name]]
    return f"{empty[0]} is empty" if empty else ""
