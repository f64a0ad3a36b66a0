"""A server that is away for the whole job, while the pilot is killed, restarted or has to leave: one final update each.

What the server hears when it is back is in order for each job, only what still matters, and nothing after the final.
"""

import contextlib
import os
import signal

import pytest
from pilotrun import SOAK, PilotRun, report_of

from errors.codes import ErrorCode
from sandbox.client import Sandbox
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

CONFIG = "[Pilot]\nheartbeat: 1\n"
_RANK = ("starting", "running", "transferring", "holding", "finished", "failed")


@pytest.fixture(scope="module")
def software(tmp_path_factory):
    """A second server, which has the payload's script while PanDA is away."""
    with Sandbox(tmp_path_factory.mktemp("software")) as running:
        yield running


def begin(pilot, software, *options, **tuning):
    (pilot.home / "pilot.cfg").write_text(CONFIG)
    environ = {"HARVESTER_PILOT_CONFIG": str(pilot.home / "pilot.cfg")}
    where = ("--baseurls", f"{software.url}/transforms")
    return pilot.start(*where, *options, environment=environ, **tuning)


def make_job(pilot, software, count=1):
    return pilot.sandbox.make_jobs(
        count,
        inputs=[2000],
        outputs=[3000],
        transform=f"{software.url}/transforms/work.py",
        payload={"until": str(pilot.payload_end)},
    )


def assert_in_order(pilot, job_id, since=0, *, finals=1, others=2):
    """Assert that what came of a job from an entry on is in order, few, and ends with its final update.

    A final one whose answer was lost with whoever waited for it is told again: then there may be more `finals`.
    """
    updates = [entry for entry in pilot.updates(job_id) if entry["n"] >= since and entry["worked"]]
    states = [entry["body"]["job_status"] for entry in updates]
    assert states == sorted(states, key=_RANK.index), states
    assert states[-1] in {"finished", "failed"}, states
    assert states.count(states[-1]) <= finals, states
    assert len(states) <= others + finals, states
    return states


@pytest.mark.parametrize("role", ["supervisor", "reporter"])
def test_a_server_away_for_the_whole_job_and_a_pilot_killed_meanwhile(pilot, software, role):
    (job_id,) = make_job(pilot, software)
    begin(pilot, software)
    pilot.wait_log("received -> preparing")
    pilot.sandbox.down()
    since = len(pilot.sandbox.record())
    for text in ("starting -> running", "not delivered"):
        pilot.wait_log(text)
    pilot.wait_replaced(role, pilot.kill(role))
    pilot.payload_end.touch()
    pilot.wait_log("transferring_log -> reporting")
    pilot.wait_replaced(role, pilot.kill(role))
    tries = pilot.log().count("not delivered")
    wait_until(lambda: pilot.log().count("not delivered") > tries + 3, 15, "the new one does not try")
    pilot.sandbox.up()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "finished", 0, rejected=0)
    assert set(report_of(job)) == set(job["definition"]["outFiles"].split(","))
    assert_in_order(pilot, job_id, since)
    pilot.assert_clean()


def test_a_guardian_killed_while_the_server_is_away_is_told_by_the_next_pilot(pilot, software):
    (job_id,) = make_job(pilot, software)
    begin(pilot, software, kill_grace_s=4, report_reserve_s=1.5)
    pilot.wait_log("starting -> running")
    pilot.sandbox.down()
    pilot.wait_log("not delivered")
    pilot.kill("guardian")
    pilot.wait_log("its final update waits on disk", 20)
    wait_until(lambda: not pilot.family(), 20, "processes are left")
    pilot.process.wait(5)
    assert pilot.sandbox.job(job_id)["finals_accepted"] == 0
    pilot.sandbox.up()
    since = len(pilot.sandbox.record())
    begin(pilot, software)
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed", ErrorCode.KILLSIGNAL, rejected=0)
    assert report_of(job), pilot.story()
    assert_in_order(pilot, job_id, since)
    pilot.assert_clean()


@pytest.mark.parametrize("how", ["told to leave", "killed"] if SOAK else ["told to leave"])
def test_several_jobs_of_pilots_that_are_gone_are_reported_once_each_by_the_next_one(pilot, software, how):
    """Three pilots in one place end while the server is away; the one that takes over is killed at its work as well."""
    job_ids = make_job(pilot, software, 3)
    with contextlib.ExitStack() as stack:
        pilots = [pilot, *(stack.enter_context(PilotRun(pilot.sandbox, home=pilot.home)) for _ in range(2))]
        for one in pilots:
            begin(one, software, kill_grace_s=4, report_reserve_s=1.5)
        for job_id in job_ids:
            pilot.wait_call("update_job", job_id=job_id, job_status="running")
        pilot.sandbox.down()
        pilot.payload_end.touch()
        for job_id in job_ids:
            pilot.wait_log(f"job={job_id} transferring_log -> reporting")
        if how == "killed":
            pilot.kill_all()
            wait_until(lambda: not pilot.family(), 10, "processes are left")
        else:
            for one in pilots:
                os.kill(one.process.pid, signal.SIGTERM)
            assert [one.wait_exit() for one in pilots] == [128 + signal.SIGTERM] * 3, pilot.story()
            assert pilot.log().count("its final update waits on disk") == 3
        assert [pilot.sandbox.job(job_id)["finals_accepted"] for job_id in job_ids] == [0, 0, 0]
        since = len(pilot.sandbox.record())
        pilot.sandbox.fault("update_job", "silence", only_final=True, skip=1, times=1)
        begin(pilot, software, "-v", "9", "-x", "9", getjob_pause_s=60)
        pilot.wait_log("updates wait")
        pilot.sandbox.up()
        wait_until(lambda: finals(pilot, job_ids) >= 1, 15, pilot.story())
        pilot.wait_replaced("supervisor", pilot.kill("supervisor"))
        pilot.sandbox.clear_faults()
        wait_until(lambda: finals(pilot, job_ids) == 3, 15, pilot.story())
        pilot.kill("guardian", signal.SIGTERM)
        assert pilot.wait_exit() == 128 + signal.SIGTERM, pilot.story()
        for job_id in job_ids:
            pilot.assert_final(job_id, "finished", 0)
            assert_in_order(pilot, job_id, since, finals=2)
        pilot.assert_clean()


def finals(pilot, job_ids):
    return sum(pilot.sandbox.job(job_id)["finals_accepted"] for job_id in job_ids)


def test_a_short_return_of_the_server_is_used(pilot, software):
    """Away, back for a moment, away again: what was due then is told, and the final update once in the end."""
    (job_id,) = make_job(pilot, software)
    begin(pilot, software)
    pilot.wait_log("starting -> running")
    pilot.sandbox.down()
    pilot.wait_log("not delivered")
    pilot.sandbox.up()
    since = len(pilot.sandbox.record())
    wait_until(lambda: len(pilot.updates(job_id)) > 2, 15, pilot.story())
    pilot.sandbox.down()
    pilot.payload_end.touch()
    pilot.wait_log("-> reporting")
    tries = pilot.log().count("not delivered")
    wait_until(lambda: pilot.log().count("not delivered") > tries, 15, "it is not tried")
    pilot.sandbox.up()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0, rejected=0)
    assert_in_order(pilot, job_id, since, others=9)
    pilot.assert_clean()


def test_case_45_a_pilot_whose_life_is_over_leaves_with_79_and_the_next_one_reports(pilot, software):
    (job_id,) = make_job(pilot, software)
    begin(pilot, software, "-l", "5")
    pilot.wait_log("starting -> running")
    pilot.sandbox.down()
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 79, pilot.story()
    assert "its final update waits on disk" in pilot.log()
    assert pilot.sandbox.job(job_id)["finals_accepted"] == 0
    pilot.sandbox.up()
    begin(pilot, software)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0, rejected=0)
    pilot.assert_clean()
