"""The v1 dialect without a server (panda-protocol 1.3-1.7, 12; conformance cases in the names)."""

import gzip
import json
import re

import pytest

from ipc.results import JobAcquired, NoJob, UpdateAnswered
from settings.settings import VERSION, Settings
from workers.reporter.dialect_v1 import post, read_job, read_update
from workers.reporter.exchange import Answer, Failure, Lost

SETTINGS = Settings(queue="Q", url="host", port=1234, python="3.11.7", platform="Linux x86_64")


def said(value, status=200, **more):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Answer(status=status, body=body, **more)


def test_case_1_headers_are_exact():
    request = post(SETTINGS, "pilot/acquire_jobs", "{}")
    assert dict(request.headers) == {
        "User-Agent": f"pilot/{VERSION} (Python 3.11.7; Linux x86_64)",
        "Content-Type": "application/json",
        "Accept": "application/json",
        "Content-Encoding": "gzip",
    }
    assert re.match(r"^pilot/\S+ \(Python [0-9.]+; \S+ \S+\)$", dict(request.headers)["User-Agent"])
    assert (request.method, request.url) == ("POST", "https://host:1234/api/v1/pilot/acquire_jobs")
    assert request.authenticated


def test_case_2_gzip_and_plain():
    arguments = json.dumps({"node": "straße", "memory": 7})
    assert json.loads(gzip.decompress(post(SETTINGS, "x", arguments).body)) == json.loads(arguments)
    plain = post(SETTINGS, "x", arguments, compress=False)
    assert "Content-Encoding" not in dict(plain.headers)
    assert json.loads(plain.body) == json.loads(arguments)


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("update_job", "/api/v1/pilot/update_job"),
        ("pilot/update_worker_status", "/api/v1/pilot/update_worker_status"),
        ("job/set_debug_mode", "/api/v1/job/set_debug_mode"),
    ],
)
def test_path_of_a_call(call, path):
    assert post(SETTINGS, call, "{}").url == f"https://host:1234{path}"


@pytest.mark.parametrize("call", ["", "../creds/get_proxy", "a/b/c", "x?y", "http://other/x", "Update Job"])
def test_call_must_be_a_name(call):
    with pytest.raises(ValueError, match="not a call"):
        post(SETTINGS, call, "{}")


def test_case_14_job_is_taken():
    jobs = [{"StatusCode": 0, "PandaID": 5, "jobPars": "ä\ud800"}, {"PandaID": 6}]
    outcome = read_job(said({"success": True, "message": "", "data": {"StatusCode": 0, "jobs": jobs}}))
    assert isinstance(outcome, JobAcquired)
    assert json.loads(outcome.definition) == jobs[0]
    assert outcome.definition.isascii()


def test_case_15_no_jobs():
    outcome = read_job(said({"success": False, "message": "No jobs in PanDA", "data": None}))
    assert outcome == NoJob(reason="No jobs in PanDA")
    assert isinstance(read_job(said({"success": True, "message": "", "data": {"StatusCode": 20}})), NoJob)
    assert isinstance(read_job(said({"success": True, "message": "", "data": {"StatusCode": 0, "jobs": []}})), NoJob)


def test_case_16_timed_out_is_a_failure_to_retry():
    outcome = read_job(said({"success": False, "message": "Timed out", "data": None}))
    assert isinstance(outcome, Failure)
    assert outcome.retry


@pytest.mark.parametrize("code", [10, 20, 30])
def test_case_17_a_status_code_that_may_pass_is_an_answer_without_a_job(code):
    outcome = read_job(said({"success": True, "message": "database timeout", "data": {"StatusCode": code}}))
    assert isinstance(outcome, NoJob)
    assert "database timeout" in outcome.reason


def test_case_17_a_role_that_is_missing_stays_missing():
    outcome = read_job(said({"success": False, "message": "no pilot role", "data": {"StatusCode": 60}}))
    assert isinstance(outcome, Failure)
    assert not outcome.retry


def test_case_18_status_code_as_text():
    data = {"StatusCode": "0", "jobs": [{"PandaID": 5}]}
    assert isinstance(read_job(said({"success": True, "message": "", "data": data})), JobAcquired)


@pytest.mark.parametrize("code", [10, "10", 30])
def test_case_44_status_code_10_is_not_stored_and_retried(code):
    outcome = read_update(said({"success": True, "message": "Timed out", "data": {"StatusCode": code}}))
    assert isinstance(outcome, Failure)
    assert outcome.retry


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "text",
        {"jobs": None},
        {"jobs": {}},
        {"jobs": [[]]},
        {"jobs": ["x"]},
        {"StatusCode": "zero"},
        {"StatusCode": True},
    ],
)
def test_answer_with_wrong_types_is_a_failure_to_retry(data):
    outcome = read_job(said({"success": True, "message": "", "data": data}))
    assert isinstance(outcome, Failure)
    assert outcome.retry


def test_job_nested_too_deeply():
    job = b'{"a":' * 150 + b"1" + b"}" * 150
    outcome = read_job(said(b'{"success": true, "message": "", "data": {"jobs": [' + job + b"]}}"))
    assert isinstance(outcome, Failure)
    assert "deep" in outcome.text


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("NULL", ""),
        (None, ""),
        ("null", ""),
        (7, ""),
        ("x" * 5000, ""),
        ("tobekilled", "tobekilled"),
        ("debug,tobekilled", "debug,tobekilled"),
    ],
)
def test_case_48_to_50_command_inside_data(command, told):
    outcome = read_update(said({"success": True, "message": "", "data": {"StatusCode": 0, "command": command}}))
    assert outcome == UpdateAnswered(stored=True, command=told)


def test_case_50_command_absent_and_command_outside_data():
    assert read_update(said({"success": True, "message": "", "data": {"StatusCode": 0}})).command == ""
    assert read_update(said({"success": True, "message": "", "data": None})).stored
    assert read_update(said({"success": True, "message": "", "data": {}, "command": "tobekilled"})).command == ""


@pytest.mark.parametrize("command", ["alreadydone", "badattemptnr"])
def test_update_that_is_no_longer_wanted_counts_as_stored(command):
    outcome = read_update(said({"success": True, "message": "", "data": {"StatusCode": 0, "command": command}}))
    assert outcome == UpdateAnswered(stored=True, command=command)


@pytest.mark.parametrize(
    ("envelope", "retry"),
    [
        ({"success": True, "message": "Timed out", "data": {"StatusCode": 10}}, True),  # case 44
        ({"success": True, "message": "Database error", "data": {"StatusCode": 30}}, True),
        ({"success": False, "message": "Invalid job status: stagein", "data": {"StatusCode": 50}}, False),
        ({"success": True, "message": "", "data": {"StatusCode": 60}}, False),
        ({"success": True, "message": "", "data": {"StatusCode": "70"}}, False),
        ({"success": False, "message": "Argument error: missing job_id", "data": None}, False),
        ({"success": False, "message": "Type error: 'memory' must be of type int, got str.", "data": None}, False),
        ({"success": False, "message": "production or pilot role required", "data": None}, False),
        (
            {"success": False, "message": "no production/pilot role in VOMS FQANs or non pilot owner", "data": None},
            False,
        ),
        ({"success": False, "message": "SSL secure connection is required", "data": None}, False),
        ({"success": False, "message": "expecting POST, received GET", "data": None}, False),
        ({"success": False, "message": "something new in the controller", "data": None}, True),
        ({"success": False, "message": None, "data": None}, True),
        ({"success": "yes", "message": "", "data": None}, True),
        ({"message": ""}, True),
        ([], True),
        ("text", True),
    ],
)
def test_refusals(envelope, retry):
    outcome = read_update(said(envelope))
    assert isinstance(outcome, Failure)
    assert outcome.retry is retry
    assert outcome.code == 1318


@pytest.mark.parametrize(
    ("status", "retry"),
    [
        (500, True),
        (502, True),
        (503, True),
        (429, True),
        (404, True),
        (403, False),
        (400, False),
        (401, False),
        (413, False),
    ],
)
def test_http_status(status, retry):
    outcome = read_update(said(b"ERROR : something", status=status))
    assert isinstance(outcome, Failure)
    assert outcome.retry is retry
    assert str(status) in outcome.text


def test_case_11_no_token_in_the_text():
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl"
    for status, text in (
        (403, f"ERROR : Token authentication failed. {token}"),
        (403, f"Authorization: Bearer {token}"),
    ):
        outcome = read_update(said(text.encode(), status=status))
        assert isinstance(outcome, Failure)
        assert not outcome.retry
        assert "canary" not in outcome.text
        assert "eyJ" not in outcome.text
    outcome = read_update(said({"success": False, "message": f"bad token={token}", "data": None}))
    assert "eyJ" not in outcome.text


def test_redirect_names_the_target_without_its_query():
    outcome = read_update(said(b"", status=302, location="http://other/x?token=canary"))
    assert isinstance(outcome, Failure)
    assert "http://other/x" in outcome.text
    assert "canary" not in outcome.text


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", "empty"),
        (b"  \n", "empty"),
        (b"<html><body>Bad gateway", "HTML"),
        (b'{"success": tr', "no valid JSON"),
        (b'{"success": true, "message": "\xff"}', "no valid JSON"),
        (b'{"success": NaN}', "NaN"),
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"9" * 10_000, "no valid JSON"),
        (b"StatusCode=0&command=NULL", "no valid JSON"),
        (b"\x00" * 50, "no valid JSON"),
    ],
)
def test_garbage_is_a_failure_to_retry(body, named):
    for read in (read_update, read_job):
        outcome = read(Answer(body=body))
        assert isinstance(outcome, Failure)
        assert outcome.retry
        assert named in outcome.text
        assert len(outcome.text) < 500


def test_lost_answer_is_unknown_and_retried():
    assert read_update(Lost(text="gone")) == Failure(text="gone", retry=True)
    assert read_job(Lost(text="no token", code=1163)) == Failure(text="no token", code=1163, retry=True)


def test_text_in_latin_1_is_refused_not_crashed_on():
    assert isinstance(read_update(Answer(body='{"success": true, "message": "é"}'.encode("latin-1"))), Failure)


def test_case_9_utf_16_and_bom_are_read_whatever_the_header_says():
    text = '{"success": true, "message": "é", "data": {"StatusCode": 0}}'
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        assert read_update(Answer(body=text.encode(encoding))).stored
