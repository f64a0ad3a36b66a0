"""A running pilot, seen from outside: its processes, its bulletin, its end."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import psutil

from benchmarks.house import House, environment
from benchmarks.scenario import WrongOutcomeError
from benchmarks.waiting import wait_for

WORKERS = ("stager", "runner", "monitor", "reporter")
_TITLE = "bulkhead: "


class RunningPilot:
    """Started at once; whatever is left of it at the end of the `with` block is killed.

    Attributes:
        began: wall time right before the start.
        ended: wall time of its end, once waited for.
    """

    def __init__(self, house: House, place: Path, options: Sequence[str], starter: Sequence[str] = ()) -> None:
        """Start `supervisor.py`, or what `starter` puts in its place, with `options`; output goes to a file."""
        self.place = place
        self.tmp = place / "t"
        self.tmp.mkdir(parents=True)
        program = starter or (str(house.path / "supervisor.py"),)
        command = [sys.executable, *program, *options, "-a", str(place / "a")]
        with (place / "output.txt").open("wb") as output:
            self.began = time.time()
            self._process = subprocess.Popen(
                command, stdout=output, stderr=output, cwd=place, env=environment(self.tmp), start_new_session=True
            )
        self.pid = self._process.pid
        self.ended = 0.0

    def __enter__(self) -> "RunningPilot":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill all that is left of it, shim and payload too."""
        if self._process.poll() is None:
            for process in self._tree():
                with contextlib.suppress(psutil.Error):
                    process.kill()
            self._process.wait()

    def wait(self, timeout_s: float, exit_code: int | None = 0) -> float:
        """Wait for its end and return the wall time of that.

        Raises:
            WrongOutcomeError: it did not end in time, or with another exit code than wanted.
        """
        try:
            code = self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise WrongOutcomeError(f"the pilot did not end within {timeout_s} s") from None
        self.ended = time.time()
        if exit_code is not None and code != exit_code:
            raise WrongOutcomeError(f"exit code {code} instead of {exit_code}: {self.last_words()}")
        return self.ended

    def leave(self, timeout_s: float = 30.0) -> None:
        """Have it leave (TERM) and wait; how is not looked at."""
        self.signal(signal.SIGTERM)
        self.wait(timeout_s, exit_code=None)

    def signal(self, number: int) -> None:
        """Send a signal to the guardian, as a batch system does."""
        os.kill(self.pid, number)

    def last_words(self) -> str:
        """Return the end of its output."""
        return (self.place / "output.txt").read_text(errors="replace")[-500:]

    def roles(self) -> dict[str, int]:
        """Return the pids of its processes by role: guardian, supervisor, workers, shim, mover children."""
        found = {"guardian": self.pid}
        for process in self._tree():
            with contextlib.suppress(psutil.Error):
                words = process.cmdline()
                if words and words[0].startswith(_TITLE):
                    found[words[0].removeprefix(_TITLE).split(" ")[0]] = process.pid
                elif "workers.stager.child" in words:
                    found[f"mover {process.pid}"] = process.pid
                elif any(word.startswith(f"{_TITLE}shim") for word in words):
                    found["shim"] = process.pid
        return found

    def whole(self) -> dict[str, int]:
        """Wait until guardian, supervisor and all workers are there, and return all roles."""

        def look() -> dict[str, int] | None:
            roles = self.roles()
            return roles if {"supervisor", *WORKERS} <= set(roles) else None

        return wait_for(look, 20.0, "all processes of the pilot are there", 0.02)

    def bulletin(self) -> Path:
        """Wait for the socket of the first bulletin and return it."""
        return min(wait_for(self.bulletins, 20.0, "a bulletin"))

    def bulletins(self) -> set[Path]:
        """Return the sockets of the bulletins: one for each supervisor so far."""
        return set(self.tmp.glob("bulkhead-*/bulletin"))

    def _tree(self) -> list[psutil.Process]:
        try:
            guardian = psutil.Process(self.pid)
            return [guardian, *guardian.children(recursive=True)]
        except psutil.Error:
            return []
