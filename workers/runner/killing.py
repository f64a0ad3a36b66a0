"""One payload that must end, found from its control directory alone."""

import logging
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.clock import Now
from ipc.results import PayloadKilled
from ipc.tasks import KillPayload
from workers.runner.control import forbid_start
from workers.runner.ending import Ending
from workers.runner.prepare import remove_secrets
from workers.runner.watch import ProcessWatch
from workers.worker import Desk

_log = logging.getLogger("runner")


class Killing:
    """The work under the lease of a KillPayload. `look_at` is when the next step is due."""

    title = "ending a payload"

    def __init__(self, lease: str, task: KillPayload, desk: Desk) -> None:
        """Take the task; the first call of `look` begins it."""
        self.over = False
        self.look_at: float | None = 0.0
        self._lease = lease
        self._desk = desk
        self._control_dir = Path(task.control_dir)
        self._watch = ProcessWatch(desk, self._wake)
        self._ending = Ending(Path(task.job_dir), self._control_dir, task.grace_s)
        self._forbidden = False
        self._job_dir = task.job_dir

    @property
    def control_dir(self) -> str:
        """Whose payload it is."""
        return str(self._control_dir)

    def _wake(self) -> None:
        self.look_at = 0.0

    def close(self) -> None:
        """Stop watching; what was signalled stays signalled."""
        self._watch.close()

    def look(self, moment: Now) -> None:
        """Make sure that nothing starts any more, then go on with the end."""
        if not self._forbidden:
            try:
                never = forbid_start(self._control_dir)
            except OSError as error:
                if all(facts.shim is None for facts in self._ending.facts()):
                    # Without the control directory nothing can have been started here, nor can it be.
                    self._fail(error)
                    return
                # A disk that became read-only, or the payload's own doing: it was started, so it can be ended.
                _log.warning("the control directory cannot be written: %s", error)
                never = False
            self._forbidden = True
            if never:
                self._done(())
                return
        for facts in self._ending.facts():
            self._watch.add(facts.shim if facts.shim_alive else None)
            self._watch.add(facts.payload if facts.payload_alive else None)
        if self._ending.step(moment):
            self._done(self._ending.left)
        else:
            self.look_at = self._ending.next_step_at

    def _done(self, left: tuple[str, ...]) -> None:
        self.over = True
        if left:
            _log.error("what outlives SIGKILL is left to the node: %s", ", ".join(left))
        remove_secrets(self._job_dir)
        self._desk.done(self._lease, PayloadKilled(left=left))

    def _fail(self, error: OSError) -> None:
        self.over = True
        problem = JobError(ErrorCode.INTERNALPILOTPROBLEM, str(error))
        self._desk.failed(self._lease, problem.code, problem.diagnostics, retry=True)
