"""The duty in the legacy dialect against the embedded server: a whole talk and the faults at each call."""

import pytest
from reporter_rig import ACQUIRE, COMMUNICATION, update

from ipc.results import JobAcquired, NoJob, UpdateAnswered
from ipc.tasks import SendUpdate
from sandbox.client import Sandbox

_KINDS = {
    "http_403": False,
    "http_500": True,
    "http_503": True,
    "http_500_after": True,
    "drop_before": True,
    "drop_after": True,
    "garbage": True,
    "truncated": True,
    "cut": True,
    "empty": True,
    "timed_out": True,
    "silence": True,
}
_WORKER = '{"worker_id": 12, "harvester_id": "h", "status": "started", "node_id": "n"}'
STARTED = SendUpdate(sequence=1, call="update_worker_status", body=_WORKER)


@pytest.fixture(scope="module", params=["legacy", "both"])
def old_server(tmp_path_factory, request):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", request.param) as server:
        yield server


@pytest.fixture
def server(old_server):
    old_server.reset()
    return old_server


@pytest.fixture
def rig(server, rig_for):
    return rig_for(server.url, server_api="legacy", http_timeout_s=1.0)


def test_cases_3_and_54_a_whole_talk_in_legacy(server, rig):
    (job_id,) = server.make_jobs(1)
    assert isinstance(rig.ask("a/1/1", ACQUIRE), JobAcquired)
    assert isinstance(rig.ask("a/2/1", ACQUIRE), NoJob)
    assert rig.ask("w/1/1", STARTED) == UpdateAnswered(stored=True)
    assert rig.ask("u1/1/1", update(1, job_id, "starting")) == UpdateAnswered(stored=True)
    server.command(job_id, "tobekilled", 1)
    assert rig.ask("u2/1/1", update(2, job_id)).command == "tobekilled"
    assert rig.ask("u3/1/1", update(3, job_id, "failed", pilot_error_code=1144)).stored
    assert rig.ask("u4/1/1", update(3, job_id, "failed", pilot_error_code=1144)).command == "alreadydone"
    assert server.job(job_id)["final"]["pilot_error_code"] == 1144
    entries = server.record()
    assert {entry["path"].rpartition("/")[0] for entry in entries} == {"/server/panda"}
    for entry in entries:
        headers = entry["headers"]
        assert headers["Content-Type"] == headers["Accept"] == "application/json"
        assert "Content-Encoding" not in headers


@pytest.mark.parametrize(("kind", "retry"), list(_KINDS.items()))
@pytest.mark.parametrize("call", ["getJob", "updateJob", "updateWorkerPilotStatus"])
def test_a_fault_is_a_failure_and_the_next_call_works(server, rig, call, kind, retry):
    (job_id,) = server.make_jobs(1)
    if call != "getJob":
        rig.ask("first/1/1", ACQUIRE)
    task = {"getJob": ACQUIRE, "updateJob": update(1, job_id), "updateWorkerPilotStatus": STARTED}[call]
    server.fault(call, kind)
    outcome = rig.ask("t/1/1", task)
    if (call, kind) == ("getJob", "timed_out"):
        assert isinstance(outcome, NoJob)
    else:
        code, text, again = outcome
        assert (code, again) == (1406 if kind == "http_403" else COMMUNICATION, retry)
        assert 0 < len(text) <= 256
    before = [entry for entry in server.record(call) if entry["fault"]]
    assert len(before) == 1
    assert rig.ask("t/2/1", task)


def test_texts_where_numbers_are_expected_are_understood(server, rig):
    (job_id,) = server.make_jobs(1)
    server.fault("getJob", "wrong_types")
    assert isinstance(rig.ask("a/1/1", ACQUIRE), JobAcquired)
    server.fault("getJob", "wrong_types")
    assert isinstance(rig.ask("a/2/1", ACQUIRE), NoJob)
    server.fault("updateJob", "wrong_types")
    assert rig.ask("u/1/1", update(1, job_id)) == UpdateAnswered(stored=True)


def test_the_dialect_is_found_out_and_kept(server, rig_for):
    rig = rig_for(server.url)
    (job_id,) = server.make_jobs(1)
    assert isinstance(rig.ask("a/1/1", ACQUIRE), JobAcquired)
    assert rig.ask("u/1/1", update(1, job_id)) == UpdateAnswered(stored=True)
    calls = [entry["call"] for entry in server.record()]
    both = "acquire_jobs" in calls and "getJob" not in calls
    assert calls == (["acquire_jobs", "update_job"] if both else ["acquire_jobs", "getJob", "updateJob"])
