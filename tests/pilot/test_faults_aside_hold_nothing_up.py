"""A call on which no job depends and that hangs holds no job's report up: not its final one, not that of a signal."""

import signal
import time

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

TOKEN = "sandbox-token"
IDS = {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}
KILL = {"kill_grace_s": 6, "report_reserve_s": 1.5}


def environment(run, tmp_path, text):
    (run.home / "pilot.cfg").write_text(text)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "key").write_text("sandbox-key")
    return {
        "HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"),
        "OIDC_AUTH_TOKEN": "token",
        "OIDC_AUTH_ORIGIN": "atlas:production",
        "OIDC_AUTH_DIR": str(tmp_path / "x"),
        "PANDA_AUTH_TOKEN_KEY": "key",
        "HOME": str(run.home),
    }


def checking(command):
    return [word for word in command if word not in ("-t", "-y")]


def test_a_renewal_of_the_token_that_hangs_when_a_signal_comes(tmp_path):
    with Sandbox(tmp_path / "storage", "--token", TOKEN) as sandbox, PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
        environ = environment(run, tmp_path, "[Token]\ndownload_check: 1\n")
        sandbox.fault("get_access_token", "silence", skip=1, times=None)
        run.start(wrap=checking, environment=environ, **KILL)
        run.wait_call("update_job", job_status="running")
        wait_until(lambda: len(sandbox.record("get_access_token")) == 2, 10, "no renewal")
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143, run.story()
        run.assert_final(job_id, "failed", 1201, rejected=0)
        run.assert_clean()


@pytest.mark.parametrize("end", ["payload", "signal"])
def test_a_word_of_the_worker_that_hangs(sandbox, end):
    """The word "started" is refused once, and hangs when it is tried again, which is while a job runs."""
    sandbox.fault("update_worker_status", "http_500")
    sandbox.fault("update_worker_status", "silence", times=None)
    (job_id,) = sandbox.make_jobs(1, inputs=[100], outputs=[100], payload={"sleep": 60 if end == "signal" else 1})
    with PilotRun(sandbox) as run:
        run.start(environment=IDS, retry_first_s=1, **KILL)
        run.wait_log("received -> preparing")
        began = time.monotonic()
        if end == "signal":
            run.wait_log("starting -> running")
            wait_until(lambda: len(sandbox.record("update_worker_status")) >= 2, 10, "it is not tried again")
            run.kill("guardian", signal.SIGTERM)
        sandbox.wait_final(job_id, 15)
        assert time.monotonic() - began < 12, run.story()
        sandbox.clear_faults()
        assert run.wait_exit() == (143 if end == "signal" else 0), run.story()
        run.assert_final(job_id, *(("failed", 1201) if end == "signal" else ("finished", 0)), rejected=0)
        run.assert_clean()
