"""The shims that this process started: hears what they tell, takes their exit status (the only place that does)."""

import contextlib
import os
import subprocess
from collections.abc import Callable

from host.processes import identify
from workers.runner.watch import ProcessWatch
from workers.worker import Desk


class ShimChild:
    """One shim that is this process's child; it is reaped whether or not somebody still waits for its payload."""

    def __init__(self, desk: Desk, shim: subprocess.Popen[bytes], news: int, notice: Callable[[], None]) -> None:
        """Call `notice` when the shim tells something or ends."""
        self._desk = desk
        self._shim = shim
        self._news: int | None = news
        self._notice = notice
        self._watch = ProcessWatch(desk, self._ended)
        self._watch.add(identify(shim.pid))
        desk.watch(news, self._hear)

    @property
    def over(self) -> bool:
        """Whether the shim has ended (and is reaped then)."""
        return self._shim.poll() is not None

    @property
    def exit_code(self) -> int | None:
        """Its exit code, None while it runs."""
        return self._shim.returncode

    def kill(self) -> None:
        """End a shim that never came to its claim."""
        self._shim.kill()

    def _hear(self) -> None:
        if self._news is not None:
            with contextlib.suppress(BlockingIOError):
                if not os.read(self._news, 4096):
                    self._hang_up()
        self._notice()

    def _ended(self) -> None:
        # The pidfd of a child is readable when it can be reaped.
        self._shim.poll()
        self._notice()

    def _hang_up(self) -> None:
        if self._news is not None:
            self._desk.unwatch(self._news)
            os.close(self._news)
            self._news = None

    def close(self) -> None:
        """Listen no more; the shim itself is left alone."""
        self._hang_up()
        self._watch.close()
