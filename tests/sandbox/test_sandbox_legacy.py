"""The embedded server in the legacy dialect: as strict as the real one (panda-protocol.md 1.3 to 1.7)."""

import gzip
import json
from urllib.parse import parse_qs, urlencode

import pytest

from sandbox.client import Sandbox

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
BODIES = {
    "getJob": {"siteName": "SANDBOX"},
    "updateJob": {"jobId": "1", "state": "running"},
    "getStatus": {"ids": "1 2"},
    "updateWorkerPilotStatus": {"workerID": 1, "harvesterID": "h", "status": "started"},
    "getKeyPair": {"publicKeyName": "sandbox.pub", "privateKeyName": "sandbox.priv"},
}
METHODS = pytest.mark.parametrize("method", list(BODIES))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "both") as sandbox:
        yield sandbox


def send(pilot, method, body, headers=JSON):
    return pilot.ask("POST", f"/server/panda/{method}", gzip.compress(json.dumps(body).encode()), headers)


@METHODS
def test_json_has_to_be_gzip(pilot, method):
    assert send(pilot, method, BODIES[method]).status == 200
    assert pilot.ask("POST", f"/server/panda/{method}", json.dumps(BODIES[method]), JSON).status == 500


@METHODS
def test_unknown_argument_is_a_500(pilot, method):
    reply = send(pilot, method, {**BODIES[method], "gpu": 1})
    assert reply.status == 500
    assert "unexpected keyword argument 'gpu'" in reply.text


@METHODS
def test_missing_argument_is_a_500(pilot, method):
    assert send(pilot, method, {}).status == 500


@METHODS
def test_a_form_is_taken_and_answered_in_pairs(pilot, method):
    reply = pilot.ask("POST", f"/server/panda/{method}", urlencode(BODIES[method]), FORM)
    assert (reply.status, reply.content_type) == (200, "text/plain")
    assert "StatusCode" in parse_qs(reply.text)


def test_answers_are_json_only_when_accepted(pilot):
    reply = send(pilot, "getJob", BODIES["getJob"])
    assert reply.content_type == "application/json"
    assert reply.json == {"StatusCode": 20, "errorDialog": "no jobs in PanDA"}
    assert send(pilot, "getJob", BODIES["getJob"], {"Content-Type": "application/json"}).text == "StatusCode=20"


def test_get_status_is_never_json(server, pilot):
    (job_id,) = server.make_jobs(1)
    reply = send(pilot, "getStatus", {"ids": f"{job_id} 1"})
    assert reply.text == "StatusCode=0&status=activated%2Bnotfound&attemptNr=1%2B0"


def test_a_job_and_its_final_update(server, pilot, report_of):
    (job_id,) = server.make_jobs(1)
    job = send(pilot, "getJob", BODIES["getJob"]).json
    assert (job["StatusCode"], job["PandaID"]) == (0, job_id)
    final = {"jobId": str(job_id), "state": "finished", "attemptNr": 1, "xml": report_of(server.job(job_id))}
    assert send(pilot, "updateJob", final).json == {"StatusCode": 0, "command": "NULL"}
    assert server.job(job_id)["state"] == "finished"
    assert server.record("updateJob")[-1]["verdict"]["status"] == "finished"
    assert send(pilot, "updateJob", final).json["command"] == "alreadydone"


def test_an_unknown_state_is_answered_as_if_it_were_stored(server, pilot):
    (job_id,) = server.make_jobs(1)
    assert send(pilot, "updateJob", {"jobId": job_id, "state": "stagein"}).json == {"StatusCode": 0}
    assert server.job(job_id)["updates_accepted"] == 0


def test_list_of_jobs_when_a_number_is_given(server, pilot):
    server.make_jobs(2)
    assert len(send(pilot, "getJob", {**BODIES["getJob"], "nJobs": 2}).json["jobs"]) == 2


def test_a_number_that_is_none_is_a_500(server, pilot):
    (job_id,) = server.make_jobs(1)
    assert send(pilot, "updateJob", {"jobId": job_id, "state": "running", "attemptNr": "x"}).status == 500


def test_legacy_only_server_does_not_find_v1(tmp_path, pilot_of):
    with Sandbox(tmp_path, "--dialects", "legacy") as sandbox:
        pilot = pilot_of(sandbox)
        assert pilot.post("acquire_jobs", site_name="SANDBOX").status == 404
        assert send(pilot, "getJob", BODIES["getJob"]).status == 200


def test_the_debug_switch_answers_a_bare_text(pilot):
    reply = send(pilot, "setDebugMode", {"pandaID": 1, "modeOn": "True"})
    assert (reply.status, reply.text) == (200, "Not found")
    assert send(pilot, "setDebugMode", {"pandaID": 1}).status == 500


def test_a_proxy_is_under_its_legacy_name(pilot):
    reply = send(pilot, "getProxy", {"role": "r"})
    assert json.loads(reply.text) == {"StatusCode": 0, "userProxy": "proxy of sandbox, role r\n"}
    assert send(pilot, "getProxy", {"voms": "r"}).status == 500
