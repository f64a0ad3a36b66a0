"""Whole pilots against a server of PanDA itself: what its tables say at the end (panda-protocol 12)."""

import signal

import pytest
from tls_relay import Relay

from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(180)]


def waiting(pilot, **payload):
    """Return the options of a payload that waits for the test."""
    return {"until": str(pilot.payload_end), "stdout_lines": 30, **payload}


def assert_taken(pilot):
    """Assert that the server refused nothing and that no call failed."""
    log = pilot.log()
    for word in ("refused", "success is false", "Argument error", "Type error", "does not know"):
        assert word not in log, pilot.story()


def assert_log_known(row):
    """Assert that the log is registered; all files of a failed job are "failed" in the server's table."""
    (log,) = [entry for entry in row["files"].values() if entry["type"] == "log"]
    assert log["status"] == "failed"
    assert log["fsize"] > 0
    assert log["checksum"].startswith("ad:")


@pytest.mark.parametrize("label", ["managed", "user"])
def test_a_job_with_inputs_and_outputs_is_finished_for_the_server(pilot, panda, label):
    job_id = pilot.job(inputs=[2000, 3000], outputs=[4000, 5000], label=label)
    pilot.start("-j", label)
    assert pilot.wait_exit() == 0, pilot.story()
    assert panda.status(job_id) == "holding"
    assert panda.settle(job_id) == "finished"
    row = panda.show(job_id)
    assert (row["piloterrorcode"], row["exeerrorcode"], row["ddmerrorcode"]) == (0, 0, 0)
    assert row["actualcorecount"] == 1
    files = {entry["type"]: entry for entry in row["files"].values()}
    assert files["output"]["status"] == files["log"]["status"] == "ready"
    assert sorted(entry["fsize"] for entry in row["files"].values() if entry["type"] == "output") == [4000, 5000]
    assert files["output"]["checksum"].startswith("ad:")
    assert len(files["output"]["guid"]) == 36
    assert_taken(pilot)
    pilot.assert_clean()


def test_what_a_payload_used_is_in_the_row(pilot, panda, often):
    job_id = pilot.job(payload=waiting(pilot, memory_mib=64), outputs=[1000])
    pilot.start("-j", "user", environment=often)
    pilot.wait_status(job_id, "running")
    wait_until(lambda: panda.show(job_id).get("maxrss"), 30, "no memory was reported")
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    assert panda.settle(job_id) == "finished"
    row = panda.show(job_id)
    assert row["maxrss"] > 64 * 1024
    assert row["maxpss"] > 0
    assert_taken(pilot)


def test_a_failed_payload_is_failed_with_its_exit_code_and_its_log(pilot, panda):
    job_id = pilot.job(payload={"exit_code": 65}, outputs=[1000])
    pilot.start("-j", "user")
    pilot.wait_exit()
    assert panda.settle(job_id) == "failed"
    row = panda.show(job_id)
    assert (int(row["transexitcode"]), row["ddmerrorcode"]) == (65, 0)
    assert row["piloterrorcode"] > 0
    assert_log_known(row)
    assert_taken(pilot)


def test_sigterm_in_mid_run_is_failed_with_1201(pilot, panda):
    job_id = pilot.job(payload=waiting(pilot), outputs=[1000])
    pilot.start("-j", "user")
    pilot.wait_status(job_id, "running")
    pilot.one("payload")
    pilot.process.send_signal(signal.SIGTERM)
    assert pilot.wait_exit() == 143, pilot.story()
    assert panda.settle(job_id) == "failed"
    row = panda.show(job_id)
    assert row["piloterrorcode"] == 1201
    assert_log_known(row)
    assert_taken(pilot)


def test_a_killed_job_ends_as_cancelled(pilot, panda, often):
    job_id = pilot.job(payload=waiting(pilot), outputs=[1000])
    pilot.start("-j", "user", environment=often)
    pilot.wait_status(job_id, "running")
    panda.kill(job_id)
    pilot.wait_exit()
    assert panda.settle(job_id) == "cancelled"
    assert panda.show(job_id)["piloterrorcode"] == 1144
    assert_taken(pilot)


def test_a_debug_command_brings_the_output_to_the_server(pilot, panda, often):
    job_id = pilot.job(payload=waiting(pilot), outputs=[1000], fields={"specialHandling": "debug"})
    pilot.start("-j", "user", environment=often)
    pilot.wait_status(job_id, "running")
    panda.tell(job_id, "tail payload.stdout")
    wait_until(lambda: "payload.stdout" in panda.show(job_id).get("stdout", ""), 30, "no output in the server's table")
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    assert panda.settle(job_id) == "finished"
    assert_taken(pilot)


def test_a_server_that_was_away_gets_the_final_update(pilot, panda, often):
    with Relay(panda.url) as relay:
        pilot.url = relay.url
        job_id = pilot.job(payload=waiting(pilot), outputs=[1000])
        pilot.start("-j", "user", environment=often)
        pilot.wait_status(job_id, "running")
        relay.fail(8)
        pilot.payload_end.touch()
        assert pilot.wait_exit() == 0, pilot.story()
        assert relay.failed == 8
    assert panda.settle(job_id) == "finished"
    pilot.assert_clean()


def test_a_missing_input_is_failed_with_its_code(pilot, panda):
    job_id = pilot.job(inputs=[2000], outputs=[1000], label="managed")
    for path in pilot.sandbox.storage.rglob("input.*"):
        path.unlink()
    pilot.start("-j", "managed")
    pilot.wait_exit()
    assert panda.settle(job_id) == "failed"
    row = panda.show(job_id)
    assert row["piloterrorcode"] > 1000
    assert "input." in row["piloterrordiag"]
    assert_log_known(row)
    assert_taken(pilot)


def test_two_jobs_of_one_task_in_one_pilot(pilot, panda):
    pilot.sandbox.set_queue(timefloor=60)
    jobs = [pilot.job(outputs=[1000]) for _ in range(2)]
    pilot.start("-j", "user")
    assert pilot.wait_exit() == 0, pilot.story()
    assert [panda.settle(job_id) for job_id in jobs] == ["finished"] * 2
    assert_taken(pilot)
    pilot.assert_clean()


def test_worker_status_and_the_job_report_are_taken(pilot, panda):
    job_id = pilot.job(outputs=[1000])
    environment = {"HARVESTER_ID": "bulkhead-test", "HARVESTER_WORKER_ID": "12"}
    pilot.start("-j", "user", environment=environment)
    assert pilot.wait_exit() == 0, pilot.story()
    assert panda.settle(job_id) == "finished"
    assert panda.show(job_id)["schedulerid"]
    assert_taken(pilot)


def test_no_job_ends_the_pilot_well(pilot):
    pilot.start("-j", "user")
    assert pilot.wait_exit() == 0, pilot.story()
    assert "No jobs in PanDA" in pilot.log() or "no job" in pilot.log()
    pilot.assert_clean()
