"""One process that should run: started or taken over, watched, and its end told."""

import logging
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from host.clock import Now
from host.files import read_bounded
from host.processes import Identity, send_signal
from ipc.tasks import RunPayload
from settings.settings import Settings
from workers.runner.control import Exit, Facts, look, still_known
from workers.runner.ending import Ending
from workers.runner.launch import make_order, start_shim
from workers.runner.machine import START_LIMIT_S, Verdict, judge, next_look_s
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


class Ear(Protocol):
    """Who hears what becomes of a process. One of the last three is called, once; the process is over then."""

    def started(self, pid: int, started_wall: float, /) -> None:
        """It exists; a later runner tells it again."""

    def ended(self, end: Exit, /) -> None:
        """Its exit is known."""

    def lost(self, detail: str, /) -> None:
        """It was begun, or must not be, and no exit will ever be known; nothing of it is left."""

    def failed(self, detail: str, /, *, retry: bool) -> None:
        """It could not be started."""


class Running:
    """One process under way. `look_at` is when to look again, None for not before something ends."""

    def __init__(self, task: RunPayload, means: Means, ear: Ear, *, end_dir: str = "", append: bool = False) -> None:
        """Take the task; the first call of `look` begins it. `end_dir` and `append` are those of `make_order`."""
        self.task = task
        self.over = False
        self.told_started = False
        self.look_at: float | None = 0.0
        self._means = means
        self._ear = ear
        self._end_dir = end_dir
        self._append = append
        self._control_dir = Path(task.control_dir)
        self._watch = ProcessWatch(means.desk, self.wake)
        self._child: ShimChild | None = None
        self._ending: Ending | None = None
        self._since: dict[str, float] = {}
        self._facts = Facts()

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
        if facts.payload is not None and not self.told_started:
            self.told_started = True
            self._ear.started(facts.payload.pid, facts.started_wall)
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
            self.over = True
            self._ear.ended(facts.exit)
        elif verdict is Verdict.NEVER:
            self._lost("the job was ended before its payload started")
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
            order = make_order(
                self.task,
                self._means.guardian,
                tuning.orphan_grace_s,
                tuning.term_grace_s,
                end_dir=self._end_dir,
                append=self._append,
            )
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
        self._lost(f"its launcher was killed{left}")

    def _lost(self, detail: str) -> None:
        self.over = True
        self._ear.lost(detail)

    def _fail(self, detail: str, *, retry: bool = False) -> None:
        self.over = True
        self._ear.failed(detail, retry=retry)
