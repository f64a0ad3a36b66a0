"""The runner's decisions: facts in, verdicts out. No I/O, no clock."""

from enum import Enum, auto

from workers.runner.control import Facts

#: How long a claim may stand without its maker's name (file systems without hard links only).
CLAIM_LIMIT_S = 2.0
#: How long a shim may take to end what its payload left behind, after the exit is recorded.
SETTLE_LIMIT_S = 40.0
#: A shim that does not record its payload's end is continued: it may be stopped.
NUDGE_AFTER_S = 1.0
#: How long a shim may take from its start to its claim.
START_LIMIT_S = 60.0
#: How long a process may outlive SIGKILL before it is reported as one that cannot be killed.
UNKILLABLE_S = 5.0
#: How long a shim may take to leave when nothing of its payload is left.
SHIM_LIMIT_S = 5.0

_SOON_S = 0.02
_CALM_S = 1.0


class Verdict(Enum):
    """What is to be done about a payload that should run."""

    START = auto()  # nothing was ever started: start the shim
    WAIT = auto()  # all is well, or will be known soon
    NUDGE = auto()  # the payload is over but its shim does not say how: continue the shim
    ENDED = auto()  # the exit is known
    LOST = auto()  # it was started and no exit will ever be known: end what is left
    NEVER = auto()  # the job was ended before it started


def judge(facts: Facts, claimed_s: float, over_s: float, settling_s: float) -> Verdict:
    """Decide what to do.

    Args:
        facts: one look at the control directory.
        claimed_s: how long the claim has been seen without its maker's name.
        over_s: how long the payload has been seen dead without an exit.
        settling_s: how long the exit has been seen while the shim lives.
    """
    if facts.exit is not None:
        return _judge_exit(facts, settling_s)
    if not facts.claimed:
        return Verdict.START
    if facts.ended_early:
        return Verdict.NEVER
    if facts.shim is None:
        return Verdict.LOST if claimed_s >= CLAIM_LIMIT_S else Verdict.WAIT
    if not facts.shim_alive:
        return Verdict.LOST
    return Verdict.NUDGE if over_s >= NUDGE_AFTER_S else Verdict.WAIT


def _judge_exit(facts: Facts, settling_s: float) -> Verdict:
    if facts.payload_alive:
        # A shim writes it when the payload is reaped: this one is somebody else's, or the look was between the two.
        return Verdict.LOST if settling_s >= NUDGE_AFTER_S else Verdict.WAIT
    settled = not facts.shim_alive or settling_s >= SETTLE_LIMIT_S
    return Verdict.ENDED if settled else Verdict.WAIT


def next_look_s(facts: Facts, over_s: float, *, watched: bool, told: bool) -> float | None:
    """Return in how many seconds to look again when nothing happens before; None for never.

    Args:
        facts: one look at the control directory.
        over_s: as in judge.
        watched: the kernel will tell of the shim's and the payload's end (pidfds).
        told: the shim is this process's child and will tell when there is something to see.
    """
    if facts.exit is not None:
        return _SOON_S
    if facts.payload is None:
        return _CALM_S if told else _SOON_S
    if not facts.payload_alive:
        return _SOON_S if over_s < NUDGE_AFTER_S else _CALM_S
    return None if watched else _CALM_S


class EndStep(Enum):
    """What is to be done next about a payload that must end."""

    WAIT = auto()  # those asked to end still have time
    STRIKE = auto()  # freeze and kill all that is left
    STRIKE_SHIM = auto()  # nothing but the shim is left, and it does not leave
    OVER = auto()  # nothing is left
    GIVE_UP = auto()  # what is left outlives SIGKILL


def judge_end(*, alive: int, shim_alive: bool, asked_s: float, grace_s: float, bare_s: float) -> EndStep:
    """Decide how to go on with the end of a payload.

    Args:
        alive: number of processes of its tree that are left, without the shim.
        shim_alive: the shim is there; it leaves by itself when it has recorded the exit.
        asked_s: time since TERM was sent.
        grace_s: time between TERM and KILL.
        bare_s: how long nothing but the shim has been left.
    """
    if alive:
        if asked_s < grace_s:
            return EndStep.WAIT
        return EndStep.GIVE_UP if asked_s >= grace_s + UNKILLABLE_S else EndStep.STRIKE
    if not shim_alive:
        return EndStep.OVER
    if bare_s < SHIM_LIMIT_S:
        return EndStep.WAIT
    return EndStep.STRIKE_SHIM if bare_s < SHIM_LIMIT_S + UNKILLABLE_S else EndStep.GIVE_UP
