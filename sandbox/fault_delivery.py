"""Sending an answer in the broken way that a fault asks for."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sandbox.decoding import Answer
from sandbox.faults import Fault

_PAGE = "<html><head><title>Gateway</title></head><body><h1>Please log in</h1></body></html>\n"
_NOTHING = Answer(200, b"")
_ABORTED = ("drop_before", "drop_after", "silence")

# What takes the place of the answer, where no work is done.
_SUBSTITUTES: Mapping[str, Answer] = {
    "http_403": Answer(403, b"ERROR : Token authentication failed. forbidden, as switched on in the sandbox"),
    "http_404": Answer(404, b"Not Found"),
    "forbidden": Answer(403, b"ERROR : method switched_off_in_the_sandbox is forbidden"),
    "http_500": Answer(500, b"switched on in the sandbox"),
    "http_500_after": Answer(500, b"switched on in the sandbox, after the work"),
    "http_503": Answer(503, b"<html><body><h1>503 Service Unavailable</h1></body></html>", "text/html"),
    "garbage": Answer(200, _PAGE.encode(), "text/html"),
    "empty": _NOTHING,
    # in the form of both dialects
    "timed_out": Answer(
        200, b'{"success": true, "message": "Timed out", "data": {"StatusCode": 10}, "StatusCode": 10}'
    ),
}


def seen_status(fault: Fault, answer: Answer | None) -> int | None:
    """Return the HTTP status which the client will see; None when there is no answer."""
    if fault.kind in _ABORTED:
        return None
    return _SUBSTITUTES.get(fault.kind, answer or _NOTHING).status


async def deliver(request: web.Request, fault: Fault, answer: Answer | None) -> web.StreamResponse:
    """Answer a request as the fault demands.

    Args:
        request: The request, read completely.
        fault: What goes wrong.
        answer: The right answer, where the work was done.

    Raises:
        ConnectionError: The client left meanwhile (aiohttp ends the connection quietly).
    """
    right = answer or _NOTHING
    if fault.kind in {"late", "silence"}:
        await asyncio.sleep(fault.seconds)
    if fault.kind in _ABORTED:
        return _abort(request)
    if fault.kind == "slow":
        return await _send_slowly(request, right, fault.seconds)
    if fault.kind == "cut":
        return await _send_half(request, right)
    return plain_response(_altered(fault.kind, right))


def _altered(kind: str, right: Answer) -> Answer:
    if kind == "truncated":
        return Answer(200, right.body[: len(right.body) // 2], right.content_type)
    if kind == "wrong_types":
        return Answer(200, json.dumps(_twisted(right.value)).encode(), right.content_type)
    return _SUBSTITUTES.get(kind, right)


def plain_response(answer: Answer) -> web.Response:
    """Return the undisturbed answer."""
    return web.Response(status=answer.status, body=answer.body, content_type=answer.content_type)


def _abort(request: web.Request) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # goes nowhere: the connection is gone


async def _start(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
    response.content_length = len(answer.body)
    await response.prepare(request)
    return response


async def _send_slowly(request: web.Request, answer: Answer, seconds: float) -> web.StreamResponse:
    response = await _start(request, answer)
    pause = seconds / max(1, len(answer.body))
    for place in range(len(answer.body)):
        await response.write(answer.body[place : place + 1])
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def _send_half(request: web.Request, answer: Answer) -> web.StreamResponse:
    response = await _start(request, answer)
    await response.write(answer.body[: len(answer.body) // 2])
    if request.transport is not None:
        request.transport.abort()
    return response


def _twisted(value: Any) -> Any:
    """Give every member of an answer another JSON type: what `success: "true"` and a list for an object do."""
    if isinstance(value, dict):
        return {name: _twisted_member(member) for name, member in value.items()}
    return str(value)


def _twisted_member(member: Any) -> Any:
    if isinstance(member, dict):
        return [member]
    if isinstance(member, list):
        return {str(place): item for place, item in enumerate(member)}
    if isinstance(member, str):
        return len(member)
    return str(member)
