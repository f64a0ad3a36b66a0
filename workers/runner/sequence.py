"""Which of a job's processes comes next. Pure: the course and how the last one ended in, the next one or the end out.

panda-protocol 2.5: pre-process, payload with its co-process, post-process; a hyper-parameter job begins again until its
pre-process says that there is nothing left.
"""

from dataclasses import dataclass
from enum import Enum, auto

from ipc.tasks import RunPayload
from jobs.steps import PAYLOAD, POST, PRE, Step

#: Exit codes of a pre-process: no point left, none left but at least one was processed, iteration limit.
STOPS = frozenset({160, 161, 162})


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """Which processes a job has. `repeats`: after the last of them its pre-process is asked again."""

    preprocess: bool = False
    payload: bool = True
    postprocess: bool = False
    repeats: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """What one iteration consists of, in order; the co-process is the payload's companion."""
        present = ((PRE, self.preprocess), (PAYLOAD, self.payload), (POST, self.postprocess))
        return tuple(kind for kind, there in present if there)


class Verdict(Enum):
    """How a process ended, for the course of its job."""

    WELL = auto()
    ENOUGH = auto()  # a pre-process that has nothing left
    FAILED = auto()


class End(Enum):
    """How the course ends."""

    COMPLETE = auto()
    ENOUGH = auto()  # well, and no output is to be expected any more
    FAILED = auto()


def course_of(task: RunPayload) -> Course:
    """Return the course of a task; without a pre-process nothing could end a repetition, so there is none."""
    return Course(
        preprocess=bool(task.preprocess),
        payload=bool(task.command),
        postprocess=bool(task.postprocess),
        repeats=task.repeats and bool(task.preprocess),
    )


def next_step(course: Course, last: Step | None, verdict: Verdict = Verdict.WELL) -> Step | End:
    """Return what follows.

    Args:
        course: the job's processes.
        last: the last of them that was begun, None when none was.
        verdict: how it ended.
    """
    kinds = course.kinds
    if last is None:
        return Step(1, kinds[0]) if kinds else End.COMPLETE
    if verdict is Verdict.FAILED:
        return End.FAILED
    if verdict is Verdict.ENOUGH:
        return End.ENOUGH
    following = kinds[kinds.index(last.kind) + 1 :]
    if following:
        return Step(last.iteration, following[0])
    return Step(last.iteration + 1, kinds[0]) if course.repeats else End.COMPLETE


def judge_exit(kind: str, exit_code: int | None) -> Verdict:
    """Return how a pre- or post-process counts; `exit_code` is None for a signal, and when it never started."""
    if kind == PRE and exit_code in STOPS:
        return Verdict.ENOUGH
    return Verdict.WELL if exit_code == 0 else Verdict.FAILED
