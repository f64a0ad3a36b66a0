"""Handing out jobs, the rules for updates, and the verdict (panda-protocol.md 3.1, 3.8, 4.1, 12)."""

import json

import pytest

from sandbox.client import SandboxError


@pytest.fixture
def job(server, pilot):
    (job_id,) = server.make_jobs(1, outputs=[1])
    pilot.post("acquire_jobs", site_name="SANDBOX", node="slot1@host")
    return job_id


def test_jobs_go_out_one_by_one(server, pilot):
    first, second, third = server.make_jobs(3)
    data = pilot.post("acquire_jobs", site_name="SANDBOX").json["data"]
    assert data["StatusCode"] == 0
    assert [entry["PandaID"] for entry in data["jobs"]] == [first]
    assert [entry["state"] for entry in server.jobs()] == ["sent", "activated", "activated"]
    two = pilot.post("acquire_jobs", site_name="SANDBOX", n_jobs=5).json["data"]["jobs"]
    assert [entry["PandaID"] for entry in two] == [second, third]
    assert pilot.post("acquire_jobs", site_name="SANDBOX").json == {
        "success": False,
        "message": "No jobs in PanDA",
        "data": None,
    }


def test_an_unknown_queue_gets_no_job(server, pilot):
    server.make_jobs(1)
    assert pilot.post("acquire_jobs", site_name="OTHER").json["message"] == "No jobs in PanDA"


def test_life_of_a_job(server, pilot, job, report_of):
    assert pilot.update(job, "starting") == "NULL"
    assert pilot.update(job, "running") == "NULL"
    report = report_of(server.job(job))
    assert pilot.update(job, "finished", job_output_report=report) == "NULL"
    state = server.job(job)
    assert (state["state"], state["verdict"]["status"], state["finals_accepted"]) == ("finished", "finished", 1)
    assert state["states"] == ["sent", "starting", "running", "finished"]
    assert server.record("update_job")[-1]["verdict"] == {"status": "finished", "reason": ""}


@pytest.mark.parametrize("first", ["finished", "failed"])
def test_the_first_final_update_counts(server, pilot, job, first, report_of):
    pilot.update(job, first, pilot_error_code=1201)
    for later in ("finished", "failed"):
        report = report_of(server.job(job))
        assert pilot.update(job, later, job_output_report=report, pilot_error_code=7) == "alreadydone"
    state = server.job(job)
    assert (state["finals_accepted"], state["finals_rejected"], state["updates_rejected"]) == (1, 2, 2)
    assert state["final"]["pilot_error_code"] == 1201
    assert state["verdict"]["status"] == "failed"


@pytest.mark.parametrize("later", ["starting", "running", "holding", "transferring"])
def test_late_updates_that_are_not_final(server, pilot, later):
    good, bad = server.make_jobs(2)
    pilot.update(good, "finished")
    pilot.update(bad, "failed")
    assert pilot.update(good, later) == "NULL"
    assert pilot.update(bad, later) == "NULL"
    assert [entry["updates_accepted"] for entry in server.jobs()] == [1, 1]


def test_wrong_attempt_and_unknown_job(server, pilot, job):
    assert pilot.update(job, "running", attempt_nr=2) == "tobekilled"
    assert pilot.update(99, "running") == "tobekilled"
    assert server.job(job)["updates_rejected"] == 1
    assert pilot.update(job, "running", attempt_nr=None) == "NULL"


def test_states_do_not_go_back(server, pilot, job):
    pilot.update(job, "running")
    pilot.update(job, "starting")
    assert server.job(job)["state"] == "running"
    pilot.update(job, "holding")
    pilot.update(job, "running")
    assert server.job(job)["state"] == "holding"
    pilot.update(job, "failed")
    assert server.job(job)["state"] == "failed"


def test_a_changed_batch_id_is_fatal_unless_one_is_a_number(server, pilot, job):
    assert pilot.update(job, "running", batch_id="a#1") == "NULL"
    assert pilot.update(job, "running", batch_id="12") == "NULL"
    assert pilot.update(job, "running", batch_id="b#1") == "NULL"
    answer = pilot.post("update_job", job_id=job, job_status="finished", attempt_nr=1, batch_id="c#1").json
    assert (answer["message"], answer["data"]) == ("Database error", {"StatusCode": 30})
    assert server.job(job)["finals_accepted"] == 0


@pytest.mark.parametrize(("old", "new", "code"), [("12.0", "13.0", 0), ("7", "8", 30)])
def test_what_the_server_takes_for_a_number_in_a_batch_id(pilot, job, old, new, code):
    """Its pattern wants two digits at least."""
    assert pilot.update(job, "running", batch_id=old) == "NULL"
    answer = pilot.post("update_job", job_id=job, job_status="running", attempt_nr=1, batch_id=new).json
    assert answer["data"]["StatusCode"] == code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pilot_error_diag", "a\0b"),
        ("job_metrics", "a=\0"),
        ("pilot_error_diag", "a\ud800b"),
        ("scheduler_id", "x" * 129),
        ("cpu_consumption_unit", "x" * 129),
        ("pilot_timing", "1" * 101),
        ("exe_error_code", 2**31),
        ("max_rss", 2**63),
        ("mean_core_count", 10**6),
    ],
)
def test_what_the_database_refuses_costs_the_whole_update(server, pilot, job, name, value):
    """Answered the same each time it is sent; measured on releases 1.0 and 0.8.1."""
    update = {"job_id": job, "job_status": "failed", "attempt_nr": 1, name: value}
    expected = {"success": True, "message": "Database error", "data": {"StatusCode": 30}}
    assert [pilot.post("update_job", **update).json for _ in range(2)] == [expected] * 2
    assert server.job(job)["finals_accepted"] == 0


def test_a_job_report_that_cannot_be_kept_costs_the_whole_update(server, pilot, job):
    answer = pilot.post("update_job", job_id=job, job_status="finished", meta_data="{}\0").json
    assert answer["message"] == "Failed to add meta_data"
    assert answer["data"] == {"StatusCode": 30, "ErrorDiag": "Failed to add meta_data"}
    assert server.job(job)["finals_accepted"] == 0


@pytest.mark.parametrize("name", ["stdout", "pilot_log"])
def test_texts_kept_apart_are_lost_without_a_word(pilot, job, name):
    assert pilot.update(job, "running", **{name: "a\0b"}) == "NULL"


def test_a_report_with_a_file_of_another_job_fails_the_job(server, pilot, job, report_of):
    report = json.loads(report_of(server.job(job)))
    report["other.root"] = next(iter(report.values()))
    pilot.update(job, "finished", job_output_report=json.dumps(report))
    assert server.job(job)["verdict"]["reason"] == "pilot produced other.root inconsistently with jobdef"


def test_commands(server, pilot, job):
    server.command(job, "debug,tail payload.stdout", times=1)
    assert pilot.update(job, "running") == "debug,tail payload.stdout"
    assert pilot.update(job, "running") == "NULL"
    server.command(job, "tobekilled")
    assert [pilot.update(job, "running") for _ in range(3)] == ["tobekilled"] * 3
    pilot.update(job, "failed", pilot_error_code=1144)
    assert server.job(job)["state"] == "cancelled"
    assert server.job(job)["final"]["pilot_error_code"] == 1144
    with pytest.raises(SandboxError, match="404"):
        server.command(1, "debug")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"guid": ""}, "no guid"),
        ({"fsize": "1"}, "fsize"),
        ({"adler32": "xyz"}, "adler32"),
        ({"adler32": None, "md5sum": "0" * 31}, "md5sum"),
    ],
)
def test_finished_with_a_bad_report_is_a_failure(server, pilot, job, report_of, changes, reason):
    assert pilot.update(job, "finished", job_output_report=report_of(server.job(job), **changes)) == "NULL"
    verdict = server.job(job)["verdict"]
    assert verdict["status"] == "failed"
    assert reason in verdict["reason"]


@pytest.mark.parametrize("report", ["", "no json", "[]", "{}"])
def test_finished_without_a_report_is_a_failure(server, pilot, job, report):
    pilot.update(job, "finished", job_output_report=report)
    assert server.job(job)["verdict"]["status"] == "failed"


def test_finished_with_md5_and_with_an_allowed_missing_output(server, pilot, report_of):
    (job_id,) = server.make_jobs(1, outputs=[1])
    state = server.job(job_id)
    output, log = state["definition"]["outFiles"].split(",")
    server.reset()
    server.add_jobs([{**state["definition"], "allowNoOutput": output}])
    report = json.loads(report_of(state, adler32=None, md5sum="0" * 32))
    pilot.update(job_id, "finished", job_output_report=json.dumps({log: report[log]}))
    assert server.job(job_id)["verdict"] == {"status": "finished", "reason": ""}


def test_get_job_status(pilot, job):
    pilot.update(job, "running")
    data = pilot.ask("GET", f"/api/v1/pilot/get_job_status?job_ids={job}&job_ids=5&timeout=60").json["data"]
    assert data == [
        {"job_id": job, "status": "running", "attempt_number": 1},
        {"job_id": 5, "status": "not found", "attempt_number": 0},
    ]


def test_the_same_job_is_not_added_twice_but_its_next_attempt_is(server):
    server.add_jobs([{"PandaID": 5, "attemptNr": 1}])
    with pytest.raises(SandboxError, match="409"):
        server.add_jobs([{"PandaID": 5, "attemptNr": 1}])
    server.add_jobs([{"PandaID": 5, "attemptNr": 2}])
    assert [entry["attempt_nr"] for entry in server.jobs()] == [2]
    with pytest.raises(SandboxError, match="400"):
        server.add_jobs([{"attemptNr": 1}])
