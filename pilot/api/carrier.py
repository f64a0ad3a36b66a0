"""Transfers for programs that are no pilot: one mover child, one order after the other, each with its limits.

The caller's signal handlers, directory and environment stay as they are. Safe in threads: each has its own Carrier.
"""

import contextlib
import json
import os
import select
import subprocess
import time
from types import TracebackType
from typing import Any, Self

from errors.codes import ErrorCode
from host.processes import freeze_and_kill
from movers.base import Moved, MoverError, Order, default_code
from movers.child import arguments

#: An attempt that moves no byte for so long is given up.
STALL_S = 300.0
_DISCARD_S = 60.0
_READ = 65536


class Carrier:
    """A mover child, started with the first order and again after one that had to be killed; a context manager."""

    def __init__(self, stall_s: float = STALL_S) -> None:
        self._stall_s = stall_s
        self._child: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def carry(self, mover: str, order: Order, limit_s: float) -> Moved:
        """Carry out one order.

        Args:
            mover: name of the copy tool.
            order: what to move.
            limit_s: the attempt is killed after so many seconds, with whatever it started.

        Raises:
            MoverError: it failed; 1151 or 1152 when it stalled or took too long.
        """
        return Moved(**self._ask({"kind": "move", "mover": mover, "order": order._asdict()}, order, limit_s))

    def _ask(self, message: dict[str, Any], order: Order, limit_s: float) -> dict[str, Any]:
        self._number += 1
        try:
            self._send({"id": self._number, **message})
            return self._answer(order, limit_s)
        except (OSError, ValueError) as error:
            self._end()
            raise MoverError(default_code(order.direction), f"the mover failed: {error}", retry=True) from error
        except MoverError:
            if self._child is None and message["kind"] == "move" and "://" not in order.destination:
                # What a killed attempt left beside the destination.
                with contextlib.suppress(MoverError):
                    self._ask({"kind": "discard", "order": order._asdict()}, order, _DISCARD_S)
            raise

    def _send(self, message: dict[str, Any]) -> None:
        if self._child is None:
            self._unread = b""
            self._child = subprocess.Popen(
                arguments(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                bufsize=0,
                start_new_session=True,
            )
        line = json.dumps(message).encode() + b"\n"
        while line:
            line = line[os.write(_descriptor(self._child.stdin), line) :]

    def _answer(self, order: Order, limit_s: float) -> dict[str, Any]:
        over_at = time.monotonic() + limit_s
        stalled_at = time.monotonic() + self._stall_s
        done_bytes = 0
        while True:
            said = self._next_line(min(over_at, stalled_at))
            if said is None:
                self._end()
                code = ErrorCode.STAGEINTIMEOUT if order.direction == "in" else ErrorCode.STAGEOUTTIMEOUT
                how = f"more than {limit_s:g} s" if time.monotonic() >= over_at else f"no byte for {self._stall_s:g} s"
                raise MoverError(code, f"the transfer was given up: {how}", retry=True)
            if said.get("id") != self._number:
                continue
            if "error" in said:
                raise MoverError(**said["error"])
            if "result" in said:
                return dict(said["result"])
            if said.get("done_bytes", 0) > done_bytes:
                done_bytes, stalled_at = said["done_bytes"], time.monotonic() + self._stall_s

    def _next_line(self, deadline: float) -> dict[str, Any] | None:
        """Return what the child says next, None when it says nothing until the deadline.

        Raises:
            OSError: it has gone, or talks nonsense.
            ValueError: what it says is not JSON.
        """
        if self._child is None:
            raise OSError("there is no mover")
        descriptor = _descriptor(self._child.stdout)
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while b"\n" not in self._unread:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not poller.poll(left_s * 1000):
                return None
            data = os.read(descriptor, _READ)
            if not data:
                raise OSError("it ended before it answered")
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        said = json.loads(line)
        if not isinstance(said, dict):
            raise OSError("it talks nonsense")
        return said

    def _end(self) -> None:
        """Kill the child with whatever it started, and reap it."""
        child, self._child = self._child, None
        if child is None:
            return
        freeze_and_kill([child.pid], sessions=[child.pid])
        for stream in (child.stdin, child.stdout):
            if stream is not None:
                stream.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(_DISCARD_S)  # one that hangs in the kernel cannot be waited for


def _descriptor(stream: Any) -> int:
    if stream is None:
        raise OSError("a mover without pipes")
    return int(stream.fileno())
