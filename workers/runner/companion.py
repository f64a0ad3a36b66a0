"""The co-process: runs beside a payload, ends with it. How it ends by itself is nobody's concern but the log's."""

import logging
from pathlib import Path

from host.clock import Now
from ipc.tasks import RunPayload
from workers.runner.control import Exit, forbid_start
from workers.runner.ending import Ending
from workers.runner.running import Means, Running

_log = logging.getLogger("runner")


class Companion:
    """A co-process under way; `over` when it was ended and nothing of it is left."""

    def __init__(self, task: RunPayload, means: Means, *, end_dir: str) -> None:
        """Take its task; the first call of `look` starts it, or takes it over."""
        self.over = False
        self._task = task
        self._grace_s = means.settings.tuning.term_grace_s
        self._running = Running(task, means, self, end_dir=end_dir)
        self._ending: Ending | None = None

    @property
    def look_at(self) -> float | None:
        """When the next look is due."""
        if self._ending is not None:
            return self._ending.next_step_at
        return None if self._running.over else self._running.look_at

    def close(self) -> None:
        """Stop watching it."""
        self._running.close()

    def look(self, moment: Now) -> None:
        """Look after it, while its payload runs."""
        if self._ending is None and not self._running.over:
            self._running.look(moment)

    def end(self, moment: Now) -> None:
        """End it, as its payload is over: TERM, grace, KILL. To be called until it is `over`."""
        if self._ending is None:
            # One that is just being started will not start any more.
            forbid_start(Path(self._task.control_dir))
            self._ending = Ending(Path(self._task.job_dir), Path(self._task.control_dir), self._grace_s)
        self.over = self._ending.step(moment)

    # ------------------------------------------------------------ what is heard of it
    def started(self, pid: int, _started_wall: float) -> None:
        """Note its start."""
        _log.info("co-process started: job=%d pid=%d", self._task.job_id, pid)

    def ended(self, end: Exit) -> None:
        """Note its end; the payload goes on without it."""
        how = f"signal {end.signal}" if end.signal else end.error or f"exit code {end.exit_code}"
        _log.warning("co-process ended before its payload: job=%d %s", self._task.job_id, how)

    def lost(self, detail: str) -> None:
        """Note that it is lost."""
        _log.warning("co-process lost: job=%d %s", self._task.job_id, detail)

    def failed(self, detail: str, *, retry: bool) -> None:
        """Note that it could not be started."""
        del retry
        _log.warning("co-process not started: job=%d %s", self._task.job_id, detail)
