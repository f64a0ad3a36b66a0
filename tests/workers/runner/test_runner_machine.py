"""The runner's decisions, without a process."""

from dataclasses import replace
from itertools import product

import pytest

from host.processes import Identity
from workers.runner.control import Exit, Facts
from workers.runner.machine import (
    CLAIM_LIMIT_S,
    NUDGE_AFTER_S,
    SETTLE_LIMIT_S,
    SHIM_LIMIT_S,
    UNKILLABLE_S,
    EndStep,
    Verdict,
    judge,
    judge_end,
    next_look_s,
)

WHO = Identity(pid=10, start_ticks=1, boot_id="b")
CLAIMED = Facts(claimed=True, shim=WHO, shim_alive=True)
RUNS = replace(CLAIMED, payload=replace(WHO, pid=11), payload_alive=True)
OVER = replace(RUNS, payload_alive=False)


def verdict(facts, claimed_s=0.0, over_s=0.0, settling_s=0.0):
    return judge(facts, claimed_s=claimed_s, over_s=over_s, settling_s=settling_s)


@pytest.mark.parametrize(
    ("facts", "times", "expected"),
    [
        (Facts(), {}, Verdict.START),
        (Facts(claimed=True, ended_early=True), {}, Verdict.NEVER),
        (Facts(claimed=True), {}, Verdict.WAIT),
        (Facts(claimed=True), {"claimed_s": CLAIM_LIMIT_S}, Verdict.LOST),
        (CLAIMED, {}, Verdict.WAIT),
        (replace(CLAIMED, shim_alive=False), {}, Verdict.LOST),
        (RUNS, {}, Verdict.WAIT),
        (RUNS, {"over_s": NUDGE_AFTER_S}, Verdict.NUDGE),
        (replace(RUNS, shim_alive=False), {}, Verdict.LOST),
        (replace(RUNS, exit=Exit(exit_code=0)), {}, Verdict.WAIT),
        (replace(OVER, exit=Exit(exit_code=0)), {}, Verdict.WAIT),
        (replace(OVER, exit=Exit(exit_code=0)), {"settling_s": SETTLE_LIMIT_S}, Verdict.ENDED),
        (replace(OVER, exit=Exit(exit_code=0), shim_alive=False), {}, Verdict.ENDED),
        # Written by the payload itself, which lives.
        (replace(RUNS, exit=Exit(exit_code=0), shim_alive=False), {}, Verdict.WAIT),
        (replace(RUNS, exit=Exit(exit_code=0), shim_alive=False), {"settling_s": NUDGE_AFTER_S}, Verdict.LOST),
    ],
)
def test_verdicts(facts, times, expected):
    assert verdict(facts, **times) is expected


@pytest.mark.parametrize("bits", list(product([False, True], repeat=6)))
def test_what_was_claimed_is_never_started_and_an_exit_never_lost(bits):
    claimed, early, shim, alive, payload, ended = bits
    facts = Facts(
        claimed=claimed,
        ended_early=early,
        shim=WHO if shim else None,
        shim_alive=alive and shim,
        payload=WHO if payload else None,
        exit=Exit() if ended else None,
    )
    for claimed_s, over_s, settling_s in product((0.0, 1e6), repeat=3):
        found = verdict(facts, claimed_s, over_s, settling_s)
        assert (found is Verdict.START) <= (not claimed and not ended)
        assert (found in (Verdict.LOST, Verdict.NEVER, Verdict.START)) <= (not ended or facts.payload_alive)
        if facts.shim_alive and not ended and not early and claimed:
            assert found in (Verdict.WAIT, Verdict.NUDGE)


def test_a_watched_payload_needs_no_timer():
    assert next_look_s(RUNS, 0.0, watched=True, told=False) is None
    assert next_look_s(RUNS, 0.0, watched=False, told=False) is not None
    for facts in (Facts(), CLAIMED, replace(RUNS, payload_alive=False), replace(RUNS, exit=Exit())):
        for over_s, told in product((0.0, 100.0), (False, True)):
            assert next_look_s(facts, over_s, watched=True, told=told) <= 1.0


@pytest.mark.parametrize(
    ("alive", "shim_alive", "asked_s", "bare_s", "expected"),
    [
        (2, True, 0.0, 0.0, EndStep.WAIT),
        (2, True, 3.0, 0.0, EndStep.STRIKE),
        (2, False, 3.0, 0.0, EndStep.STRIKE),
        (2, True, 3.0 + UNKILLABLE_S, 0.0, EndStep.GIVE_UP),
        (0, True, 0.0, 0.0, EndStep.WAIT),
        (0, True, 9.0, SHIM_LIMIT_S, EndStep.STRIKE_SHIM),
        (0, True, 99.0, SHIM_LIMIT_S + UNKILLABLE_S, EndStep.GIVE_UP),
        (0, False, 0.0, 0.0, EndStep.OVER),
    ],
)
def test_steps_of_an_end(alive, shim_alive, asked_s, bare_s, expected):
    step = judge_end(alive=alive, shim_alive=shim_alive, asked_s=asked_s, grace_s=3.0, bare_s=bare_s)
    assert step is expected
