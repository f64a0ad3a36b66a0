"""The duty against the embedded server: a whole talk, and its fault switches (conformance cases 1, 9, 10, 13 to 15)."""

import gzip
import json
import time
from urllib.request import Request, urlopen

import pytest
from reporter_rig import ACQUIRE, COMMUNICATION, settings_for, update

from ipc.results import JobAcquired, NoJob, QueueFetched, UpdateAnswered
from ipc.tasks import FetchQueue, PrepareJob, SendUpdate
from sandbox.client import Sandbox
from workers.reporter.carrier import Carrier
from workers.reporter.dialect_v1 import post
from workers.reporter.exchange import Answer


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture
def server(sandbox):
    sandbox.reset()
    return sandbox


def test_cases_14_and_15_job_then_none(server, rig_for):
    (job_id,) = server.make_jobs(1)
    rig = rig_for(server.url)
    job = rig.ask("acquire/1/1", ACQUIRE)
    assert isinstance(job, JobAcquired)
    assert json.loads(job.definition)["PandaID"] == job_id
    assert rig.ask("acquire/2/1", ACQUIRE) == NoJob(reason="No jobs in PanDA")


def test_case_1_headers_as_the_server_saw_them(server, rig_for):
    rig_for(server.url).ask("acquire/1/1", ACQUIRE)
    (entry,) = server.record("acquire_jobs")
    headers = {name.lower(): value for name, value in entry["headers"].items()}
    assert headers["content-type"] == headers["accept"] == "application/json"
    assert headers["content-encoding"] == "gzip"
    assert headers["user-agent"].startswith("pilot/")
    assert "cookie" not in headers
    assert "authorization" not in headers


@pytest.mark.parametrize("compress", [True, False])
def test_case_2_the_server_reads_the_body_with_and_without_gzip(server, rig_for, tmp_path, compress):
    arguments = {"site_name": "SANDBOX", "node": "straße", "memory": 7}
    carrier = Carrier(settings_for(server.url, tmp_path), {})
    request = post(settings_for(server.url, tmp_path), "pilot/acquire_jobs", json.dumps(arguments), compress=compress)
    reply = carrier.perform(request, time.monotonic() + 5)
    carrier.close()
    assert isinstance(reply, Answer)
    (entry,) = server.record("acquire_jobs")
    assert entry["body"] == arguments
    assert entry["headers"].get("Content-Encoding") == ("gzip" if compress else None)
    assert (gzip.decompress(request.body) if compress else request.body) == json.dumps(arguments).encode()


def test_case_9_json_that_is_called_plain_text_is_read(server, rig_for):
    (job_id,) = server.make_jobs(1)
    request = Request(f"{server.url}/api/v1/pilot/acquire_jobs", b"{}", {"Content-Type": "application/json"})
    with urlopen(request) as answer:
        assert answer.headers.get_content_type() == "text/plain"
    job = rig_for(server.url).ask("acquire/1/1", ACQUIRE)
    assert isinstance(job, JobAcquired)
    assert json.loads(job.definition)["PandaID"] == job_id


def test_queue_and_storages(server, rig_for):
    task = FetchQueue(
        queue="SANDBOX",
        queue_sources=("/nonexistent/queuedata.json", server.url + "/cache/schedconfig/{pandaqueue}.all.json"),
        storage_sources=(server.url + "/cache/ddmendpoints.json",),
    )
    fetched = rig_for(server.url).ask("queue/1/1", task)
    assert isinstance(fetched, QueueFetched)
    assert json.loads(fetched.queue_text)["panda_resource"] == "SANDBOX"
    assert list(json.loads(fetched.storage_text)) == ["SANDBOX_DATADISK"]


def test_job_life_and_back_channel(server, rig_for):
    (job_id,) = server.make_jobs(1)
    rig = rig_for(server.url)
    rig.ask("acquire/1/1", ACQUIRE)
    assert rig.ask("u1/1/1", update(1, job_id, "starting")) == UpdateAnswered(stored=True)
    server.command(job_id, "tobekilled", 1)
    assert rig.ask("u2/1/1", update(2, job_id)).command == "tobekilled"
    assert rig.ask("u3/1/1", update(3, job_id, "failed", pilot_error_code=1144)).stored
    assert rig.ask("u4/1/1", update(3, job_id, "failed", pilot_error_code=1144)).command == "alreadydone"


def test_case_13_refusals_are_permanent(server, rig_for):
    rig = rig_for(server.url)
    for number, body in enumerate(
        ({"job_id": "1", "job_status": "running"}, {"job_id": 1, "job_status": "running", "no": 1})
    ):
        task = SendUpdate(sequence=1, call="pilot/update_job", body=json.dumps(body))
        code, _, retry = rig.ask(f"u{number}", task)
        assert (code, retry) == (COMMUNICATION, False)


@pytest.mark.parametrize(
    ("kind", "retry"),
    [
        ("http_403", False),
        ("http_500", True),
        ("http_503", True),
        ("http_500_after", True),
        ("drop_before", True),
        ("drop_after", True),
        ("garbage", True),
        ("truncated", True),
        ("cut", True),
        ("wrong_types", True),
        ("empty", True),
    ],
)
def test_fault_is_a_failure_and_the_next_call_works(server, rig_for, kind, retry):
    (job_id,) = server.make_jobs(1)
    rig = rig_for(server.url)
    rig.ask("acquire/1/1", ACQUIRE)
    server.fault("update_job", kind)
    code, text, again = rig.ask("u/1/1", update(1, job_id))
    assert (code, again) == (1406 if kind == "http_403" else COMMUNICATION, retry)
    assert 0 < len(text) <= 256
    assert len(server.record("update_job")) == 1  # no resend inside a resend
    assert rig.ask("u/2/1", update(1, job_id)) == UpdateAnswered(stored=True)


def test_slow_answer_is_waited_for_without_blocking_the_loop(server, rig_for):
    (job_id,) = server.make_jobs(1)
    rig = rig_for(server.url)
    server.fault("update_job", "slow", seconds=0.5)
    assert isinstance(rig.ask("u/1/1", update(1, job_id)), UpdateAnswered)
    assert rig.longest_turn_s < 0.2


def test_server_away_and_back(server, rig_for):
    rig = rig_for(server.url)
    rig.ask("a/1/1", ACQUIRE)
    server.down()
    code, text, retry = rig.ask("a/2/1", ACQUIRE)
    assert (code, retry) == (COMMUNICATION, True)
    assert server.url in text  # refused, or the kept connection reset under it
    server.up()
    assert isinstance(rig.ask("a/3/1", ACQUIRE), NoJob)


def test_connection_is_kept_alive(server, rig_for):
    rig = rig_for(server.url)
    rig.ask("a/1/1", ACQUIRE)
    rig.ask("a/2/1", ACQUIRE)
    assert len(server.record("acquire_jobs")) == 2


def test_task_of_another_role(server, rig_for):
    code, text, retry = rig_for(server.url).ask("x", PrepareJob(job_dir="/x", control_dir="/y"))
    assert (code, retry) == (1319, False)
    assert "PrepareJob" in text


def test_call_that_is_no_call(server, rig_for):
    task = SendUpdate(sequence=1, call="../../x", body="{}")
    code, _, retry = rig_for(server.url).ask("x", task)
    assert (code, retry) == (1319, False)


def test_title_says_what_is_done(server, rig_for):
    rig = rig_for(server.url)
    rig.ask("a/1/1", ACQUIRE)
    assert rig.desk.titles[0] == "job request"
    assert rig.desk.titles[-1] == "idle"
