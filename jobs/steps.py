"""A job's steps: pre-process, payload, co-process, post-process, and where their control files lie.

A job that is just its payload has its control files in the control directory itself. One with more processes has a
directory below it for each process that was started, named so that their order is that in which they began.
"""

import re
from pathlib import Path
from typing import NamedTuple

PRE, PAYLOAD, CO, POST = KINDS = ("preprocess", "payload", "coprocess", "postprocess")
_NAME = re.compile(r"step-([0-9]{6,})-[1-4]-([a-z]+)")


class Step(NamedTuple):
    """One process of a job: the iteration it belongs to, counted from 1, and what it is."""

    iteration: int
    kind: str

    @property
    def directory(self) -> str:
        """The name of its directory."""
        return f"step-{self.iteration:06d}-{KINDS.index(self.kind) + 1}-{self.kind}"


def steps_of(control_dir: Path) -> tuple[Step, ...]:
    """Return the steps that have a directory, the earliest first; () for a job that is just its payload."""
    found = []
    try:
        names = [path.name for path in control_dir.iterdir()]
    except OSError:
        return ()
    for name in names:
        match = _NAME.fullmatch(name)
        if match is not None and match[2] in KINDS:
            found.append(Step(int(match[1]), match[2]))
    return tuple(sorted(found, key=lambda step: (step.iteration, KINDS.index(step.kind))))


def control_dirs(control_dir: Path) -> tuple[Path, ...]:
    """Return the directories whose processes may still live: the job's own, then those of its last steps.

    A step is begun when nothing is left of the one before, so those of earlier iterations are over.
    """
    steps = steps_of(control_dir)
    last = max((step.iteration for step in steps), default=0)
    return (control_dir, *(control_dir / step.directory for step in steps if step.iteration >= last - 1))


def main_dirs(control_dir: Path) -> tuple[Path, ...]:
    """Return the directories of what has been started, the earliest first, without co-processes."""
    steps = (control_dir / step.directory for step in steps_of(control_dir) if step.kind != CO)
    return tuple(path for path in (control_dir, *steps) if (path / "payload.json").exists())
