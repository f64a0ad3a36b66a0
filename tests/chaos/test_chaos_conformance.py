"""Whole jobs of real pilots against the embedded server's checks, in both dialects: nothing is ever refused."""

import os
import sys
from pathlib import Path

import pytest
from pilotrun import report_of

pytestmark = pytest.mark.chaos

_IDS = {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}
_FILES = {"inputs": [2000], "outputs": [3000]}
_EVENT_JOB = {
    "transform": "fake_athenamp.py",
    "payload": {"fake_mode": "ok", "fake_event_time": 0.02},
    "fields": {"eventService": "True", "jobsetID": 5, "taskID": 41234567},
}
#: The payload that is fed with events is a script whose interpreter needs pyzmq.
_PATH = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def refusals(pilot):
    """Return the calls whose answer was no, other than that there is no job."""
    found = []
    for entry in pilot.sandbox.record():
        answer = entry["answer"] if isinstance(entry["answer"], dict) else {}
        no = answer.get("success") is False or answer.get("StatusCode", 0) not in {0, 20}
        if entry["call"] == "update_event_ranges" and entry["status"] == 500 and entry["worked"]:
            continue  # that is how the real server says yes (panda-protocol 1.4)
        if entry["status"] != 200 or (no and answer.get("message") != "No jobs in PanDA"):
            found.append((entry["call"], entry["status"], answer or entry["answer"], entry["body"]))
    return found


@pytest.mark.parametrize("dialect", ["v1", "legacy"])
@pytest.mark.parametrize(
    "recipe",
    [{"label": "managed", **_FILES}, {"label": "user", **_FILES}, _EVENT_JOB],
    ids=["production", "user", "event"],
)
def test_cases_9_12_13_and_21_nothing_is_refused_in_a_whole_job(run, dialect, recipe):
    job_id = run.sandbox.make_jobs(1, **recipe)[0]
    if recipe is _EVENT_JOB:
        run.sandbox.set_events(job_id, 4)
        run.sandbox.set_queue(zip_time_gap=1)
    run.start("--server-api", dialect, "--resource-type", "SCORE", environment={**_IDS, **_PATH})
    assert run.wait_exit(60) == 0, run.story()
    job = run.assert_final(job_id, "finished", 0, rejected=0)
    assert set(report_of(job)) == set(job["definition"]["outFiles"].split(","))
    assert refusals(run) == []
    if recipe is _EVENT_JOB:
        assert {each["state"] for each in job["events"]["ranges"].values()} == {"finished"}
    request = run.sandbox.record("acquire_jobs" if dialect == "v1" else "getJob")[0]["body"]
    assert (request["scheduler_id" if dialect == "v1" else "schedulerID"], request["worker_id"]) == ("h", 12)
    run.assert_clean()


@pytest.mark.parametrize(("dialect", "call"), [("v1", "acquire_jobs"), ("legacy", "getJob")])
def test_cases_15_17_and_21_no_job_and_a_worker_id_that_is_no_number(run, dialect, call):
    environment = {**_IDS, "HARVESTER_WORKER_ID": "x"}
    run.start("--server-api", dialect, "-x", "5", "-v", "10", environment=environment)
    assert run.wait_exit() == 0, run.story()
    requests = run.sandbox.record(call)
    assert len(requests) == 5
    assert all("worker_id" not in request["body"] for request in requests)
    assert refusals(run) == []
    run.assert_clean()


@pytest.mark.parametrize(("dialect", "call"), [("v1", "update_job"), ("legacy", "updateJob")])
def test_case_44_an_update_that_was_not_stored_is_sent_again(run, dialect, call):
    run.sandbox.fault(call, "timed_out", only_final=True, times=2)
    run.sandbox.fault(call, "timed_out", times=1)
    job_id = run.sandbox.make_jobs(1, outputs=[3000])[0]
    run.start("--server-api", dialect)
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    run.assert_clean()
