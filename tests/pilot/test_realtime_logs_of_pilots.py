"""Real-time logs of whole pilots: the server gets the payload's lines, and its absence changes nothing."""

import base64
import sys
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun
from tests.waiting import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workers" / "monitor"))

from log_server import LogServer

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox(tmp_path / "storage") as running:
        yield running


@pytest.mark.parametrize("way", ["loki", "catchall"])
@pytest.mark.parametrize("killed", [False, True])
def test_lines_arrive_while_the_payload_runs(sandbox, way, killed):
    with LogServer() as logs, PilotRun(sandbox) as run:
        payload = {"stdout_lines": 50, "until": str(run.payload_end)}
        (job_id,) = sandbox.make_jobs(1, payload=payload, fields={"taskID": 99})
        if way == "loki":
            run.start("--use-realtime-logging", environment={"LOKI_URL": logs.url, "LOKI_PERIOD": "1"})
        else:
            sandbox.set_queue(catchall=f"logging=logstash;{logs.url},allow_wan_for_lib")
            run.start()
        run.wait_call("update_job", job_id=job_id, job_status="running")
        if killed:
            run.kill("monitor")
        wait_until(lambda: len(logs.lines()) >= 50, 20, "no lines")
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        run.assert_clean()
        assert str(job_id) in str(logs.pushes[0][2])


def test_no_log_server_no_harm(sandbox):
    with PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, payload={"stdout_lines": 50, "sleep": 1.5})
        run.start("--use-realtime-logging", "--realtime-logging-server", "loki;http://127.0.0.1:1")
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        run.assert_clean()


def test_secrets_in_an_answer_replace_those_of_the_job(sandbox):
    """The lines before go out with the old user, those after with the new one (panda-protocol 3.9)."""
    with LogServer() as logs, PilotRun(sandbox) as run:
        payload = {"stdout_lines": 50, "until": str(run.payload_end)}
        first = {"logstash_login": "old", "logstash_password": "p1"}
        last = "; rc=$?; echo the last line; exit $rc"
        (job_id,) = sandbox.make_jobs(1, payload=payload, extra_args=last, fields={"pilotSecrets": first})
        sandbox.set_queue(catchall=f"logging=logstash;{logs.url}")
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
