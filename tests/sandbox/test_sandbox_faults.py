"""Every fault switch, and a server that is really down."""

import http.client
import json
import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from sandbox.client import SandboxError


@pytest.fixture
def job(server):
    (job_id,) = server.make_jobs(1)
    return job_id


def running(pilot, job, timeout_s=10.0):
    body = json.dumps({"job_id": job, "job_status": "running"})
    return pilot.ask("POST", "/api/v1/pilot/update_job", body, timeout_s=timeout_s)


@pytest.mark.parametrize(
    ("kind", "status", "worked"),
    [
        ("http_403", 403, 0),
        ("http_500", 500, 0),
        ("http_500_after", 500, 1),
        ("http_503", 503, 0),
        ("garbage", 200, 0),
        ("empty", 200, 0),
        ("truncated", 200, 1),
    ],
)
def test_bad_answers(server, pilot, job, kind, status, worked):
    server.fault("update_job", kind)
    reply = running(pilot, job)
    assert reply.status == status
    with pytest.raises(ValueError):
        json.loads(reply.text)
    assert server.job(job)["updates_accepted"] == worked
    entry = server.record("update_job")[-1]
    assert (entry["fault"], entry["status"], entry["worked"]) == (kind, status, bool(worked))
    assert running(pilot, job).json["success"] is True


@pytest.mark.parametrize(("kind", "worked"), [("drop_before", 0), ("drop_after", 1)])
def test_dropped_connections(server, pilot, job, kind, worked):
    server.fault("update_job", kind)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        running(pilot, job)
    assert server.job(job)["updates_accepted"] == worked
    assert server.record("update_job")[-1]["status"] is None
    assert running(pilot, job).json["success"] is True


def test_cut(server, pilot, job):
    server.fault("update_job", "cut")
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        running(pilot, job)
    assert server.job(job)["updates_accepted"] == 1


def test_silence(server, pilot, job):
    server.fault("update_job", "silence", seconds=60)
    with pytest.raises(TimeoutError):
        running(pilot, job, timeout_s=0.1)
    assert server.record("update_job")[-1]["fault"] == "silence"
    server.fault("update_job", "silence", seconds=0.05)
    with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
        running(pilot, job)
    assert server.job(job)["updates_accepted"] == 0


@pytest.mark.parametrize("kind", ["late", "slow"])
def test_right_answers_that_take_their_time(server, pilot, job, kind):
    server.fault("update_job", kind, seconds=0.2)
    start = time.monotonic()
    assert running(pilot, job).json["data"]["command"] == "NULL"
    assert time.monotonic() - start >= 0.2
    assert server.job(job)["updates_accepted"] == 1


def test_wrong_types(server, pilot, job):
    server.fault("*", "wrong_types")
    assert running(pilot, job).json == {
        "success": "True",
        "message": 0,
        "data": [{"StatusCode": 0, "command": "NULL"}],
    }


def test_times_skip_and_clearing(server, pilot, job):
    server.fault("update_job", "http_500", times=2, skip=1)
    assert [running(pilot, job).status for _ in range(4)] == [200, 500, 500, 200]
    server.fault("*", "http_500", times=None)
    assert [running(pilot, job).status for _ in range(4)] == [500] * 4
    server.clear_faults()
    assert running(pilot, job).status == 200


def test_only_the_named_call_and_only_the_final_update(server, pilot, job):
    server.fault("acquire_jobs", "http_500")
    assert running(pilot, job).status == 200
    assert pilot.post("acquire_jobs", site_name="x").status == 500
    server.fault("update_job", "http_503", only_final=True)
    assert running(pilot, job).status == 200
    assert pilot.post("update_job", job_id=job, job_status="failed").status == 503
    assert server.job(job)["finals_accepted"] == 0


def test_documents_can_fail_too(server, pilot):
    server.fault("queue_data", "http_503")
    assert pilot.ask("GET", "/cache/schedconfig/SANDBOX.all.json").status == 503
    assert pilot.ask("GET", "/cache/schedconfig/SANDBOX.all.json").status == 200


def test_a_wrong_fault_is_refused(server):
    with pytest.raises(SandboxError, match="unknown kind"):
        server.fault("*", "fire")
    with pytest.raises(SandboxError, match="unknown keys"):
        server.fault("*", "empty", often=1)


def test_down_until_up(server, pilot, job):
    where = urlsplit(server.url)
    kept = socket.create_connection((where.hostname, where.port), timeout=5)
    kept.sendall(b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n")
    assert kept.recv(1 << 16).startswith(b"HTTP/1.1 404")
    server.down()
    with pytest.raises(ConnectionRefusedError):
        running(pilot, job)
    assert kept.recv(1) == b""  # the open connection is gone as well
    kept.close()
    assert server.job(job)["updates_accepted"] == 0
    server.up()
    assert running(pilot, job).status == 200


def test_down_for_a_time_asked_through_the_door_itself(server, pilot, job):
    reply = pilot.ask("POST", "/sandbox/down", '{"seconds": 0.3}')
    assert reply.json == {"down": True, "seconds": 0.3}
    start = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        running(pilot, job)
    while True:
        try:
            reply = running(pilot, job)
        except ConnectionRefusedError:
            assert time.monotonic() - start < 5
            threading.Event().wait(0.02)
        else:
            break
    assert time.monotonic() - start >= 0.2
    assert reply.status == 200


def test_requests_under_way_are_aborted_when_the_server_goes_down(server, pilot, job):
    server.fault("update_job", "silence")
    seen = []

    def ask():
        try:
            running(pilot, job)
        except OSError as err:
            seen.append(err)

    thread = threading.Thread(target=ask)
    thread.start()
    server.wait_for(lambda entry: entry["fault"] == "silence", 5)
    server.down()
    thread.join(5)
    assert len(seen) == 1
