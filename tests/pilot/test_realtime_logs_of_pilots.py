"""Real-time logs of whole pilots: the server gets the payload's lines, and its troubles change nothing."""

import base64
import socket
import ssl
import sys
import threading
from pathlib import Path

import pytest
import trustme

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun
from tests.waiting import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workers" / "monitor"))

from log_server import ForwardServer, LogServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

FILE = {"REALTIME_LOGFILE": "payload.stdout"}


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox(tmp_path / "storage") as running:
        yield running


def held_job(sandbox, run, **fields):
    payload = {"stdout_lines": 50, "until": str(run.payload_end)}
    (job_id,) = sandbox.make_jobs(1, payload=payload, fields={"taskID": 99, **fields})
    return job_id


def ends(run, job_id):
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    assert "Traceback" not in run.log()
    run.assert_clean()


@pytest.mark.parametrize("way", ["loki", "catchall"])
@pytest.mark.parametrize("killed", [False, True])
def test_lines_arrive_while_the_payload_runs(sandbox, way, killed):
    with LogServer() as logs, PilotRun(sandbox) as run:
        job_id = held_job(sandbox, run)
        if way == "loki":
            run.start("--use-realtime-logging", environment={"LOKI_URL": logs.url, "LOKI_PERIOD": "1", **FILE})
        else:
            sandbox.set_queue(catchall=f"logging=logstash;{logs.url},loggingfile=payload.stdout,allow_wan_for_lib")
            run.start()
        run.wait_call("update_job", job_id=job_id, job_status="running")
        if killed:
            run.kill("monitor")
        wait_until(lambda: len(logs.lines()) >= 50, 20, "no lines")
        ends(run, job_id)
        assert str(job_id) in str(logs.pushes[0][2])


def test_a_user_jobs_lines_come_at_its_end_at_the_latest(sandbox):
    """Its own file (tmp.stdout*) has never come, so the default one was not followed before."""
    with LogServer() as logs, PilotRun(sandbox) as run:
        job_id = held_job(sandbox, run)
        run.start("--use-realtime-logging", "--realtime-logging-server", f"logserver=logstash;{logs.url}")
        run.wait_call("update_job", job_id=job_id, job_status="running")
        ends(run, job_id)
        assert logs.lines()[:1] == ["line 0"]
        assert len(logs.lines()) == 50


def test_https_with_the_pilots_authorities_and_the_login_of_the_job(sandbox, tmp_path):
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with LogServer(context) as logs, PilotRun(sandbox) as run:
        secrets = {"logstash_login": "me", "logstash_password": "c4n4ry"}
        job_id = held_job(sandbox, run, pilotSecrets=secrets, debug="True")
        options = ("--capath", str(tmp_path / "ca.pem"), "--realtime-logging-server", f"logstash;{logs.url}")
        run.start(*options, environment=FILE)
        wait_until(lambda: len(logs.lines()) >= 50, 20, "no lines")
        assert logs.pushes[0][1]["Authorization"] == "Basic bWU6YzRuNHJ5"
        ends(run, job_id)
        assert "c4n4ry" not in run.log() + run.out.read_text()


def test_lines_are_sent_from_when_the_server_asks_for_debug_mode(sandbox):
    with LogServer() as logs, PilotRun(sandbox) as run:
        (run.home / "pilot.cfg").write_text("[Pilot]\nheartbeat: 0.3\ndebug_heartbeat: 0.3\n")
        environment = {**FILE, "HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")}
        job_id = held_job(sandbox, run)
        run.start("--realtime-logging-server", f"logstash;{logs.url}", environment=environment)
        wait_until(lambda: len(run.updates(job_id)) > 5, 20, "no heartbeats")
        assert logs.lines() == []
        sandbox.command(job_id, "debug")
        wait_until(lambda: len(logs.lines()) >= 50, 20, "no lines")
        ends(run, job_id)


def test_fluent_by_its_forward_protocol(sandbox):
    with ForwardServer() as logs, PilotRun(sandbox) as run:
        job_id = held_job(sandbox, run)
        options = ("--realtime-logging-server", f"fluent:127.0.0.1:{logs.port}", "--realtime-logname", "mine")
        run.start("--use-realtime-logging", *options, environment=FILE)
        wait_until(lambda: len(logs.lines()) >= 50, 20, "no lines")
        assert logs.messages[0][0] == "mine"
        ends(run, job_id)


@pytest.mark.parametrize("trouble", ["away", "refuses", "drips", "never accepts", "no library", "nonsense"])
def test_a_log_server_in_trouble_does_no_harm(sandbox, trouble):
    with LogServer() as logs, PilotRun(sandbox) as run, socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        logs.status = 500
        if trouble == "drips":
            logs.drip = threading.Event()
        target = {
            "away": "loki;http://127.0.0.1:1",
            "never accepts": f"fluent;tcp://127.0.0.1:{deaf.getsockname()[1]}",
            "no library": "google-cloud-logging",
            "nonsense": "carrier-pigeon;http://h:1",
        }.get(trouble, f"logstash;{logs.url}")
        job_id = held_job(sandbox, run)
        environment = {**FILE, "LOKI_PERIOD": "1"}
        run.start("--use-realtime-logging", "--realtime-logging-server", target, environment=environment)
        run.wait_call("update_job", job_id=job_id, job_status="running")
        said = {
            "nonsense": "no lines are sent there",
            "no library": "google-cloud-logging is not installed",
            "away": "ConnectionRefusedError",
            "refuses": "HTTP 500",
        }
        run.wait_log(said.get(trouble, "starting -> running"))
        if trouble == "drips":
            wait_until(lambda: logs.refused, 20, "no request")
        ends(run, job_id)


def test_secrets_in_an_answer_replace_those_of_the_job(sandbox):
    """The lines before go out with the old user, those after with the new one (panda-protocol 3.9)."""
    with LogServer() as logs, PilotRun(sandbox) as run:
        payload = {"stdout_lines": 50, "until": str(run.payload_end)}
        first = {"logstash_login": "old", "logstash_password": "p1"}
        last = "; rc=$?; echo the last line; exit $rc"
        (job_id,) = sandbox.make_jobs(1, payload=payload, extra_args=last, fields={"pilotSecrets": first})
        sandbox.set_queue(catchall=f"logging=logstash;{logs.url},loggingfile=payload.stdout")
        (run.home / "pilot.cfg").write_text("[Pilot]\nheartbeat = 1\n")
        run.start(environment={"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")})
        wait_until(lambda: len(logs.lines()) >= 50, 20, "no lines")
        assert users(logs) == {"old:p1"}
        second = {"logstash_login": "new", "logstash_password": "p2"}
        sandbox.command(job_id, "NULL", pilot_secrets=second)
        run.wait_log("the server gave new secrets")
        seen = len(logs.pushes)
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        assert users(logs, seen) == {"new:p2"}
        assert logs.lines()[-1] == "the last line"
        assert "p2" not in run.log()
        run.assert_clean()


def users(logs, since=0):
    """Return "user:password" of all pushes."""
    words = [headers.get("Authorization", " ").split()[1] for _, headers, _ in logs.pushes[since:]]
    return {base64.b64decode(word).decode() for word in words}
