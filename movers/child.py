"""The child program that carries out orders, one after the other, and can be killed on any line (pitfall P75).

Started by the stager with `arguments`, in a session of its own. Orders come as JSON lines on standard input, answers
leave as JSON lines on standard output:

    {"id": 7, "kind": "move", "mover": "cp", "order": {fields of movers.base.Order}}
    {"id": 7, "kind": "remove", "order": {"root": "...", "paths": ["..."]}}
    {"id": 7, "kind": "discard", "order": {fields of movers.base.Order}}

    {"id": 7, "done_bytes": 1048576}                             at most five times a second
    {"id": 7, "total_bytes": 1048576}                            when it was not known before
    {"id": 7, "result": {...}}
    {"id": 7, "error": {"code": 1171, "text": "...", "retry": true, "missing": false}}

It leaves at the end of its standard input and when its parent dies. Whatever a mover or its libraries print goes to
standard error, of which the stager keeps the end.
"""

# ruff: noqa: PTH116, PTH123 - pathlib costs 6 ms of the start
import contextlib
import importlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from errors.codes import ErrorCode
from host.kernel import clear_mask, die_with_parent
from host.programs import program_arguments
from movers.base import Capabilities, MoverError, Order, Report, os_failure, partial_path
from movers.landing import discard_partial, make_link
from movers.registry import find

REPORT_S = 0.2
_GROWTH_S = 1.0


def arguments(program: str = "movers.child") -> list[str]:
    """Return the argument list that starts the child.

    `program` is a module whose `main` calls `serve`.
    """
    return program_arguments(program)


def main() -> None:
    """Carry out orders of the kinds known here until there are no more."""
    serve({})


def serve(more_kinds: "Mapping[str, Kind]") -> None:
    """Carry out orders, also of `more_kinds`, until there are no more."""
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):
        return  # the parent died before the kernel was told (P18)
    clear_mask()
    with contextlib.suppress(OSError), open("/proc/self/comm", "w", encoding="ascii") as name:
        name.write("bulkhead-mover")
    orders, answers = _take_pipes({**_KINDS, **more_kinds})
    while line := orders.readline():
        message = json.loads(line)
        answers.carry_out(message)


def _take_pipes(kinds: "Mapping[str, Kind]") -> tuple[BinaryIO, "Answers"]:
    """Take standard input and output away from whatever the movers run: /dev/null and standard error replace them."""
    orders, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return open(orders, "rb"), Answers(answers, kinds)


class Answers:
    """Writes what becomes of one order after the other."""

    def __init__(self, descriptor: int, kinds: "Mapping[str, Kind]") -> None:
        """Write to `descriptor`, a pipe that blocks; each kind of order has a function that carries it out."""
        self._descriptor = descriptor
        self._kinds = kinds
        self._order = 0
        self._next_report = 0.0

    def _say(self, **fields: Any) -> None:
        line = json.dumps({"id": self._order, **fields}).encode() + b"\n"
        while line:
            line = line[os.write(self._descriptor, line) :]

    def report(self, done_bytes: int) -> None:
        """Tell how many bytes are done, not too often."""
        moment = time.monotonic()
        if moment >= self._next_report:
            self._next_report = moment + REPORT_S
            self._say(done_bytes=done_bytes)

    def announce(self, total_bytes: int) -> None:
        """Tell how many bytes there are in all."""
        self._say(total_bytes=total_bytes)

    def carry_out(self, message: dict[str, Any]) -> None:
        """Carry out one order and answer it, whatever happens."""
        self._order, self._next_report = message["id"], 0.0
        try:
            result = self._kinds[message["kind"]](message, self)
        except MoverError as error:
            self._fail(error)
        except OSError as error:
            self._fail(os_failure(error, message["order"].get("direction", "in"), message["kind"]))
        except Exception as error:  # noqa: BLE001 - the top of a process, around foreign libraries
            sys.excepthook(*sys.exc_info())
            self._fail(MoverError(ErrorCode.UNKNOWNEXCEPTION, f"{type(error).__name__}: {error}", retry=True))
        else:
            self._say(result=result)

    def _fail(self, error: MoverError) -> None:
        told = {"code": error.code, "text": error.text, "retry": error.retry, "missing": error.missing}
        self._say(error=told)


def _move(message: dict[str, Any], answers: Answers) -> dict[str, Any]:
    mover = find(message["mover"])
    order = Order(**message["order"])
    if order.direction not in mover.CAPABILITIES.directions:
        raise MoverError(ErrorCode.UNKNOWNCOPYTOOL, f"{message['mover']} cannot move files {order.direction}")
    stop_watching = _watch_growth(mover.CAPABILITIES, order, answers.report)
    try:
        moved = mover.move(order, answers.report)
    finally:
        stop_watching()
    if order.link:
        make_link(order)
    return moved._asdict()


def _watch_growth(capabilities: Capabilities, order: Order, report: Report) -> Callable[[], None]:
    """Report the growth of the partial file for a mover that does not report itself; return how to stop that."""
    if capabilities.reports_bytes or order.direction != "in":
        return lambda: None
    import threading  # noqa: PLC0415 - not needed by most orders, and the child must start fast

    path, over = partial_path(order), threading.Event()

    def watch() -> None:
        while not over.wait(_GROWTH_S):
            try:
                report(os.stat(path).st_size)
            except OSError:
                continue

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()

    def stop() -> None:
        over.set()
        thread.join()

    return stop


def _remove(message: dict[str, Any], answers: Answers) -> dict[str, Any]:
    module = importlib.import_module("movers.removal")
    return {"removed": module.remove_trees(message["order"]["root"], message["order"]["paths"], answers.report)}


def _discard(message: dict[str, Any], _answers: Answers) -> dict[str, Any]:
    discard_partial(Order(**message["order"]))
    return {}


#: Carries out the order in a message and returns its result.
Kind = Callable[[dict[str, Any], Answers], dict[str, Any]]

_KINDS: dict[str, Kind] = {
    "move": _move,
    "remove": _remove,
    "discard": _discard,
}
