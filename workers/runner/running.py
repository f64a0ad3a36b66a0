"""One payload that should run: started or taken over, watched, and its end told."""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.clock import Now
from host.files import read_bounded
from host.processes import Identity, send_signal
from ipc.schema import PayloadEnded, PayloadStarted, RunPayload
from settings.settings import Settings
from workers.runner import outcome
from workers.runner.control import Facts, look, still_known
from workers.runner.ending import Ending
from workers.runner.launch import make_order, start_shim
from workers.runner.machine import START_LIMIT_S, Verdict, judge, next_look_s
from workers.runner.prepare import remove_secrets
from workers.runner.shims import ShimChild
from workers.runner.watch import ProcessWatch
from workers.worker import Desk

_log = logging.getLogger("runner")


@dataclass(frozen=True, slots=True)
class Means:
    """What the work needs from its duty."""

    desk: Desk
    settings: Settings
    guardian: Identity | None
    keep_child: Callable[[ShimChild], None]


class Running:
    """The work under the lease of a RunPayload. `look_at` is when to look again, None for not before something ends."""

    def __init__(self, lease: str, task: RunPayload, means: Means) -> None:
        """Take the task; the first call of `look` begins it."""
        self.task = task
        self.over = False
        self.look_at: float | None = 0.0
        self._lease = lease
        self._means = means
        self._control_dir = Path(task.control_dir)
        self._watch = ProcessWatch(means.desk, self.wake)
        self._child: ShimChild | None = None
        self._told_started = False
        self._ending: Ending | None = None
        self._since: dict[str, float] = {}
        self._facts = Facts()

    @property
    def title(self) -> str:
        """What people see of it."""
        return f"job {self.task.job_id}, {'running' if self._told_started else 'starting'}"

    def wake(self) -> None:
        """Look at the facts again at the next tick."""
        self.look_at = 0.0

    def close(self) -> None:
        """Stop watching; the payload is not touched."""
        self._watch.close()

    def look(self, moment: Now) -> None:
        """Look at the facts and do what they ask for."""
        if self._ending is not None:
            self._end_what_is_left(moment)
            return
        facts = self._facts = still_known(self._facts, look(self._control_dir))
        self._watch.add(facts.shim if facts.shim_alive else None)
        self._watch.add(facts.payload if facts.payload_alive else None)
        if facts.payload is not None and not self._told_started:
            self._told_started = True
            self._means.desk.observed(
                self._lease, PayloadStarted(pid=facts.payload.pid, started_wall=facts.started_wall)
            )
        over_s = self._age("over", moment, facts.payload is not None and not facts.payload_alive)
        verdict = judge(
            facts,
            claimed_s=self._age("claimed", moment, facts.claimed and facts.shim is None),
            over_s=over_s,
            settling_s=self._age("settling", moment, facts.exit is not None),
        )
        self._act(verdict, facts, moment)
        wait_s = next_look_s(facts, over_s, watched=self._watch.complete, told=self._child is not None)
        if self._ending is None and not self.over:
            self.look_at = None if wait_s is None else moment.mono + wait_s

    def _age(self, what: str, moment: Now, holds: bool) -> float:
        """Return for how long something has held."""
        if not holds:
            self._since.pop(what, None)
            return 0.0
        return moment.mono - self._since.setdefault(what, moment.mono)

    def _act(self, verdict: Verdict, facts: Facts, moment: Now) -> None:
        if verdict is Verdict.START:
            self._start(moment)
        elif verdict is Verdict.NUDGE and facts.shim is not None:
            send_signal(facts.shim, signal.SIGCONT)
        elif verdict is Verdict.ENDED and facts.exit is not None:
            self._done(outcome.ended(self.task, facts.exit))
        elif verdict is Verdict.NEVER:
            self._done(outcome.lost(self.task, "the job was ended before its payload started"))
        elif verdict is Verdict.LOST:
            _log.warning("payload lost: job=%d shim=%s", self.task.job_id, facts.shim)
            self._ending = Ending(Path(self.task.job_dir), self._control_dir, grace_s=0.0)
            self._end_what_is_left(moment)

    def _start(self, moment: Now) -> None:
        """Start the shim, unless one is on its way to its claim."""
        if self._child is not None:
            waiting_s = self._age("starting", moment, holds=True)
            if self._child.over:
                self._fail(f"the launcher ended with code {self._child.exit_code}: {self._last_words()}", retry=True)
            elif waiting_s >= START_LIMIT_S:
                self._child.kill()
            return
        tuning = self._means.settings.tuning
        try:
            order = make_order(self.task, self._means.guardian, tuning.orphan_grace_s, tuning.term_grace_s)
            shim, news = start_shim(order, self.task)
        except ValueError as error:
            self._fail(str(error))
        except OSError as error:
            self._fail(str(error), retry=True)
        else:
            self._child = ShimChild(self._means.desk, shim, news, self.wake)
            self._means.keep_child(self._child)

    def _last_words(self) -> str:
        lines = read_bounded(self._control_dir / "shim.log", 4096, tail=True).strip().splitlines()
        return lines[-1] if lines else "no word"

    def _end_what_is_left(self, moment: Now) -> None:
        if self._ending is None:
            return
        if not self._ending.step(moment):
            self.look_at = self._ending.next_step_at
            return
        left = f"; left: {', '.join(self._ending.left)}" if self._ending.left else ""
        self._done(outcome.lost(self.task, f"its launcher was killed{left}"))

    def _done(self, result: PayloadEnded) -> None:
        self.over = True
        remove_secrets(self.task.job_dir)
        self._means.desk.done(self._lease, result)

    def _fail(self, detail: str, *, retry: bool = False) -> None:
        self.over = True
        error = JobError(ErrorCode.PAYLOADEXECUTIONEXCEPTION, detail)
        self._means.desk.failed(self._lease, error.code, error.diagnostics, retry=retry)
