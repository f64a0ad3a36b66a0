"""Commands from the server, the kill file, heartbeats in every phase and the server's long silence, in real pilots."""

import json
import re
import shutil
import tarfile

import pytest
from pilotrun import report_of

from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]


@pytest.fixture
def config(tmp_path):
    """Write a configuration file and return the environment that names it."""

    def write(**keys):
        path = tmp_path / "pilot.cfg"
        path.write_text("\n".join(["[Pilot]", *(f"{key} = {value}" for key, value in keys.items())]))
        return {"HARVESTER_PILOT_CONFIG": str(path)}

    return write


def running_job(pilot, environment, *options, payload=(), **recipe):
    """Start a pilot with a job whose payload waits; return the job's number once it runs."""
    words = {"until": str(pilot.payload_end), "stdout_lines": 30, **dict(payload)}
    job_id = pilot.sandbox.make_jobs(1, payload=words, **recipe)[0]
    pilot.start(*options, environment=environment)
    pilot.wait_call("update_job", job_status="running")
    pilot.one("payload")
    return job_id


def wait_stdout(pilot, job_id, fits, since=0, timeout_s=15):
    """Return the first update from number `since` on whose stdout fits."""

    def found():
        for update in pilot.updates(job_id)[since:]:
            if fits(update["body"].get("stdout")):
                return update["body"]
        return None

    wait_until(found, timeout_s, f"no such stdout\n{pilot.story()}")
    return found()


def test_case_33_and_46_heartbeats_in_every_phase_and_case_42_the_batch_system_in_all(pilot, config):
    environment = {**config(heartbeat=0.4), "GTAG": "u", "SLURM_JOB_ID": "7"}
    pilot.sandbox.fault("transform", "late", seconds=2.0)
    job_id = running_job(pilot, environment, inputs=[2000], outputs=[3000])
    wait_until(lambda: len(pilot.updates(job_id)) > 8, 15, "no heartbeats")
    wait_until(lambda: "tot_rchar" in pilot.updates(job_id)[-1]["body"], 15, "the payload was not measured")
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    bodies = [update["body"] for update in pilot.updates(job_id)]
    words = [body["job_status"] for body in bodies]
    assert words.count("starting") >= 3
    assert words.count("running") >= 3
    order = ["starting", "running", "finished"]
    assert words == sorted(words, key=order.index)
    assert words.count("finished") == 1
    assert {body["job_sub_status"] for body in bodies} >= {"staging_in", "running", "finished"}
    assert {body["batch_id"] for body in bodies} == {"7"}
    assert all(body["pilot_id"].startswith("u|SLURM|PR|") for body in bodies)
    final = pilot.assert_final(job_id, "finished", 0, rejected=0)["final"]
    for name in ("start_time", "end_time"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", final[name])
    assert re.fullmatch(r"\d+(\|\d+){5}", final["pilot_timing"])
    assert final["n_input_files"] == 1
    assert final["tot_rchar"] > 0
    assert "stdout" not in final
    pilot.assert_clean()


def test_case_51_52_53_debug_commands(pilot, config):
    environment = config(heartbeat=0.5, debug_heartbeat=0.5)
    job_id = running_job(pilot, environment)
    pilot.sandbox.command(job_id, "debug,tail payload.stdout")
    shown = wait_stdout(pilot, job_id, lambda text: text and text.startswith("payload.stdout\n"))["stdout"]
    assert shown.splitlines()[-1] == "line 29"
    assert len(shown) <= 2048
    for refused in ("debug,tail ../../etc/passwd", "debug,ls; id", "debug,ls -l /etc"):
        pilot.sandbox.command(job_id, refused)
        pilot.wait_log(f"is refused: {refused.removeprefix('debug,')}")
    pilot.sandbox.command(job_id, "debug,rm -rf x")
    pilot.wait_log("is ignored: 'rm -rf x'")
    pilot.sandbox.command(job_id, "debug,ls -l")
    assert "payload.stdout" in wait_stdout(pilot, job_id, lambda text: text and "total " in text)["stdout"]
    pilot.sandbox.command(job_id, "debug,ps -ef")
    wait_stdout(pilot, job_id, lambda text: text and "PID" in text)
    pilot.kill("monitor")
    pilot.sandbox.command(job_id, "debug")
    wait_stdout(pilot, job_id, lambda text: text and text.startswith("payload.stdout\n"), len(pilot.updates(job_id)))
    pilot.sandbox.command(job_id, "debugoff")
    pilot.wait_log("debug mode off")
    since = len(pilot.updates(job_id))
    wait_until(lambda: len(pilot.updates(job_id)) > since + 2, 10, "no heartbeats")
    assert all("stdout" not in update["body"] for update in pilot.updates(job_id)[since + 1 :])
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert "root:" not in json.dumps([update["body"].get("stdout", "") for update in pilot.updates(job_id)])
    pilot.assert_clean()


def test_a_link_out_of_the_job_directory_is_not_followed(pilot, config):
    job_id = running_job(pilot, config(heartbeat=0.5, debug_heartbeat=0.5))
    job_dir = next(pilot.main_dirs()[0].glob("PanDA_Pilot-*"))
    (job_dir / "out").symlink_to("/etc")
    (job_dir / "secret.txt").symlink_to("/etc/passwd")
    for command in ("debug,tail out/passwd", "debug,tail secret.txt", "debug,ls out"):
        since = len(pilot.updates(job_id))
        pilot.sandbox.command(job_id, command)
        seen = wait_stdout(pilot, job_id, lambda text: text and "leads out of the job directory" in text, since)
        assert "root" not in seen["stdout"]
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_clean()


@pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is not here")
def test_gdb_leaves_a_core_in_the_log_and_ends_the_payload(pilot, config):
    job_id = running_job(pilot, config(heartbeat=0.5, debug_heartbeat=0.5))
    pilot.sandbox.command(job_id, "debug,gdb --pid %")
    assert pilot.wait_exit(60) == 0, pilot.story()
    job = pilot.sandbox.job(job_id)
    assert (job["finals_accepted"], job["final"]["pilot_error_code"]) == (1, 1144), pilot.story()
    log = pilot.sandbox.stored_path("sandbox.test", f"log.{job_id}.job.log.tgz")
    with tarfile.open(log) as archive:
        assert any("debug_core." in name for name in archive.getnames())
    pilot.assert_clean()


def test_debug_mode_from_the_job_itself(pilot, config):
    job_id = running_job(pilot, config(heartbeat=100, debug_heartbeat=0.3), fields={"debug": "True"})
    wait_stdout(pilot, job_id, lambda text: text and text.startswith("payload.stdout\n"))
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    pilot.assert_clean()


@pytest.mark.parametrize("command", ["tobekilled", "debug,tobekilled"], ids=["alone", "with-debug"])
def test_cases_48_and_49_the_server_ends_a_job(pilot, config, command):
    job_id = running_job(pilot, config(heartbeat=0.3), payload={"children": 2, "detached": True})
    wait_until(lambda: [row.name for row in pilot.family()].count("sleep") == 2, 10, "the payload's children")
    pilot.sandbox.command(job_id, command)
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.sandbox.job(job_id)
    assert (job["finals_accepted"], job["final"]["pilot_error_code"]) == (1, 1144), pilot.story()
    assert job["final"]["job_status"] == "failed"
    assert set(report_of(job)) == {job["definition"]["logFile"]}
    pilot.assert_clean()


def test_the_kill_file_ends_the_payload_and_not_the_job(pilot, config):
    job_id = running_job(pilot, config(heartbeat=100), outputs=[3000], fields={"allowNoOutput": "NULL"})
    kill_file = pilot.main_dirs()[0] / "pilot_kill_payload"
    kill_file.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.sandbox.job(job_id)
    assert job["final"]["job_status"] == "finished", pilot.story()
    assert job["final"]["pilot_error_code"] == 0
    assert "1363" in job["final"]["pilot_error_diag"]
    assert not kill_file.exists()
    pilot.assert_clean()


def test_a_job_that_the_server_lost_is_ended_and_reported_later(pilot, config):
    environment = config(heartbeat=0.5, lost_heartbeat=2)
    job_id = running_job(pilot, environment)
    pilot.sandbox.fault("update_job", "http_503", times=None)
    pilot.wait_log("running -> failing")
    pilot.wait_log("-> reporting")
    pilot.sandbox.clear_faults()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed", 1317)
    pilot.assert_clean()


def test_the_pulse_of_the_pilot(pilot, config):
    job_id = running_job(pilot, config(heartbeat=0.3), "--set", "pulse_s=0.3")
    path = pilot.main_dirs()[0] / "pilot_heartbeat.json"
    wait_until(lambda: path.exists() and json.loads(path.read_text())["last_server_update"], 10, "no pulse")
    pulse = json.loads(path.read_text())
    assert set(pulse) == {"last_pilot_update", "last_server_update", "max_diff_time", "time_since_detection"}
    first = path.stat().st_ino
    pilot.kill("monitor")
    wait_until(lambda: path.stat().st_ino != first, 10, "no further pulse")
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    pilot.assert_clean()
