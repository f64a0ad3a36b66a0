"""A real pilot as a child process: its command line, its start, its end."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from host import kernel
from host.processes import freeze_and_kill

#: Somebody watches: the payload is measured more often than in production.
_SAMPLES = "sample_s=2"
_SUPERVISOR = Path(__file__).resolve().parent.parent / "supervisor.py"


def command_line(url: str, queue: str, base_dir: Path, *, keep: bool, tuning: Sequence[str]) -> list[str]:
    """Return the command line of a pilot that works for the embedded server at `url`, as a wrapper would write it."""
    command = [sys.executable, str(_SUPERVISOR)]
    command += ["--pilot-user=generic", "-w", "generic", "-q", queue, "-j", "test"]
    command += ["--url", url, "-p", str(urlsplit(url).port)]
    command += ["--queuedata-url", f"{url}/cache/schedconfig/{{pandaqueue}}.all.json"]
    command += ["--storagedata-url", f"{url}/cache/ddmendpoints.json"]
    command += ["--baseurls", f"{url}/transforms", "-a", str(base_dir)]
    command += ["-b", "-t", "-y", "-v", "1", "-x", "1", "--cleanup", "no" if keep else "yes"]
    for assignment in (_SAMPLES, *tuning):
        command += ["--set", assignment]
    return command


class PilotProcess:
    """The running pilot; its pid is the guardian's."""

    def __init__(self, command: Sequence[str], output: Path) -> None:
        """Start it in a session of its own, so that a Ctrl-C reaches it once and in order: through `end`."""
        with output.open("wb") as stream:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_before_exec,  # noqa: PLW1509 - there are no threads here
            )
        self.pid = self._process.pid
        self._told = 0

    def end(self) -> str:
        """Ask it to end; on the second call kill all of it. Return what was done, for people."""
        self._told += 1
        if self._told == 1:
            self._process.terminate()
            return "the pilot was told to end: it stops the payload, reports the job and leaves; Ctrl-C again kills it"
        freeze_and_kill([self.pid])
        return "the pilot was killed with all its processes; its job stays in the journal for the next pilot"

    def exit_code(self) -> int:
        """Wait for its end (which a pidfd has told) and return its exit code, -n for a signal."""
        return self._process.wait()

    def close(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._process.poll() is None:
            freeze_and_kill([self.pid])
            self._process.wait()


def _before_exec() -> None:
    """If this command is killed, the pilot is told to end; and it starts without the signals blocked here."""
    kernel.clear_mask()
    kernel.die_with_parent(signal.SIGTERM)
