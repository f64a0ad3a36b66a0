"""Signals from the batch system, in every phase: the server hears the code at once, and one final report with the log.

The pilot's exit code says which signal it was; nothing of the pilot or its payload is left.
"""

import os
import random
import shlex
import signal
import time

import pytest
from phases import PHASES, hold
from pilotrun import SOAK, report_of

from errors.codes import ErrorCode
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

CODES = {
    "TERM": 1201,
    "QUIT": 1202,
    "SEGV": 1203,
    "XCPU": 1204,
    "USR1": 1206,
    "BUS": 1207,
    "INT": 1208,
    "HUP": 1200,
    "USR2": 1200,
}
_OTHERS = [name for name in CODES if name != "TERM"]
_ALL = [(name, phase) for name in CODES for phase in PHASES]
#: TERM in each phase, each other signal in one phase and while the payload runs.
_SAMPLE = [("TERM", phase) for phase in PHASES]
_SAMPLE += [(name, "payload") for name in _OTHERS]
_SAMPLE += [(name, phase) for name, phase in zip(_OTHERS, (*PHASES[:3], *PHASES[4:], *PHASES[:2]), strict=True)]
#: Seconds within which the pilot is gone after a signal, when its grace is the default (25 s).
_PROMPT_S = 15.0


def number_of(name):
    return getattr(signal, f"SIG{name}")


def check_ended_by(pilot, held, name, exit_code, *, log=True):
    """Assert that the job was reported as ended by the signal: code first, one final with the log, exit 128+n."""
    assert exit_code == 128 + number_of(name), pilot.story()
    job = pilot.assert_final(held.job_id, "failed", CODES[name], rejected=0)
    assert bool(report_of(job)) == log, pilot.story()
    pilot.assert_clean()


def first_with_a_code(pilot, job_id):
    """Return the first update of a job that names an error."""
    return next(entry for entry in pilot.updates(job_id) if entry["body"].get("pilot_error_code"))


@pytest.mark.parametrize(("name", "phase"), _ALL if SOAK else _SAMPLE)
def test_a_signal_to_the_guardian_in_each_phase(pilot, figure, name, phase):
    held = hold(pilot, phase, pilot.start)
    began = time.monotonic()
    os.kill(pilot.process.pid, number_of(name))
    # What was stopped to hold the phase goes on: a batch system stops nothing.
    pilot.signal_all(held.stopped, signal.SIGCONT)
    code = pilot.wait_exit(_PROMPT_S)
    figure("signal, pilot gone", time.monotonic() - began)
    if phase == "final":
        # What was decided before stays: the final update is on disk already.
        assert code == 128 + number_of(name), pilot.story()
        pilot.assert_final(held.job_id, "finished", 0)
        pilot.assert_clean()
        return
    final = pilot.updates(held.job_id)[-1]
    figure("signal, final update with the log", final["mono"] - began)
    if phase != "request":
        first = first_with_a_code(pilot, held.job_id)
        assert first["body"]["job_status"] not in ("finished", "failed"), pilot.story()
        assert first["body"]["pilot_error_code"] == CODES[name], pilot.story()
        figure("signal, code at the server", first["mono"] - began)
    check_ended_by(pilot, held, name, code)


@pytest.mark.parametrize("name", ["TERM", "INT", "XCPU"])
def test_a_signal_to_the_whole_group(pilot, name):
    held = hold(pilot, "payload", pilot.start)
    os.killpg(pilot.process.pid, number_of(name))
    check_ended_by(pilot, held, name, pilot.wait_exit(_PROMPT_S))


@pytest.mark.parametrize("phase", ["stage-in", "stage-out", "log"])
def test_term_to_the_whole_session_and_its_movers(pilot, phase):
    held = hold(pilot, phase, pilot.start)
    for row in pilot.family():
        pilot.signal_all([row.pid], signal.SIGTERM)
    pilot.signal_all(held.stopped, signal.SIGCONT)
    check_ended_by(pilot, held, "TERM", pilot.wait_exit(_PROMPT_S))


@pytest.mark.parametrize("name", ["TERM", "QUIT"])
def test_a_signal_twice_within_a_moment_is_one(pilot, name):
    held = hold(pilot, "payload", pilot.start)
    os.kill(pilot.process.pid, number_of(name))
    os.kill(pilot.process.pid, number_of(name))
    check_ended_by(pilot, held, name, pilot.wait_exit(_PROMPT_S))


def test_the_first_of_two_signals_counts(pilot):
    held = hold(pilot, "payload", pilot.start, payload={"ignore_term": True})
    os.kill(pilot.process.pid, signal.SIGXCPU)
    pilot.wait_log("code 1204")
    os.kill(pilot.process.pid, signal.SIGTERM)
    check_ended_by(pilot, held, "XCPU", pilot.wait_exit(_PROMPT_S))


@pytest.mark.parametrize("name", ["TERM", "SEGV", "USR1"])
def test_a_signal_to_the_supervisor_itself(pilot, name):
    held = hold(pilot, "payload", pilot.start)
    pilot.kill("supervisor", number_of(name))
    check_ended_by(pilot, held, name, pilot.wait_exit(_PROMPT_S))


@pytest.mark.parametrize("name", ["TERM", "INT", "QUIT"])
def test_in_the_background_of_a_shell_that_ignores_int_and_quit(pilot, name):
    def shell(words):
        # A shell without job control starts what is in its background with INT and QUIT ignored.
        return ["/bin/sh", "-c", f"{shlex.join(words)} & wait $!; echo code=$?"]

    held = hold(pilot, "payload", lambda: pilot.start(wrap=shell))
    os.kill(pilot.one("guardian"), number_of(name))
    pilot.wait_exit(_PROMPT_S)
    assert f"code={128 + number_of(name)}" in pilot.out.read_text(), pilot.story()
    pilot.assert_final(held.job_id, "failed", CODES[name])
    pilot.assert_clean()


@pytest.mark.parametrize(
    "payload",
    [{"children": 3}, {"ignore_term": True}, {"ignore_term": True, "children": 3, "detached": True}],
    ids=["children", "ignores-term", "ignores-term-detached-children"],
)
def test_h090_a_payload_that_does_not_want_to_go(pilot, payload):
    held = hold(pilot, "payload", pilot.start, payload=payload)
    children = payload.get("children", 0)
    sleepers = lambda: [row for row in pilot.family() if row.name == "sleep"]  # noqa: E731
    wait_until(lambda: len(sleepers()) == children, 10, "the payload's children")
    os.kill(pilot.process.pid, signal.SIGTERM)
    check_ended_by(pilot, held, "TERM", pilot.wait_exit(_PROMPT_S))


def test_h090_a_stopped_payload_is_ended_as_well(pilot):
    held = hold(pilot, "payload", pilot.start)
    pilot.kill("payload", signal.SIGSTOP)
    os.kill(pilot.process.pid, signal.SIGTERM)
    check_ended_by(pilot, held, "TERM", pilot.wait_exit(_PROMPT_S))


@pytest.mark.parametrize("number", range(20 if SOAK else 6))
def test_at_any_moment(pilot, number):
    """A TERM at a random moment: whatever the job's outcome, it is reported once, and nothing is left."""
    rng = random.Random(f"signals-{number}")
    delay_s = rng.uniform(0.05, 1.0)
    print(f"seed signals-{number}: after {delay_s:.3f} s")
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000], payload={"sleep": 0.2})[0]
    pilot.start()
    moment = time.monotonic() + delay_s
    wait_until(lambda: time.monotonic() >= moment, 5, "the moment")
    if pilot.process.poll() is None:
        os.kill(pilot.process.pid, signal.SIGTERM)
    code = pilot.wait_exit(_PROMPT_S)
    assert code in (0, 128 + signal.SIGTERM, -signal.SIGTERM), pilot.story()
    job = pilot.sandbox.job(job_id)
    if job["state"] != "activated":
        assert job["finals_accepted"] == 1, pilot.story()
        assert (code == 0) <= (job["state"] == "finished"), pilot.story()
    pilot.assert_clean()


def test_when_time_is_short_the_final_update_goes_without_the_log(pilot):
    held = hold(pilot, "payload", lambda: pilot.start(kill_grace_s=3, report_reserve_s=1.5, stall_limit_s=60))
    movers = pilot.find("mover")
    pilot.signal_all(movers, signal.SIGSTOP)
    began = time.monotonic()
    os.kill(pilot.process.pid, signal.SIGTERM)
    code = pilot.wait_exit(_PROMPT_S)
    assert time.monotonic() - began < 8, pilot.story()
    check_ended_by(pilot, held, "TERM", code, log=False)


def test_a_killed_guardian_is_reported_and_nothing_stays(pilot, figure):
    held = hold(pilot, "payload", pilot.start, payload={"ignore_term": True, "children": 2, "detached": True})
    began = time.monotonic()
    os.kill(pilot.process.pid, signal.SIGKILL)
    pilot.wait_exit()
    pilot.sandbox.wait_final(held.job_id, 15)
    figure("guardian killed, code at the server", first_with_a_code(pilot, held.job_id)["mono"] - began)
    wait_until(lambda: not pilot.family(), 15, f"processes are left\n{pilot.story()}")
    figure("guardian killed, everything gone", time.monotonic() - began)
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.KILLSIGNAL)
    assert report_of(job), pilot.story()
    pilot.assert_clean()


@pytest.mark.parametrize("phase", PHASES if SOAK else ("request", "set-up", "stage-in", "stage-out", "final"))
def test_a_killed_guardian_in_each_phase(pilot, phase):
    held = hold(pilot, phase, pilot.start)
    os.kill(pilot.process.pid, signal.SIGKILL)
    pilot.signal_all(held.stopped, signal.SIGCONT)
    pilot.wait_exit()
    pilot.sandbox.wait_final(held.job_id, 15)
    if phase == "final":
        pilot.assert_final(held.job_id, "finished", 0)
    else:
        pilot.assert_final(held.job_id, "failed", ErrorCode.KILLSIGNAL)
    pilot.assert_clean()
