"""The production wrapper, unchanged, starts this pilot: files, environment, arguments, signals, exit codes."""

import json
import os
import signal

import pytest
from harvester_rig import Messenger, needs_harvester
from slot_rig import encoded, environ_of, make_jobs, read_json, use_mv
from wrapper_rig import Wrapper, needs_wrapper, pilot_options

from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120), needs_wrapper]


@pytest.fixture
def wrapper(tmp_path):
    with Wrapper(tmp_path / "place") as made:
        yield made


def test_a_job_from_the_server_by_a_downloaded_tarball(sandbox, pilot, wrapper, tmp_path):
    (job_id,) = sandbox.make_jobs(1, outputs=[1000], transform="quick.sh")
    url = wrapper.tarball(tmp_path / "pilot3.tar.gz").as_uri()
    wrapper.start(pilot, "--piloturl", url, *pilot_options(pilot), environment={"HARVESTER_ID": "h"})
    assert wrapper.process.wait(60) == 0, wrapper.said()
    pilot.assert_final(job_id, "finished", 0)
    said = wrapper.said()
    assert "pilot3/pilot.py exists OK" in said
    assert f"pandaids: {job_id}\n" in said
    assert "Pilot exit status: 0" in said
    assert {path.name for path in wrapper.place.iterdir()} == {"queuedata.json"}
    assert not list(pilot.tmp.iterdir())


def test_a_job_of_arc_by_a_local_tarball(sandbox, pilot, wrapper):
    """The options of the control tower, volunteer-boinc-arc 2.1."""
    use_mv(sandbox)
    (job,) = make_jobs(sandbox)
    wrapper.tarball(wrapper.place / "pilot3.tar.gz")
    (wrapper.place / "pandaJobData.out").write_text(encoded(job))
    options = ["--harvester-submit-mode", "PUSH", "-z", "--pilotversion", "3", "--piloturl", "local"]
    options += ["--job-type", "user", "--resource-type", "SCORE"]
    wrapper.start(pilot, *options, *pilot_options(pilot, without=("--queuedata-url", "--storagedata-url")))
    assert wrapper.process.wait(60) == 0, wrapper.said()
    assert read_json(wrapper.place / "heartbeat.json")["state"] == "finished"
    report = json.loads(read_json(wrapper.place / "heartbeat.json")["xml"])
    assert {line.split()[0] for line in (wrapper.place / "output.list").read_text().splitlines()} == set(report)
    assert f"pandaids: {job['PandaID']}\n" in wrapper.said()
    assert (wrapper.place / "pilotlog.txt").exists()


@pytest.mark.parametrize(("number", "code", "exit_code"), [(signal.SIGTERM, 1201, 1), (signal.SIGINT, 1208, 2)])
@pytest.mark.parametrize("whole_group", [False, True])
def test_a_signal_of_the_batch_system(sandbox, pilot, wrapper, number, code, exit_code, whole_group):
    (job_id,) = sandbox.make_jobs(1, transform="work.py", payload={"until": str(pilot.payload_end)})
    wrapper.tarball(wrapper.place / "pilot3.tar.gz")
    wrapper.start(pilot, "--piloturl", "local", *pilot_options(pilot))
    pilot.wait_call("update_job", job_status="running", timeout_s=30)
    if whole_group:
        os.killpg(wrapper.process.pid, number)
    else:
        os.kill(wrapper.process.pid, number)
    wait_until(lambda: sandbox.job(job_id)["state"] == "failed", 40, wrapper.said())
    pilot.assert_final(job_id, "failed", code)
    wait_until(lambda: not pilot.find("guardian"), 20, "the pilot is still there")
    if whole_group and number == signal.SIGTERM:
        # Otherwise the wrapper's own handler waits for its own watcher, which sleeps.
        assert wrapper.process.wait(20) == exit_code, wrapper.said()
        assert f"Pilot exit status: {128 + number}" in wrapper.said()


def test_a_named_failure_of_the_pilot_is_the_exit_code_of_the_wrapper(sandbox, pilot, wrapper):
    sandbox.set_queue(status="offline")
    wrapper.tarball(wrapper.place / "pilot3.tar.gz")
    wrapper.start(pilot, "--piloturl", "local", *pilot_options(pilot))
    assert wrapper.process.wait(40) == 83, wrapper.said()
    assert "no payload" in wrapper.said()


@needs_harvester
def test_harvester_the_wrapper_and_the_pilot_together(sandbox, pilot, wrapper, tmp_path):
    """Harvester at the edge of an HPC: the wrapper links the inputs of the access point into its directory."""
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, inputs=[2000], outputs=[1000])
    point = tmp_path / "point"
    with Messenger(tmp_path / "h", point) as harvester:
        harvester.feed(job)
        (point / job["inFiles"]).symlink_to(sandbox.stored_path(job["scopeIn"], job["inFiles"]))
        wrapper.tarball(wrapper.place / "pilot3.tar.gz")
        own = pilot_options(pilot, without=("--queuedata-url", "--storagedata-url"))
        options = ["--harvester", "NODE", "-z", "--harvester-submit-mode", "PUSH", *own]
        wrapper.start(pilot, *options, "--harvester-workdir", str(point), environment=environ_of(point))
        assert wrapper.process.wait(60) == 0, wrapper.said()
        assert harvester.status(job) == "finished", wrapper.said()
        assert set(harvester.call("get_files_to_stage_out")[str(job["PandaID"])]) == set(job["outFiles"].split(","))
        assert harvester.call("kill_requested") is True
