"""All processes of one job, one after the other: which is next is decided from what the control directory tells.

Each process has a directory with its own claim, so each runs at most once whoever dies, and a new runner goes on with
the last one that was begun.
"""

import logging
from dataclasses import replace
from pathlib import Path

from errors.codes import ErrorCode
from errors.exceptions import JobError
from host.clock import Now
from ipc.observations import PayloadStarted
from ipc.parts import Variable
from ipc.results import PayloadEnded
from ipc.tasks import RunPayload
from jobs.steps import CO, PAYLOAD, PRE, Step, steps_of
from workers.runner import outcome
from workers.runner.companion import Companion
from workers.runner.control import Exit, allow_steps, is_ended, look
from workers.runner.prepare import make_executable, remove_secrets
from workers.runner.running import Means, Running
from workers.runner.sequence import Course, End, Verdict, course_of, judge_exit, next_step

_log = logging.getLogger("runner")


class Stepping:
    """The work under the lease of a RunPayload. `look_at` is when to look again, None for not before something ends."""

    def __init__(self, lease: str, task: RunPayload, means: Means) -> None:
        """Take the task; the first call of `look` begins it."""
        self.over = False
        self._lease = lease
        self._task = task
        self._means = means
        self._course = course_of(task)
        self._control_dir = Path(task.control_dir)
        #: A job that is just its payload has its control files in the control directory itself.
        self._plain = self._course == Course() and not task.coprocess
        self._step: Step | None = None
        self._running: Running | None = None
        self._companion: Companion | None = None
        self._result: PayloadEnded | None = None
        self._verdict: Verdict | None = None
        self._exit = Exit()

    @property
    def control_dir(self) -> str:
        """Whose processes they are."""
        return self._task.control_dir

    @property
    def title(self) -> str:
        """What people see of it."""
        kind = "" if self._step is None or self._plain else f", {self._step.kind} {self._step.iteration}"
        started = self._running is not None and self._running.told_started
        return f"job {self._task.job_id}{kind}, {'running' if started else 'starting'}"

    @property
    def look_at(self) -> float | None:
        """When the next look is due."""
        parts = [part for part in (self._running, self._companion) if part is not None and not part.over]
        if not parts:
            return None if self.over else 0.0
        return min((part.look_at for part in parts if part.look_at is not None), default=None)

    def close(self) -> None:
        """Stop watching; no process is touched."""
        for part in (self._running, self._companion):
            if part is not None:
                part.close()

    def look(self, moment: Now) -> None:
        """Look at what is under way and go on with what follows from it."""
        try:
            if self._step is None:
                self._begin()
            self._look(moment)
        except OSError as error:
            self.failed(str(error), retry=True)

    def _begin(self) -> None:
        """Go on with the last step that was begun, or begin the first one."""
        if self._plain:
            self._enter(Step(1, PAYLOAD))
        elif not allow_steps(self._control_dir):
            self._done(outcome.lost(self._task, "the job was ended before its first process started"))
        else:
            begun = [step for step in steps_of(self._control_dir) if step.kind != CO]
            self._follow(begun[-1] if begun else next_step(self._course, None))

    def _look(self, moment: Now) -> None:
        while not self.over:
            for part in (self._running, self._companion):
                if part is not None and not part.over:
                    part.look(moment)
            if self._verdict is None:
                return
            if self._companion is not None:
                self._companion.end(moment)
                if not self._companion.over:
                    return
            self._leave()

    # ------------------------------------------------------------ from step to step
    def _follow(self, what: Step | End) -> None:
        if isinstance(what, Step):
            self._enter(what)
        else:
            self._conclude(what)

    def _enter(self, step: Step) -> None:
        """Begin a step, or take it over."""
        self._step, self._verdict = step, None
        self._running = Running(
            self._task_of(step),
            self._means,
            self,
            end_dir=self._task.control_dir,
            append=step.kind == PAYLOAD and step.iteration > 1,
        )
        self._companion = None

    def _task_of(self, step: Step) -> RunPayload:
        """Return what a step is as a task of its own, with its directory made."""
        if self._plain:
            return self._task
        directory = self._control_dir / step.directory
        directory.mkdir(mode=0o700, exist_ok=True)
        count = Variable(name="PILOT_EXEC_ITERATION_COUNT", value=str(step.iteration))
        environment = (*self._task.environment, count)
        task = replace(self._task, control_dir=str(directory), environment=environment)
        if step.kind == PAYLOAD:
            return task
        # One pair of files for each step, numbered from the second on (behaviour 6).
        number = f"-{step.iteration - 1}" if step.iteration > 1 else ""
        return replace(
            task,
            command=getattr(self._task, step.kind),
            stdout=f"{step.kind}_stdout.txt{number}",
            stderr=f"{step.kind}_stderr.txt{number}",
        )

    def _leave(self) -> None:
        """Go from a step that is over to what follows."""
        if self._step is None or self._verdict is None:
            return
        self.close()
        if not self._plain:
            _log.info("job=%d %s %d: %s", self._task.job_id, self._step.kind, self._step.iteration, self._verdict.name)
        following = next_step(self._course, self._step, self._verdict)
        # A payload that is told to end may end well: what was to come after it does not come any more.
        self._follow(End.COMPLETE if isinstance(following, Step) and is_ended(self._control_dir) else following)

    def _conclude(self, end: End) -> None:
        """Tell how it all ended."""
        result = self._result or self._last_payload()
        if end is End.FAILED and self._step is not None and self._step.kind != PAYLOAD:
            result = outcome.step_failed(self._task, self._task_of(self._step), self._step, self._exit)
        if not self._plain:
            result = outcome.with_totals(result, self._control_dir)
        self._done(replace(result, outputs_waived=end is End.ENOUGH))

    def _last_payload(self) -> PayloadEnded:
        """Return the end of the payload that a runner before saw; it was well, or nothing would have followed."""
        for step in reversed(steps_of(self._control_dir)):
            exit_record = look(self._control_dir / step.directory).exit if step.kind == PAYLOAD else None
            if exit_record is not None:
                return replace(outcome.ended(self._task, exit_record), error_code=0, error_diag="")
        return outcome.no_payload(self._task)

    # ------------------------------------------------------------ what is heard of the step under way
    def started(self, pid: int, started_wall: float) -> None:
        """Tell of the payload, or of what stands for it; its companion begins."""
        if self._step is None or self._step.kind != (PAYLOAD if self._course.payload else self._course.kinds[0]):
            return
        self._means.desk.observed(self._lease, PayloadStarted(pid=pid, started_wall=started_wall))
        if self._task.coprocess and self._step.kind == PAYLOAD:
            self._begin_companion(Step(self._step.iteration, CO))

    def _begin_companion(self, step: Step) -> None:
        try:
            task = self._task_of(step)
        except OSError as error:  # the payload does without it, as it does when it dies
            _log.warning("co-process not started: job=%d %s", self._task.job_id, error)
        else:
            self._companion = Companion(task, self._means, end_dir=self._task.control_dir)

    def ended(self, end: Exit) -> None:
        """Judge a process that has ended."""
        self._exit = end
        if self._step is None:
            return
        if self._step.kind == PAYLOAD:
            self._result = outcome.ended(self._task, end)
            self._verdict = Verdict.FAILED if self._result.error_code else Verdict.WELL
            return
        self._verdict = judge_exit(self._step.kind, end.exit_code)
        if self._verdict is Verdict.WELL and self._step.kind == PRE and self._task.script:
            make_executable(Path(self._task.job_dir) / self._task.script)

    def lost(self, detail: str) -> None:
        """Count a process of which nothing is known as failed."""
        self._exit = Exit(orphaned=True, error=detail)
        self._result = outcome.lost(self._task, detail)
        self._verdict = Verdict.FAILED

    def failed(self, detail: str, *, retry: bool) -> None:
        """Give the task back: nothing was started."""
        self.over = True
        error = JobError(ErrorCode.PAYLOADEXECUTIONEXCEPTION, detail)
        self._means.desk.failed(self._lease, error.code, error.diagnostics, retry=retry)

    def _done(self, result: PayloadEnded) -> None:
        self.over = True
        remove_secrets(self._task.job_dir)
        self._means.desk.done(self._lease, result)
