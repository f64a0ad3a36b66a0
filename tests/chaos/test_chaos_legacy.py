"""A real pilot and a server of the legacy dialect: a whole job, told to speak it or by itself, whatever goes wrong."""

import pytest
from pilotrun import PilotRun, as_new, report_of

from sandbox.client import Sandbox
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

_BEFORE = ("http_500", "http_503", "drop_before", "garbage", "empty", "timed_out")
_AFTER = ("http_500_after", "drop_after", "truncated", "cut")
_CALLS = ("acquire_jobs", "getJob", "update_job", "updateJob")


@pytest.fixture(scope="module", params=["both", "legacy"])
def old_server(tmp_path_factory, request):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", request.param) as running:
        yield running


@pytest.fixture(scope="module")
def legacy_server(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "legacy") as running:
        yield running


def pilot_at(server):
    return PilotRun(as_new(server))


@pytest.fixture
def old_pilot(old_server, _adopts):
    with pilot_at(old_server) as run:
        yield run


@pytest.fixture
def legacy_pilot(legacy_server, _adopts):
    with pilot_at(legacy_server) as run:
        yield run


def calls_of(pilot):
    return [entry["call"] for entry in pilot.sandbox.record() if entry["call"] in _CALLS]


def finishes(pilot, job_id):
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "finished", 0)
    assert set(report_of(job)) == set(job["definition"]["outFiles"].split(","))
    pilot.assert_clean()
    return job


def a_job(pilot):
    return pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]


def test_a_whole_job_in_the_legacy_dialect(old_pilot):
    job_id = a_job(old_pilot)
    old_pilot.start("--server-api", "legacy", environment={"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"})
    finishes(old_pilot, job_id)
    assert set(calls_of(old_pilot)) == {"getJob", "updateJob"}
    updates = [entry["body"] for entry in old_pilot.sandbox.record("updateJob")]
    assert (updates[0]["state"], updates[-1]["state"]) == ("starting", "finished")
    assert all({"jobId", "timestamp", "xml", "metaData", "attemptNr"} <= set(body) for body in updates)
    words = [entry["body"] for entry in old_pilot.sandbox.record("updateWorkerPilotStatus")]
    assert [word["status"] for word in words] == ["started", "finished"]
    assert words[0]["site"] == "SANDBOX"


def test_a_pilot_finds_out_that_the_server_is_old(legacy_pilot):
    job_id = a_job(legacy_pilot)
    legacy_pilot.start()
    finishes(legacy_pilot, job_id)
    calls = calls_of(legacy_pilot)
    assert calls[:2] == ["acquire_jobs", "getJob"]
    assert set(calls[2:]) == {"updateJob"}
    assert legacy_pilot.log().count("the legacy API is spoken") == 1


def hold_payload(pilot, *options):
    """Start a pilot and return its job once the payload runs, until `payload_end` is touched."""
    payload = {"until": str(pilot.payload_end)}
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000], payload=payload)[0]
    pilot.start(*options)
    pilot.wait_log("starting -> running")
    return job_id


def test_workers_as_threads_find_it_out_too(legacy_pilot):
    job_id = a_job(legacy_pilot)
    legacy_pilot.start("--isolation", "thread")
    finishes(legacy_pilot, job_id)
    assert set(calls_of(legacy_pilot)[2:]) == {"updateJob"}


def test_a_job_handed_out_by_legacy_outlives_the_supervisor(legacy_pilot):
    job_id = hold_payload(legacy_pilot, "--server-api", "legacy")
    old = legacy_pilot.kill("supervisor")
    legacy_pilot.wait_replaced("supervisor", old)
    legacy_pilot.payload_end.touch()
    finishes(legacy_pilot, job_id)
    assert calls_of(legacy_pilot).count("getJob") == 1


def test_a_reporter_that_died_finds_out_anew(legacy_pilot):
    job_id = hold_payload(legacy_pilot)
    legacy_pilot.wait_call("updateJob", state="running")
    before = len(calls_of(legacy_pilot))
    legacy_pilot.wait_gone(legacy_pilot.kill("reporter"))
    legacy_pilot.payload_end.touch()
    finishes(legacy_pilot, job_id)
    assert calls_of(legacy_pilot)[before : before + 2] == ["update_job", "updateJob"]
    assert calls_of(legacy_pilot)[before:].count("update_job") == 1


def test_case_54_a_killed_job_in_the_legacy_dialect(old_pilot):
    job_id = old_pilot.sandbox.make_jobs(1, outputs=[3000], payload={"until": str(old_pilot.payload_end)})[0]
    old_pilot.sandbox.command(job_id, "debug,tobekilled")
    old_pilot.start("--server-api", "legacy")
    assert old_pilot.wait_exit() == 0, old_pilot.story()
    job = old_pilot.assert_final(job_id, "cancelled", 1144)
    assert set(report_of(job)) == {job["definition"]["logFile"]}
    old_pilot.assert_clean()


def test_case_54_debug_commands_in_the_legacy_dialect(legacy_pilot):
    """The effects of the cases 50 to 52: nothing at first, then a tail, then none any more."""
    (legacy_pilot.home / "pilot.cfg").write_text("[Pilot]\nheartbeat: 0.4\ndebug_heartbeat: 0.4\n")
    payload = {"until": str(legacy_pilot.payload_end), "stdout_lines": 30}
    job_id = legacy_pilot.sandbox.make_jobs(1, payload=payload)[0]
    legacy_pilot.start(
        "--server-api", "legacy", environment={"HARVESTER_PILOT_CONFIG": str(legacy_pilot.home / "pilot.cfg")}
    )
    shown = lambda: [entry["body"].get("stdout") for entry in legacy_pilot.sandbox.record("updateJob")]  # noqa: E731
    legacy_pilot.wait_call("updateJob", state="running")
    wait_until(lambda: len(shown()) > 3, 15, "no heartbeats")
    assert not any(shown())
    legacy_pilot.sandbox.command(job_id, "debug,tail payload.stdout")
    wait_until(lambda: any(shown()), 15, "no tail")
    text = next(filter(None, shown()))
    assert text.startswith("payload.stdout\n")
    assert text.endswith("line 29")
    assert len(text) <= 2048
    legacy_pilot.sandbox.command(job_id, "debugoff")
    legacy_pilot.wait_log("debug mode off")
    before = len(shown())
    wait_until(lambda: len(shown()) > before + 2, 15, "no heartbeats")
    assert not any(shown()[before + 1 :])
    legacy_pilot.payload_end.touch()
    finishes(legacy_pilot, job_id)


@pytest.mark.parametrize("kind", ["http_403", *_BEFORE, *_AFTER])
def test_wrong_answers_to_updates_cost_a_retry(legacy_pilot, kind):
    legacy_pilot.sandbox.fault("updateJob", kind, only_final=True, times=2)
    legacy_pilot.sandbox.fault("updateJob", kind, times=1)
    legacy_pilot.sandbox.fault("updateWorkerPilotStatus", kind, times=1)
    job_id = a_job(legacy_pilot)
    legacy_pilot.start("--server-api", "legacy", environment={"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"})
    finishes(legacy_pilot, job_id)


@pytest.mark.parametrize("kind", _BEFORE)
@pytest.mark.parametrize("options", [("--server-api", "legacy"), ()], ids=["told", "by-itself"])
def test_wrong_answers_to_the_job_request_cost_a_request(legacy_pilot, kind, options):
    legacy_pilot.sandbox.fault("getJob", kind)
    job_id = a_job(legacy_pilot)
    legacy_pilot.start("-x", "3", "-v", "3", *options)
    finishes(legacy_pilot, job_id)


def test_a_legacy_server_away_at_the_end_gets_the_final_update_once(legacy_pilot):
    job_id = hold_payload(legacy_pilot)
    legacy_pilot.sandbox.down(3)
    legacy_pilot.payload_end.touch()
    legacy_pilot.wait_log("not delivered")
    finishes(legacy_pilot, job_id)
    assert legacy_pilot.sandbox.job(job_id)["finals_rejected"] == 0
