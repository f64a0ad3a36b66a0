"""The server as a process: start, end, options, record, identity, TLS."""

import http.client
import json
import os
import select
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme

from sandbox.client import Sandbox, SandboxError

ROOT = Path(__file__).resolve().parents[2]


def gone(pid: int, timeout_s: float = 5.0) -> bool:
    """Wait for the end of a process that is not our child."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], timeout_s)[0])
    finally:
        os.close(handle)


def test_stop_ends_the_process_and_can_be_repeated(tmp_path):
    sandbox = Sandbox(tmp_path)
    sandbox.stop()
    sandbox.stop()
    assert gone(sandbox.pid)
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection(urlsplit(sandbox.url).netloc, timeout=5).request("GET", "/")


def test_the_server_does_not_outlive_its_parent(tmp_path):
    code = (
        "import os, pathlib, signal, sys; from sandbox.client import Sandbox;"
        "s = Sandbox(pathlib.Path(sys.argv[1])); print(s.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == -9
    assert gone(int(done.stdout))


def test_a_server_that_cannot_start_is_told_at_once(tmp_path, capfd):
    with pytest.raises(SandboxError, match="did not start"):
        Sandbox(tmp_path, "--jobs", str(tmp_path / "none.json"))
    assert "none.json" in capfd.readouterr().err


def test_options(tmp_path, pilot_of):
    jobs = tmp_path / "jobs.json"
    jobs.write_text(json.dumps([{"PandaID": 5, "attemptNr": 1}]), encoding="utf-8")
    one = tmp_path / "one.json"
    one.write_text(json.dumps({"PandaID": 6, "attemptNr": 1}), encoding="utf-8")
    options = [
        "--port-file", str(tmp_path / "port"), "--record", str(tmp_path / "record"), "--jobs", str(jobs), str(one),
        "--make-jobs", "2", "--first-id", "100", "--inputs", "1k,2", "--outputs", "3", "--recipe", '{"label": "test"}',
        "--queue", "Q", "--site", "S", "--rse", "R", "--timefloor", "7", "--maxwdir", "11",
        "--queue-fields", '{"corecount": 4}', "--storage-fields", '{"token": "T"}',
    ]  # fmt: skip
    with Sandbox(tmp_path / "storage", *options) as sandbox:
        assert json.loads((tmp_path / "port").read_text())["url"] == sandbox.url
        assert [job["job_id"] for job in sandbox.jobs()] == [5, 6, 100, 101]
        assert sandbox.job(100)["definition"]["fsize"] == "1024,2"
        assert sandbox.job(100)["definition"]["prodSourceLabel"] == "test"
        pilot = pilot_of(sandbox)
        queue = pilot.ask("GET", "/cache/schedconfig/Q.all.json").json
        assert [queue[name] for name in ("atlas_site", "timefloor", "maxwdir", "corecount")] == ["S", 7, 11, 4]
        storage = pilot.ask("GET", "/cache/ddmendpoints.json").json
        assert storage["R"]["token"] == "T"
        assert pilot.post("acquire_jobs", site_name="Q").json["success"]
        entries = [json.loads(line) for line in (tmp_path / "record").read_text().splitlines()]
        assert entries == sandbox.record()
        assert [entry["call"] for entry in entries] == ["queue_data", "storage_data", "acquire_jobs"]


def test_record(server, pilot):
    headers = {"Content-Type": "application/json", "User-Agent": "pilot/1", "Authorization": "Bearer t", "X-Other": "1"}
    before = time.monotonic()
    pilot.ask("POST", "/api/v1/pilot/update_job", '{"job_id": 1, "job_status": "running"}', headers)
    (entry,) = server.record()
    assert before < entry["mono"] < time.monotonic()
    assert abs(entry["wall"] - time.time()) < 5
    assert entry["headers"] == {name: value for name, value in headers.items() if name != "X-Other"}
    assert entry["body"] == {"job_id": 1, "job_status": "running"}
    assert entry["answer"]["data"]["command"] == "tobekilled"
    assert (entry["status"], entry["method"], entry["fault"], entry["worked"]) == (200, "POST", None, True)
    pilot.ask("POST", "/api/v1/pilot/update_job", "{")
    assert server.record("update_job", since=entry["n"] + 1)[0]["body"] == "{"


def test_wait_for(server, pilot):
    pilot.ask("GET", "/cache/schedconfig/SANDBOX.all.json")
    with pytest.raises(TimeoutError, match="queue_data:200"):
        server.wait_for(lambda entry: entry["call"] == "update_job", 0.1)
    child = subprocess.Popen(
        [sys.executable, "-c", f"import urllib.request as r; r.urlopen('{server.url}/cache/ddmendpoints.json').close()"]
    )
    assert server.wait_for(lambda entry: entry["call"] == "storage_data", 10)["status"] == 200
    child.wait(10)


def test_wait_final(server, pilot):
    (job_id,) = server.make_jobs(1)
    with pytest.raises(TimeoutError):
        server.wait_final(job_id, 0.05)
    pilot.update(job_id, "running")
    pilot.update(job_id, "failed", pilot_error_code=1)
    assert server.wait_final(job_id, 5)["final"]["pilot_error_code"] == 1


def test_keep_alive_and_speed(server):
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=5)
    body = json.dumps({"job_id": 1, "job_status": "running"})
    connection.connect()
    socket_before = connection.sock
    for _ in range(20):
        connection.request("POST", "/api/v1/pilot/update_job", body, {"Content-Type": "application/json"})
        assert connection.getresponse().read()
    assert connection.sock is socket_before
    connection.close()


def test_token(tmp_path, pilot_of):
    base = {"Content-Type": "application/json"}
    with Sandbox(tmp_path, "--token", "secret") as sandbox:
        pilot = pilot_of(sandbox)

        def ask(**headers):
            return pilot.ask("POST", "/api/v1/pilot/acquire_jobs", '{"site_name": "x"}', {**base, **headers})

        assert ask().json["message"] == "SSL secure connection is required"
        assert ask(Authorization="Bearer secret", Origin="atlas:production").json["message"] == "No jobs in PanDA"
        for headers in ({"Authorization": "Bearer other", "Origin": "o"}, {"Authorization": "Bearer secret"}):
            reply = ask(**headers)
            assert reply.status == 403
            assert reply.text.startswith("ERROR : Token authentication failed. ")


def test_tls_with_and_without_a_client_certificate(tmp_path):
    authority = trustme.CA()
    cert = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    cert.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "server.pem"))
    client = authority.issue_cert("pilot@example.org", common_name="pilot")
    client.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "client.pem"))
    pem = str(tmp_path / "server.pem")
    options = ["--tls-cert", pem, "--tls-key", pem, "--client-ca", str(tmp_path / "ca.pem")]
    with Sandbox(tmp_path / "storage", *options) as sandbox:
        assert sandbox.url.startswith("https://")

        def ask(with_certificate):
            context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
            if with_certificate:
                context.load_cert_chain(str(tmp_path / "client.pem"))
            connection = http.client.HTTPSConnection(urlsplit(sandbox.url).netloc, timeout=5, context=context)
            headers = {"Content-Type": "application/json"}
            connection.request("POST", "/api/v1/pilot/acquire_jobs", '{"site_name": "x"}', headers)
            message = json.loads(connection.getresponse().read())["message"]
            connection.close()
            return message

        assert ask(with_certificate=False) == "SSL secure connection is required"
        assert ask(with_certificate=True) == "No jobs in PanDA"
        assert "commonName=pilot" in sandbox.record()[-1]["client_cert"]
        sandbox.down()
        with pytest.raises(ConnectionRefusedError):
            ask(with_certificate=True)
        sandbox.up()
        assert ask(with_certificate=True) == "No jobs in PanDA"
