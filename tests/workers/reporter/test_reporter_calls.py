"""Calls beside request and update, carried to the embedded server (conformance cases 12, 13 and 63) and read alone."""

import json
import time
from urllib.parse import urlencode

import pytest
from reporter_rig import settings_for

from ipc.results import UpdateAnswered
from sandbox.client import Sandbox
from workers.reporter import calls_credentials, calls_events, calls_jobs
from workers.reporter.calls_events import EventReport
from workers.reporter.calls_jobs import JobStatus, ResourceType
from workers.reporter.carrier import Carrier
from workers.reporter.exchange import Answer, Failure, Lost


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "both") as server:
        yield server


@pytest.fixture
def server(sandbox):
    sandbox.reset()
    return sandbox


@pytest.fixture
def settings(server, tmp_path):
    return settings_for(server.url, tmp_path)


@pytest.fixture
def carry(settings):
    carrier = Carrier(settings, {})
    yield lambda call: call.read(carrier.perform(call.request, time.monotonic() + 5))
    carrier.close()


@pytest.fixture
def job_id(server):
    (job_id,) = server.make_jobs(1)
    return job_id


def started(job_id, carry, settings):
    update = [{"job_id": job_id, "job_status": "running", "attempt_nr": 1}]
    assert carry(calls_jobs.update_jobs_bulk(settings, update, "h")) == (UpdateAnswered(stored=True),)


def as_json(value) -> Answer:
    return Answer(body=json.dumps(value).encode())


# ---------------------------------------------------------------- jobs
@pytest.mark.parametrize("dialect", ["v1", "legacy"])
def test_job_status_in_both_dialects(settings, carry, job_id, dialect):
    assert carry(calls_jobs.get_job_status(settings, (job_id, 1), dialect=dialect)) == (
        JobStatus(job_id=job_id, status="activated", attempt_nr=1),
        JobStatus(job_id=1, status="", attempt_nr=0),
    )


def test_case_12_bulk_update_tells_of_each_job(settings, carry, job_id):
    good = {"job_id": job_id, "job_status": "running", "attempt_nr": 1}
    wrong = {"job_id": job_id, "job_status": "stagein", "attempt_nr": 1}
    unknown = {**good, "gpu": 1}
    stored, refused = carry(calls_jobs.update_jobs_bulk(settings, (good, wrong), "h"))
    assert stored == UpdateAnswered(stored=True)
    assert isinstance(refused, Failure)
    assert isinstance(carry(calls_jobs.update_jobs_bulk(settings, (good, unknown), "h")), Failure)


def test_bulk_update_in_legacy(settings):
    call = calls_jobs.update_jobs_bulk(settings, [{"job_id": 1, "job_status": "running"}], "h", dialect="legacy")
    assert call.request.url.endswith("/server/panda/updateJobsInBulk")
    answer = [True, [{"StatusCode": 0, "command": "NULL"}, {"StatusCode": 30}]]
    stored, failed = call.read(as_json(answer))
    assert stored == UpdateAnswered(stored=True)
    assert isinstance(failed, Failure)
    wrapped = [{"type": "json", "content": '{"StatusCode": 0, "command": "tobekilled"}'}, "StatusCode=0&command=NULL"]
    killed, plain = call.read(as_json([True, wrapped]))
    assert (killed.command, plain.command) == ("tobekilled", "")
    for answer in ([False, "broken"], [], [1, 2], {"a": 1}, [True, "x"]):
        assert isinstance(call.read(as_json(answer)), Failure)


def test_resource_types(settings, carry):
    found = carry(calls_jobs.get_resource_types(settings))
    first = ResourceType(name="SCORE", min_cores=1, max_cores=1, min_mb_per_core=0, max_mb_per_core=2000)
    assert found[0] == first
    assert found[1].max_mb_per_core is None


def test_resource_types_in_legacy_as_python_text(settings):
    call = calls_jobs.get_resource_types(settings, dialect="legacy")
    text = "[{'resource_name': 'SCORE', 'mincore': 1, 'maxcore': None}]"
    body = urlencode({"StatusCode": 0, "ResourceTypes": text}).encode()
    assert call.read(Answer(body=body)) == (ResourceType(name="SCORE", min_cores=1),)


def test_debug_mode_is_judged_by_the_message(settings, carry, job_id):
    assert carry(calls_jobs.set_debug_mode(settings, job_id, on=True)) is True
    assert isinstance(carry(calls_jobs.set_debug_mode(settings, 1, on=True)), Failure)
    legacy = calls_jobs.set_debug_mode(settings, job_id, on=False, dialect="legacy")
    assert legacy.read(Answer(body=b"Succeeded")) is True
    assert isinstance(legacy.read(Answer(body=b"Not found")), Failure)


# ---------------------------------------------------------------- events
def test_case_13_event_ranges_until_there_are_none(settings, carry, job_id):
    started(job_id, carry, settings)
    ids = {"job_id": job_id, "jobset_id": 2, "task_id": 3}
    assert carry(calls_events.get_range_count(settings, **ids)) == 8
    first = carry(calls_events.acquire_ranges(settings, **ids, n_ranges=5))
    second = carry(calls_events.acquire_ranges(settings, **ids, n_ranges=5))
    assert (len(first), len(second)) == (5, 3)
    assert carry(calls_events.acquire_ranges(settings, **ids, n_ranges=5)) == ()


def test_case_63_a_report_that_ends_in_500_is_not_a_failure(server, settings, carry, job_id):
    started(job_id, carry, settings)
    ids = {"job_id": job_id, "jobset_id": 2, "task_id": 3}
    (event, *_) = carry(calls_events.acquire_ranges(settings, **ids, n_ranges=2))
    report = [{"eventRangeID": event["eventRangeID"], "eventStatus": "finished"}]
    assert carry(calls_events.update_ranges(settings, report)) == EventReport(certain=False, commands={})
    assert len(server.record("update_event_ranges")) == 1
    assert isinstance(server.record("update_event_ranges")[0]["body"]["event_ranges"], str)
    states = carry(calls_events.get_range_statuses(settings, {job_id: 3}))
    assert states[str(job_id)][event["eventRangeID"]]["status"] == "finished"
    (query,) = server.record("get_event_range_statuses")
    assert "panda_id" in str(query), "the server reads this, although its description says job_id"


def test_an_unknown_argument_of_an_event_report_is_a_failure(settings):
    call = calls_events.update_ranges(settings, [])
    body = b"update_event_ranges() got an unexpected keyword argument 'x'"
    assert isinstance(call.read(Answer(status=500, body=body)), Failure)


@pytest.mark.parametrize("text", [True, False], ids=["json-in-json", "json"])
def test_event_calls_in_legacy(settings, text):
    pack = json.dumps if text else lambda value: value
    ranges = [{"eventRangeID": "1-2-3-4-5", "startEvent": 1}]
    acquire = calls_events.acquire_ranges(settings, job_id=1, jobset_id=2, task_id=3, n_ranges=4, dialect="legacy")
    assert acquire.request.url.endswith("/server/panda/getEventRanges")
    assert acquire.read(as_json({"StatusCode": 0, "eventRanges": pack(ranges)})) == tuple(ranges)
    report = calls_events.update_ranges(settings, ranges, dialect="legacy")
    answer = {"StatusCode": 0, "Returns": pack([True, False, None]), "Command": pack({"7": "softkill", "8": None})}
    assert report.read(as_json(answer)) == EventReport(results=(True, False, None), commands={7: "softkill"})


def test_event_ranges_in_the_form_that_harvester_expects(settings):
    acquire = calls_events.acquire_ranges(settings, job_id=1, jobset_id=2, task_id=3, n_ranges=4)
    data = {"StatusCode": 0, "eventRanges": [{"eventRangeID": "1-2-3-4-5"}]}
    assert len(acquire.read(as_json({"success": True, "data": data}))) == 1


@pytest.mark.parametrize("data", ["x", 5, [1], [{}], {"eventRanges": 5}, [{"eventRangeID": 5}]])
def test_event_ranges_that_are_none(settings, data):
    acquire = calls_events.acquire_ranges(settings, job_id=1, jobset_id=2, task_id=3, n_ranges=4)
    assert isinstance(acquire.read(as_json({"success": True, "message": "", "data": data})), Failure)


def test_too_many_ranges_are_not_sent(settings):
    with pytest.raises(ValueError, match="100001"):
        calls_events.update_ranges(settings, [{}] * 100_001)


# ---------------------------------------------------------------- credentials
def test_credentials(settings, carry):
    assert carry(calls_credentials.get_proxy(settings, "atlas", "atlpilo2")).startswith("proxy of sandbox, role atlas")
    assert carry(calls_credentials.get_token_key(settings)) == "sandbox-key"
    assert carry(calls_credentials.get_access_token(settings, "sandbox-key")) == "sandbox-token"
    pair = carry(calls_credentials.get_key_pair(settings, "sandbox.pub", "sandbox.priv"))
    assert (pair.public, pair.private) == ("sandbox-public", "sandbox-private")
    assert "sandbox-p" not in repr(pair)
    assert carry(calls_credentials.get_user_secrets(settings, ["A", "B"])) == {"A": "secret of A", "B": "secret of B"}


def test_credentials_that_are_refused(settings, carry):
    failure = carry(calls_credentials.get_access_token(settings, "wrong"))
    assert (failure.retry, "token key is invalid" in failure.text, "wrong" in failure.text) == (False, True, False)
    assert not carry(calls_credentials.get_key_pair(settings, "a", "b")).retry


@pytest.mark.parametrize(
    ("message", "retry"),
    [
        ("failed: 'Jane User' not in authorized users with 'p' in META.USERS.GRIDPREF to get proxy", False),
        ("Denied since 'Jane User' not authorized with 't' in META.USERS.GRIDPREF", False),
        ("Failed for 'Jane User' since a.pub is missing on host", False),
        ("Token key is missing for 'pilot_server'", False),
        ("'proxy' not found for Jane User", True),
    ],
)
def test_what_real_servers_say_of_credentials(settings, message, retry):
    """These refusals come without a StatusCode (releases 1.0 and 0.8.1)."""
    call = calls_credentials.get_proxy(settings, "atlas")
    assert call.read(as_json({"success": False, "message": message, "data": None})).retry is retry


def test_credentials_in_legacy(settings):
    proxy = calls_credentials.get_proxy(settings, "atlas", dialect="legacy")
    assert (proxy.request.method, proxy.request.url.rpartition("/")[2]) == ("POST", "getProxy")
    assert proxy.read(as_json({"StatusCode": 0, "userProxy": "PEM"})) == "PEM"
    assert not proxy.read(as_json({"StatusCode": 90})).retry
    token = calls_credentials.get_access_token(settings, "K", dialect="legacy")
    assert token.request.method == "GET"
    assert token.request.url.endswith("/server/panda/get_access_token?client_name=pilot_server&token_key=K")
    assert token.read(Answer(body=b"{'StatusCode': 0, 'userProxy': 'T\\n'}")) == "T"
    pair = calls_credentials.get_key_pair(settings, "a", "b", dialect="legacy")
    assert pair.read(as_json({"StatusCode": 0, "publicKey": "P", "privateKey": "Q"})).private == "Q"
    key = calls_credentials.get_token_key(settings, dialect="legacy")
    assert key.read(as_json({"StatusCode": 0, "tokenKey": "K"})) == "K"


def test_access_token_under_its_own_name(settings):
    token = calls_credentials.get_access_token(settings, "K")
    assert token.read(as_json({"success": True, "data": {"access_token": " T\n"}})) == "T"


# ---------------------------------------------------------------- faults at each call
def all_calls(settings):
    ids = {"job_id": 1, "jobset_id": 2, "task_id": 3}
    return [
        calls_jobs.get_job_status(settings, (1,)),
        calls_jobs.update_jobs_bulk(settings, [], "h"),
        calls_jobs.get_resource_types(settings),
        calls_jobs.set_debug_mode(settings, 1, on=True),
        calls_events.acquire_ranges(settings, **ids, n_ranges=1),
        calls_events.get_range_statuses(settings, {1: 3}),
        calls_events.get_range_count(settings, **ids),
        calls_credentials.get_proxy(settings, "r"),
        calls_credentials.get_access_token(settings, "k"),
        calls_credentials.get_token_key(settings),
        calls_credentials.get_key_pair(settings, "a", "b"),
        calls_credentials.get_user_secrets(settings, ["A"]),
        calls_jobs.get_job_status(settings, (1,), dialect="legacy"),
        calls_jobs.update_jobs_bulk(settings, [], "h", dialect="legacy"),
        calls_jobs.get_resource_types(settings, dialect="legacy"),
        calls_jobs.set_debug_mode(settings, 1, on=True, dialect="legacy"),
        calls_events.acquire_ranges(settings, **ids, n_ranges=1, dialect="legacy"),
        calls_events.update_ranges(settings, []),
        calls_events.update_ranges(settings, [], dialect="legacy"),
        calls_credentials.get_proxy(settings, "r", dialect="legacy"),
    ]


@pytest.mark.parametrize(
    "reply",
    [
        Lost(text="gone"),
        Answer(status=403, body=b"ERROR : Token authentication failed."),
        Answer(status=503, body=b"<html>"),
        Answer(body=b""),
        Answer(body=b"<html>"),
        Answer(body=b'{"success": true, "data'),
        Answer(body=b'{"success": "true", "data": 5}'),
        Answer(body=b'{"success": true, "message": 5, "data": "x"}'),
        Answer(body=b'{"StatusCode": [0]}'),
        Answer(body=b"[1, 2]"),
        Answer(body=b"\xff\xfe"),
        Answer(body=b"[" * 100_000),
    ],
)
def test_every_call_turns_every_bad_reply_into_a_failure(settings, reply):
    for call in all_calls(settings):
        outcome = call.read(reply)
        assert isinstance(outcome, Failure), (call.request.url, outcome)
        assert outcome.text
