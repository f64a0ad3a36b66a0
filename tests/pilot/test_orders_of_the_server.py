"""Orders of the server and of the queue to whole pilots, in both dialects (panda-protocol 1.9, 3.9, 8.3)."""

import shutil

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun, as_new
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

_UPDATES = ("update_job", "updateJob")
_SWITCH = ("set_debug_mode", "setDebugMode")


@pytest.fixture(scope="module", params=["v1", "legacy"])
def server(request, tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp(request.param), "--dialects", request.param) as running:
        yield running


@pytest.fixture
def run(server):
    with PilotRun(as_new(server)) as pilot:
        (pilot.home / "pilot.cfg").write_text("[Pilot]\nheartbeat = 1\ndebug_heartbeat = 1\n")
        yield pilot


def start(run):
    payload = {"stdout_lines": 3, "until": str(run.payload_end)}
    (job_id,) = run.sandbox.make_jobs(1, outputs=[10], payload=payload)
    run.start(environment={"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")})
    run.wait_log("starting -> running")
    return job_id


def entries(run, calls):
    return [entry for entry in run.sandbox.record() if entry["call"] in calls and entry["worked"]]


def wait_update(run, fits):
    return run.sandbox.wait_for(lambda entry: entry["call"] in _UPDATES and entry["worked"] and fits(entry["body"]), 15)


@pytest.mark.parametrize("refused", [False, True])
def test_a_queue_in_debug_mode_switches_it_on_for_each_job_at_the_server_and_here(run, refused):
    run.sandbox.set_queue(catchall="setdebugmode")
    if refused:
        for call in _SWITCH:
            run.sandbox.fault(call, "http_403", times=None)
    job_id = start(run)
    wait_update(run, lambda body: "payload.stdout" in body.get("stdout", ""))
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    assert run.sandbox.job(job_id)["debug_mode"] is (None if refused else True)
    assert len(entries(run, _SWITCH)) == (0 if refused else 1)
    run.assert_clean()


def test_a_queue_without_the_tag_switches_nothing(run):
    job_id = start(run)
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    assert not entries(run, _SWITCH)
    assert all("stdout" not in entry["body"] for entry in entries(run, _UPDATES))


def test_tobekilled_is_ignored_when_the_job_directory_is_gone(run):
    job_id = start(run)
    (main,) = run.main_dirs()
    job_dir = main / f"PanDA_Pilot-{job_id}"
    wait_until(lambda: (job_dir / "payload.stdout").stat().st_size, 10, "the payload says nothing")
    shutil.rmtree(job_dir)
    run.sandbox.command(job_id, "tobekilled", times=1)
    run.wait_log("the order to kill a job whose directory is gone is ignored")
    assert run.find("payload")
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    assert "1144" not in run.log(), run.log()
    job = run.sandbox.job(job_id)
    assert (job["finals_accepted"], job["final"]["job_status"]) == (1, "failed")  # its outputs are gone as well


def test_softkill_changes_nothing_for_a_job_without_events(run):
    job_id = start(run)
    run.sandbox.command(job_id, "softkill")
    run.wait_log("softkill")
    payload = run.find("payload")
    wait_update(run, lambda body: True)
    assert run.find("payload") == payload
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    run.assert_clean()
