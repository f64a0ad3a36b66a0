"""How real pilots ask for jobs and when they stop (panda-protocol 1.6, cases 14 to 23, behaviour 8 and 10)."""

import json
import os

import pytest

from tests.chaos.pilotrun import PilotRun
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]


@pytest.fixture
def run(sandbox):
    with PilotRun(sandbox) as made:
        yield made


def requests_of(sandbox):
    return [entry["body"] for entry in sandbox.record("acquire_jobs")]


def test_cases_14_19_20_21_the_first_request_and_its_job(sandbox, run):
    sandbox.set_queue(status="test", maxwdir=123)
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    environment = {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}
    run.start("-j", "managed", "--job-type", "managed", "--resource-type", "MCORE", environment=environment)
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    (request,) = requests_of(sandbox)
    assert (request["scheduler_id"], request["worker_id"]) == ("h", 12)
    assert (request["prod_source_label"], request["disk_space"]) == ("test", 123)
    assert (request["job_type"], request["resource_type"]) == ("managed", "MCORE")
    assert type(request["memory"]) is int
    assert request["memory"] > 0
    assert "remaining_time" not in request


def test_cases_20_21_label_of_a_release_candidate_and_a_worker_without_number(sandbox, run):
    run.start("-i", "RC", "-j", "ptest", environment={"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "x"})
    assert run.wait_exit() == 0, run.story()
    (request,) = requests_of(sandbox)
    assert request["prod_source_label"] == "ptest"
    assert "worker_id" not in request


@pytest.mark.parametrize(("kind", "code"), [("hpc", 82), ("GRID", 0)])
def test_case_15_no_jobs_five_times(sandbox, run, kind, code):
    sandbox.set_queue(resource_type=kind)
    run.start("-x", "5", "-v", "10", getjob_pause_s=0.02)
    assert run.wait_exit() == code, run.story()
    assert len(requests_of(sandbox)) == 5


def test_the_default_is_two_requests(sandbox, run):
    run.start("-x", "5", getjob_pause_s=0.02)
    assert run.wait_exit() == 0, run.story()
    assert len(requests_of(sandbox)) == 2


@pytest.mark.parametrize(
    "kind", ["timed_out", "http_500", "http_503", "drop_before", "garbage", "truncated", "empty", "wrong_types"]
)
def test_case_16_a_request_that_failed_is_made_again(sandbox, run, kind):
    sandbox.fault("acquire_jobs", kind, times=2)
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    if kind in ("truncated", "wrong_types"):
        # The server's work was done: that job is lost to this pilot, as its answer was.
        sandbox.make_jobs(2, transform="quick.sh")
    run.start("-x", "5", "-v", "5", getjob_pause_s=0.02)
    assert run.wait_exit() == 0, run.story()
    finished = [job for job in sandbox.jobs() if job["state"] == "finished"]
    assert len(finished) == 1
    if len(sandbox.jobs()) == 1:
        run.assert_final(job_id, "finished", 0)
    assert len(requests_of(sandbox)) == 3


def test_cases_22_23_a_floor_of_an_hour_brings_further_jobs_of_the_same_task(sandbox, run):
    sandbox.set_queue(timefloor=60)
    ids = sandbox.make_jobs(2, transform="quick.sh", fields={"taskID": 4711})
    run.start("-x", "1", "-v", "9")
    assert run.wait_exit() == 0, run.story()
    for job_id in ids:
        run.assert_final(job_id, "finished", 0)
    assert [request.get("task_id") for request in requests_of(sandbox)] == [None, 4711, 4711]


def test_case_22_a_floor_of_0_is_one_job(sandbox, run):
    sandbox.make_jobs(2, transform="quick.sh")
    run.start("--allow-same-user", "False")
    assert run.wait_exit() == 0, run.story()
    assert len(requests_of(sandbox)) == 1


def test_a_drain_file_lets_the_job_end_and_takes_no_other(sandbox, run):
    sandbox.set_queue(timefloor=60)
    first, second = sandbox.make_jobs(2, payload={"until": str(run.payload_end)})
    run.start("-x", "1", "-v", "9")
    run.wait_call("update_job", job_id=first, job_status="running")
    (run.home / "pilot_drain").touch()
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(first, "finished", 0)
    assert sandbox.job(second)["state"] == "activated"
    assert "pilot_drain" in run.log()


def test_a_drain_file_in_the_pilots_home_counts_as_well(sandbox, run):
    sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
    sandbox.set_queue(timefloor=60)
    run.start("-x", "1", "-v", "9")
    run.wait_call("update_job", job_status="running")
    (main,) = run.main_dirs()
    (main / "pilot_drain").touch()
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    assert len(requests_of(sandbox)) == 1


def test_a_high_load_counts_as_no_answer(sandbox, run):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    high = {"PILOT_ENABLE_DELAY_TO_GET_JOB": "true", "PILOT_LOAD_FACTOR": "0"}
    assert os.getloadavg()[0] > 0
    run.start("-x", "2", "-v", "9", environment=high, getjob_pause_s=0.05)
    assert run.wait_exit() == 0, run.story()
    assert not requests_of(sandbox)
    assert run.log().count("the load of") >= 2
    low = {"PILOT_ENABLE_DELAY_TO_GET_JOB": "true", "PILOT_LOAD_FACTOR": "1000"}
    run.start(environment=low)
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)


def _config(run, text):
    path = run.home / "pilot.cfg"
    path.write_text(text)
    return {"HARVESTER_PILOT_CONFIG": str(path)}


@pytest.mark.parametrize("kind", ["production", "user"])
@pytest.mark.parametrize("command", ["normal", "sleep"])
def test_the_built_in_job(sandbox, run, kind, command):
    text = f"[Pilot]\npandajob = fake\ntestjobtype = {kind}\ntestjobcommand = {command}\n"
    run.start(environment=_config(run, text))
    assert run.wait_exit() == 0, run.story()
    report = json.loads((run.home / "report.json").read_text())
    assert (report["job_status"], report["final"], report["pilot_error_code"]) == ("finished", True, 0)
    files = json.loads(report["last_update"]["job_output_report"])
    assert len(files) == (2 if command == "normal" else 0)
    assert not requests_of(sandbox)
    assert not sandbox.record("update_job")


def test_the_end_of_the_pilots_life_is_1213_and_81(sandbox, run):
    """The queue's maxtime counts from the pilot's start: the second job gets what the first one left."""
    sandbox.set_queue(timefloor=60, maxtime=8)
    (first,) = sandbox.make_jobs(1, payload={"sleep": 2})
    (second,) = sandbox.make_jobs(1, payload={"sleep": 600})
    run.start("-x", "1", "-v", "9", getjob_time_left_s=0)
    assert run.wait_exit() == 81, run.story()
    run.assert_final(first, "finished", 0)
    job = run.assert_final(second, "failed", 1213)
    assert json.loads(job["final"]["job_output_report"])
    run.assert_clean()


def test_a_job_that_was_given_too_little_time_fails_with_1213_and_the_pilot_goes_on(sandbox, run):
    sandbox.set_queue(timefloor=60, params={"job_maxwalltime": True})
    (slow,) = sandbox.make_jobs(1, payload={"sleep": 600}, fields={"maxWalltime": 1})
    (next_one,) = sandbox.make_jobs(1, transform="quick.sh")
    run.start("-x", "1", "-v", "9")
    assert run.wait_exit() == 0, run.story()
    run.assert_final(slow, "failed", 1213)
    run.assert_final(next_one, "finished", 0)


@pytest.mark.parametrize("role", ["reporter", "supervisor"])
def test_pauses_and_counters_survive_a_death(sandbox, run, role):
    run.start("-x", "3", "-v", "9", getjob_pause_s=0.6)
    wait_until(lambda: requests_of(sandbox), 15, "no request")
    run.kill(role)
    assert run.wait_exit() == 0, run.story()
    assert 3 <= len(requests_of(sandbox)) <= 4
