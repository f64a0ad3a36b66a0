"""What goes wrong in a run, and how often: one random profile for each seed, and the count of what was injected."""

import random
from collections import Counter
from dataclasses import dataclass, field, fields

#: Every kind of fault; the value is how likely it is, at each of its opportunities, in a run where it is at home.
KINDS: dict[str, float] = {
    "worker killed": 0.03,  # SIGKILL while it works
    "worker killed by its own fault": 0.02,
    "worker poisoned": 0.03,  # a task that crashes every worker that gets it
    "worker silent": 0.02,
    "worker stopped and continued": 0.02,
    "worker never says hello": 0.03,
    "worker dies before hello": 0.03,
    "wrong schema": 0.02,
    "death loop": 0.06,  # a role whose workers die again and again (budget)
    "task fails": 0.05,
    "task fails, try again": 0.1,
    "result of another kind": 0.01,
    "answer late": 0.0,  # after the worker was given up; in every run where that happens
    "answer twice": 0.05,
    "answer with an old lease": 0.05,
    "answers out of order": 0.1,
    "limit exceeded": 0.05,
    "payload fails": 0.1,
    "payload killed": 0.05,
    "shim killed": 0.05,
    "kill hangs": 0.2,
    "server down": 0.06,
    "server down for good": 0.02,
    "server answers 5xx": 0.1,
    "request dropped before the work": 0.08,
    "answer dropped after the work": 0.08,
    "server slow": 0.08,
    "server hangs": 0.04,
    "not stored": 0.05,
    "update refused": 0.05,
    "full report refused": 0.1,
    "tobekilled": 0.03,
    "bad attempt number": 0.02,
    "closed by the server": 0.03,
    "no word on the job": 0.2,
    "no proxy to give": 0.2,
    "command nocleanup": 0.05,
    "command unknown": 0.05,
    "command debug": 0.1,
    "kill file": 0.05,
    "no job": 0.2,
    "source at its end": 0.1,
    "job given twice": 0.1,
    "broken definition": 0.1,
    "nameless definition": 0.05,
    "no event ranges": 0.1,
    "queue data bad": 0.02,
    "queue data away": 0.1,
    "signal": 0.6,
    "second signal": 0.4,
    "guardian dies": 0.3,
    "supervisor dies before the commit": 0.01,
    "supervisor dies after the commit": 0.01,
    "supervisor dies between two actions": 0.01,
    "host suspended": 0.01,
    "wall clock jumps": 0.01,
    "power cut": 0.004,
}


@dataclass(slots=True)
class Faults:
    """The chances of one run; `counts` is shared by all runs of a process."""

    rng: random.Random
    chances: dict[str, float]
    counts: Counter[str] = field(default_factory=Counter)
    calm: bool = False

    def hit(self, kind: str) -> bool:
        """Tell whether `kind` happens now, and count it."""
        chance = self.chances.get(kind, 0.0)
        if chance and not self.calm and self.rng.random() < chance:
            self.counts[kind] += 1
            return True
        return False

    def has(self, kind: str) -> bool:
        """Tell whether a kind is at home in this run."""
        return kind in self.chances and not self.calm


def make_faults(rng: random.Random, counts: Counter[str]) -> Faults:
    """Return the faults of a run: none at all, one or two kinds, a handful, or all of them together."""
    names = list(KINDS)
    mood = rng.random()
    if mood < 0.05:
        chosen = []
    elif mood < 0.5:
        chosen = rng.sample(names, rng.randint(1, 3))
    elif mood < 0.9:
        chosen = rng.sample(names, rng.randint(4, 12))
    else:
        chosen = rng.sample(names, rng.randint(25, len(names)))
    strength = rng.choice((1.0, 2.0, 4.0, 8.0))
    if chosen and rng.random() < 0.5:
        # Those that need others to be seen.
        chosen = [*chosen, *{"kill hangs", "job given twice", "second signal"} - set(chosen)]
    if len(chosen) <= 3:
        strength = rng.choice((2.0, 5.0, 12.0))
    return Faults(rng, {name: min(0.95, KINDS[name] * strength) for name in sorted(chosen)}, counts)


@dataclass(slots=True)
class Tally:
    """What a process (or all of them together) has simulated."""

    runs: int = 0
    jobs: int = 0
    steps: int = 0
    pilots: int = 0
    commits: int = 0
    step_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add another process's figures."""
        for entry in fields(self):
            mine, theirs = getattr(self, entry.name), getattr(other, entry.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            else:
                setattr(self, entry.name, mine + theirs)
