"""The legacy dialect without a server: names, bodies, answers in each form (conformance cases 3, 17, 18, 54)."""

import gzip
import json
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest
from reporter_rig import settings_for, update

from ipc.results import JobAcquired, NoJob, UpdateAnswered
from ipc.tasks import AcquireJob
from jobs.field_names import LEGACY_NAMES, legacy_timestamp, to_legacy, to_v1
from workers.reporter import dialect_legacy
from workers.reporter.call_names import CALLS, call_names, renamed
from workers.reporter.exchange import Answer, Failure, Lost
from workers.reporter.server_legacy import ServerLegacy

ROOT = Path(__file__).resolve().parents[3]
JOB = {"StatusCode": 0, "PandaID": 7, "jobPars": "a=b&c", "cmtConfig": ""}


def as_json(value) -> Answer:
    return Answer(body=json.dumps(value).encode())


def as_form(value) -> Answer:
    return Answer(body=urlencode(value).encode())


FORMS = pytest.mark.parametrize("form", [as_json, as_form], ids=["json", "form"])


def body_of(request):
    return json.loads(gzip.decompress(request.body))


# ---------------------------------------------------------------- names
def test_the_table_of_update_fields_is_that_of_the_specification():
    fields = json.loads((ROOT / "sandbox" / "update_fields.json").read_text())["fields"]
    assert dict(LEGACY_NAMES) == {field["v1"]: field["legacy"] for field in fields}


def test_the_tables_of_the_calls_are_those_of_the_embedded_server():
    legacy = json.loads((ROOT / "sandbox" / "legacy.json").read_text())
    v1 = json.loads((ROOT / "sandbox" / "arguments.json").read_text())
    for call in CALLS.values():
        if call.legacy in legacy and isinstance(legacy[call.legacy]["optional"], list):
            known = {*legacy[call.legacy]["required"], *legacy[call.legacy]["optional"]}
            assert set(call.names.values()) <= known, call
        if call.v1 in v1:
            assert call.http == v1[call.v1]["http"]


def test_an_update_goes_there_and_back():
    fields = {"job_id": 7, "job_status": "running", "attempt_nr": 1, "max_rss": 5, "job_output_report": ""}
    legacy = to_legacy({**fields, "gpu": 1})
    assert legacy == {"jobId": 7, "state": "running", "attemptNr": 1, "maxRSS": 5, "xml": ""}
    assert to_v1({**legacy, "jobId": "7", "timestamp": "x"}) == fields
    assert renamed(CALLS["pilot/update_job"].names, fields) == {**legacy, "jobId": "7"}


def test_flags_are_texts_and_null_is_left_out():
    names = CALLS["pilot/acquire_jobs"].names
    assert renamed(names, {"background": True, "via_topic": False, "node": None}) == {
        "background": "True",
        "viaTopic": "False",
    }


def test_an_argument_without_a_legacy_name_is_not_sent():
    with pytest.raises(ValueError, match="GPU"):
        renamed(LEGACY_NAMES, {"job_id": 1, "GPU": {}})


def test_call_names_with_and_without_module():
    assert call_names("update_job") == call_names("pilot/update_job") == CALLS["pilot/update_job"]
    assert call_names("../x") is None


def test_timestamp_has_the_offset_of_standard_time(monkeypatch):
    monkeypatch.setattr("jobs.field_names.time.timezone", 12600)
    assert legacy_timestamp(0.0).endswith("-03:30")
    monkeypatch.setattr("jobs.field_names.time.timezone", -3600)
    stamp = legacy_timestamp(0.0)
    assert stamp.endswith("+01:00")
    assert len(stamp) == len("2026-08-01T12:00:05+01:00")


# ---------------------------------------------------------------- requests
def test_case_3_legacy_body_is_gzip_without_content_encoding(tmp_path):
    settings = settings_for("https://h", tmp_path)
    task = update(1, 6712345678, node="n", job_output_report="", meta_data="")
    request = ServerLegacy(settings).deliver(task).begin()
    assert (request.method, request.url) == ("POST", "https://h:25443/server/panda/updateJob")
    headers = dict(request.headers)
    assert headers["Content-Type"] == headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("pilot/")
    assert "Content-Encoding" not in headers
    body = body_of(request)
    assert body.pop("timestamp")
    assert body == {
        "jobId": "6712345678",
        "state": "running",
        "attemptNr": 1,
        "node": "n",
        "xml": "",
        "metaData": "",
    }


def test_job_request(tmp_path):
    settings = settings_for("https://h", tmp_path)
    arguments = {"site_name": "S", "disk_space": 1, "memory": 2, "task_id": 3, "worker_id": 12, "scheduler_id": "h"}
    request = ServerLegacy(settings).acquire(AcquireJob(request=json.dumps(arguments))).begin()
    assert request.url.endswith("/server/panda/getJob")
    expected = {"siteName": "S", "diskSpace": 1, "mem": 2, "taskID": 3, "worker_id": 12, "schedulerID": "h"}
    assert body_of(request) == expected


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("no/such_call", {}),
        ("update_worker_node", {"site": "s"}),
        ("update_job", {"job_id": 1, "job_status": "running", "gpu": 1}),
    ],
)
def test_what_legacy_does_not_know_is_never_sent(tmp_path, call, body):
    task = update()
    task = type(task)(sequence=1, call=call, body=json.dumps(body))
    outcome = ServerLegacy(settings_for("https://h", tmp_path)).deliver(task).begin()
    assert isinstance(outcome, Failure)
    assert not outcome.retry


# ---------------------------------------------------------------- answers
@FORMS
def test_job_at_top_level(form):
    outcome = dialect_legacy.read_job(form(JOB))
    assert isinstance(outcome, JobAcquired)
    definition = json.loads(outcome.definition)
    assert str(definition["PandaID"]) == "7"
    assert definition["jobPars"] == "a=b&c"
    assert definition["cmtConfig"] == ""  # blank values are kept


def test_job_in_a_list():
    outcome = dialect_legacy.read_job(as_json({"StatusCode": 0, "jobs": [JOB]}))
    assert json.loads(outcome.definition) == JOB


@FORMS
def test_case_17_status_code_20_is_no_job_in_both_forms(form):
    assert isinstance(dialect_legacy.read_job(form({"StatusCode": 20})), NoJob)


def test_case_17_the_reason_of_no_job():
    answer = as_json({"StatusCode": 20, "errorDialog": "no jobs in PanDA"})
    assert dialect_legacy.read_job(answer) == NoJob(reason="no jobs in PanDA")


@FORMS
def test_case_18_status_code_as_text(form):
    assert isinstance(dialect_legacy.read_job(form({**JOB, "StatusCode": "0"})), JobAcquired)
    assert dialect_legacy.read_update(form({"StatusCode": "0", "command": "NULL"})).stored


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("tobekilled", "tobekilled"),
        ("debug,tobekilled", "debug,tobekilled"),
        ("NULL", ""),
        (None, ""),
        ("debug,tail payload.stdout", "debug,tail payload.stdout"),
        ("debugoff", "debugoff"),
    ],
)
@FORMS
def test_case_54_legacy_command_at_top_level(form, word, command):
    answer = form({"StatusCode": 0, "command": word})
    assert dialect_legacy.read_update(answer) == UpdateAnswered(stored=True, command=command)


@pytest.mark.parametrize(("code", "retry"), [(10, True), (30, True), (50, False), (60, False), (70, False)])
@FORMS
def test_refusals(form, code, retry):
    outcome = dialect_legacy.read_update(form({"StatusCode": code}))
    assert isinstance(outcome, Failure)
    assert outcome.retry is retry
    request = dialect_legacy.read_job(form({"StatusCode": code}))
    assert isinstance(request, NoJob if retry else Failure)  # cases 16 and 17: waited after as an answer without a job


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Please log in</html>",
        b"False",
        b"{",
        b"[1]",
        b"a=1",
        b"StatusCode=0&StatusCode=20",
        b"StatusCode=x",
        b"StatusCode=",
        b'{"StatusCode": [0]}',
        b'{"StatusCode": true}',
        b"StatusCode=%ff",
        b"&".join([b"a=1"] * 5000),
    ],
)
def test_garbage_is_named_and_tried_again(body):
    for read in (dialect_legacy.read_job, dialect_legacy.read_update):
        outcome = read(Answer(body=body))
        assert isinstance(outcome, Failure), body
        assert outcome.retry


def test_success_without_a_job_is_garbage():
    outcome = dialect_legacy.read_job(as_json({"StatusCode": 0}))
    assert isinstance(outcome, Failure)
    assert "without a job" in outcome.text


def test_a_python_literal_is_understood():
    assert dialect_legacy.read_fields(b"{'StatusCode': 0, 'userProxy': 'x'}") == {"StatusCode": 0, "userProxy": "x"}


@pytest.mark.parametrize(
    ("status", "body", "retry"),
    [
        (500, b"updateJob() got an unexpected keyword argument 'gpu'", False),
        (500, b"ORA-00001", True),
        (503, b"<html>", True),
        (403, b"ERROR : method getJob is forbidden", False),
        (404, b"Not Found", True),
    ],
)
def test_http_statuses(status, body, retry):
    outcome = dialect_legacy.read_update(Answer(status=status, body=body))
    assert isinstance(outcome, Failure)
    assert outcome.retry is retry


def test_no_answer_is_tried_again():
    assert dialect_legacy.read_update(Lost(text="gone")) == Failure(text="gone", retry=True)


def test_nested_values_of_a_form_are_literals():
    assert dialect_legacy.nested("{'a': [1, 'x', None]}") == {"a": [1, "x", None]}
    assert dialect_legacy.nested('[{"a": true}]') == [{"a": True}]
    assert dialect_legacy.nested("plain text") == "plain text"
    assert dialect_legacy.nested(5) == 5
    assert dialect_legacy.nested("[" * 100_000) == "[" * 100_000
    assert dialect_legacy.nested("[NaN]") == "[NaN]"


@pytest.mark.parametrize("inner", [b"'a': 1, ", b'"a": {', b"["], ids=["literal", "deep", "list"])
def test_a_huge_broken_answer_does_not_hold_the_loop_up(inner):
    body = b"{" + inner * (16 * 1024 * 1024 // len(inner))
    began = time.monotonic()
    assert isinstance(dialect_legacy.read_update(Answer(body=body)), Failure)
    assert time.monotonic() - began < 5
