"""Every process of the pilot, killed and stopped in every phase of a job: the job must not notice."""

import os
import signal
import time

import pytest
from phases import PHASES, Held, hold
from pilotrun import SOAK, WORKERS

from errors.codes import ErrorCode

pytestmark = pytest.mark.chaos

_MOVER_PHASES = ("stage-in", "stage-out", "log")
_KILLS = [(victim, phase) for victim in ("supervisor", *WORKERS) for phase in PHASES]
_KILLS += [("mover", phase) for phase in _MOVER_PHASES]
#: A stopped process is seen after the silence limit: these take their time, so a sample of them runs every day.
_STOPS = [
    ("supervisor", "stage-in"),
    ("supervisor", "payload"),
    ("supervisor", "final"),
    ("stager", "stage-in"),
    ("stager", "stage-out"),
    ("runner", "set-up"),
    ("runner", "payload"),
    ("monitor", "payload"),
    ("reporter", "request"),
    ("reporter", "final"),
    ("mover", "stage-in"),
    ("mover", "log"),
]


@pytest.mark.parametrize(("victim", "phase"), _KILLS)
def test_a_killed_process_is_replaced_and_the_job_finishes(pilot, figure, victim, phase):
    held = hold_for(pilot, phase, victim)
    began = time.monotonic()
    pid = pilot.kill(victim, signal.SIGKILL)
    pilot.wait_gone(pid)
    if victim != "mover":
        pilot.wait_replaced(victim, pid)
        figure(f"{victim} killed, another there", time.monotonic() - began)
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


@pytest.mark.parametrize(("victim", "phase"), _KILLS if SOAK else _STOPS)
def test_a_stopped_process_is_replaced_and_the_job_finishes(pilot, figure, victim, phase):
    held = hold_for(pilot, phase, victim)
    began = time.monotonic()
    pid = pilot.kill(victim, signal.SIGSTOP)
    held.stopped = [other for other in held.stopped if other != pid]
    if phase == "payload":
        pilot.wait_replaced(victim, pid)
        figure(f"{victim} stopped, another there", time.monotonic() - began)
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("victim", WORKERS)
def test_a_worker_that_dies_of_another_signal_is_replaced(pilot, victim, number):
    """A worker's own fault counts against its task, once is no harm; TERM and INT are nobody's order to a worker."""
    held = hold(pilot, "payload", pilot.start)
    pid = pilot.kill(victim, number)
    pilot.wait_replaced(victim, pid)
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_stopped_guardian_delays_only_the_exit(pilot):
    held = hold(pilot, "payload", pilot.start)
    os.kill(pilot.process.pid, signal.SIGSTOP)
    held.release()
    pilot.sandbox.wait_final(held.job_id, 15)
    pilot.wait_log("leaves with exit code 0")
    os.kill(pilot.process.pid, signal.SIGCONT)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def hold_for(pilot, phase, victim):
    """Hold the phase so that the victim's death cannot lose a job that the server has handed out already."""
    if phase == "request" and victim in ("supervisor", "reporter"):
        job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
        pilot.sandbox.fault("acquire_jobs", "silence")
        pilot.start()
        pilot.wait_call("acquire_jobs")
        return Held(pilot, job_id)
    return hold(pilot, phase, pilot.start)


def test_a_killed_payload_fails_the_job_with_its_signal(pilot):
    held = hold(pilot, "payload", pilot.start)
    pilot.kill("payload", signal.SIGKILL)
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.PAYLOADEXECUTIONFAILURE)
    assert job["final"]["trans_exit_code"] == 128 + signal.SIGKILL, pilot.story()
    pilot.assert_clean()


def test_a_killed_shim_fails_the_job_as_lost(pilot):
    held = hold(pilot, "payload", pilot.start)
    payload = pilot.one("payload")
    pilot.kill("shim", signal.SIGKILL)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.wait_gone(payload)
    pilot.assert_final(held.job_id, "failed", ErrorCode.PAYLOADLOST)
    pilot.assert_clean()


def test_a_stopped_payload_is_only_slow(pilot):
    held = hold(pilot, "payload", pilot.start)
    pid = pilot.kill("payload", signal.SIGSTOP)
    beats = pilot.log().count("alive")
    pilot.wait_log("-> running")
    held.release()
    assert beats >= 1
    assert pilot.find("payload") == [pid]
    pilot.signal_all([pid], signal.SIGCONT)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_stopped_shim_is_woken_when_its_payload_is_over(pilot):
    held = hold(pilot, "payload", pilot.start)
    pilot.kill("shim", signal.SIGSTOP)
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()
