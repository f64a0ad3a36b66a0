"""Workers as threads of the supervisor (--isolation thread): the same outcomes where a site forbids forking."""

import os
import signal

import pytest
from phases import hold
from pilotrun import WORKERS, report_of

from errors.codes import ErrorCode

pytestmark = pytest.mark.chaos


def start(pilot, **tuning):
    return lambda: pilot.start("--isolation", "thread", **tuning)


def test_a_job_finishes_without_worker_processes(pilot):
    held = hold(pilot, "payload", start(pilot))
    assert not any(pilot.find(role) for role in WORKERS)
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


@pytest.mark.parametrize("phase", ["request", "stage-in", "payload", "stage-out", "log"])
def test_term(pilot, phase):
    held = hold(pilot, phase, start(pilot))
    os.kill(pilot.process.pid, signal.SIGTERM)
    pilot.signal_all(held.stopped, signal.SIGCONT)
    assert pilot.wait_exit() == 128 + signal.SIGTERM, pilot.story()
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.SIGTERM)
    assert report_of(job), pilot.story()
    pilot.assert_clean()


@pytest.mark.parametrize("phase", ["stage-in", "payload", "stage-out", "final"])
def test_a_killed_supervisor(pilot, phase):
    held = hold(pilot, phase, start(pilot))
    pid = pilot.kill("supervisor")
    pilot.wait_replaced("supervisor", pid)
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


@pytest.mark.parametrize("phase", ["stage-out", "log"])
def test_hung_movers(pilot, phase):
    held = hold(pilot, phase, start(pilot))
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_killed_mover(pilot):
    held = hold(pilot, "stage-in", start(pilot))
    pilot.kill("mover")
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_payload_that_fails(pilot):
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000], payload={"exit_code": 7})[0]
    start(pilot)()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed")
    assert job["final"]["trans_exit_code"] == 7, pilot.story()
    pilot.assert_clean()


def test_a_killed_shim(pilot):
    held = hold(pilot, "payload", start(pilot))
    pilot.kill("shim")
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "failed", ErrorCode.PAYLOADLOST)
    pilot.assert_clean()


def test_an_order_to_end(pilot):
    held = hold(pilot, "stage-in", start(pilot))
    pilot.sandbox.command(held.job_id, "tobekilled")
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "cancelled", ErrorCode.PANDAKILL)
    pilot.assert_clean()


def test_a_killed_guardian(pilot):
    held = hold(pilot, "payload", start(pilot))
    os.kill(pilot.process.pid, signal.SIGKILL)
    pilot.wait_exit()
    pilot.sandbox.wait_final(held.job_id, 15)
    pilot.assert_final(held.job_id, "failed", ErrorCode.KILLSIGNAL)
    pilot.assert_clean()
