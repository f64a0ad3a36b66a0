"""Faults at the calls on which no job depends, at the script's download, and silences as long as real ones.

Rows as in test_fault_matrix. Columns: the maps of node and GPU, the payload's script, real-time logs, a new token.
"""

import json
import os
import threading
import time
from pathlib import Path

import pytest
from log_server import LogServer
from reporter_rig import RawServer, answer, says
from tls_front import TlsFront

from sandbox.client import Sandbox
from tests.chaos.pilotrun import SOAK, PilotRun
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

CONFIG = "[Pilot]\nhttp_connect_timeout: 1\nhttp_maxtime: 1\n"
DESCRIBES = Path(__file__).with_name("pilot_that_describes.py")
KINDS = (
    "silence", "drop_after", "http_500", "wrong_types", "http_403",
    "http_404", "drop_before", "garbage", "truncated", "http_503",
)  # fmt: skip
TOKEN = "sandbox-token"  # which is what the embedded server gives for its key
GPU = "#!/bin/sh\necho 'NVIDIA A100-SXM4-40GB, 40960, 550.54.15, 8.0'\n"


def config_of(run, text=CONFIG):
    (run.home / "pilot.cfg").write_text(text)
    return {"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")}


@pytest.mark.parametrize("kind", KINDS if SOAK else KINDS[:3])
def test_each_fault_at_the_maps_of_the_node(sandbox, kind):
    for call in ("update_worker_node", "update_worker_node_gpu"):
        sandbox.fault(call, kind)
    with PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, inputs=[100], outputs=[100], payload={"until": str(run.payload_end)})
        tool = run.home / "bin" / "nvidia-smi"
        tool.parent.mkdir()
        tool.write_text(GPU)
        tool.chmod(0o755)
        environ = {**config_of(run), "PATH": f"{tool.parent}:{os.environ['PATH']}"}
        run.start(environment=environ, wrap=lambda command: [command[0], str(DESCRIBES), *command[2:]])
        run.wait_log("the worker node map: ")
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        met = [(entry["call"], entry["fault"]) for entry in sandbox.record() if "worker_node" in entry["call"]]
        assert met == [("update_worker_node", kind), ("update_worker_node_gpu", kind)], run.story()
        assert "Traceback" not in run.log()
        run.assert_clean(keep_main=True)


def test_each_fault_at_the_download_of_the_script(sandbox):
    """One that passes costs a retry; one that says no fails the job with its code, as does what is no script.

    Nothing but its run tells that an answer is no script: that one is a payload that failed.
    """
    passing = ("silence", "drop_after", "drop_before", "http_500", "http_503", "cut")
    refused = {"http_403": (1338, 0), "http_404": (1149, 0), "garbage": (1305, 2), "truncated": (1305, 2)}
    sandbox.set_queue(timefloor=60)
    with PilotRun(sandbox) as run:
        run.start("-v", "99", "-x", "99", environment=config_of(run), stall_limit_s=1, transfer_attempts=4)
        for kind in (*passing, *refused):
            sandbox.fault("transform", kind, seconds=2)
            (job_id,) = sandbox.make_jobs(1, inputs=[100], outputs=[100], transform="quick.sh")
            run.wait_log(f"job={job_id} reporting -> done", 20)
            state = "failed" if kind in refused else "finished"
            final = run.assert_final(job_id, state, rejected=0)["final"]
            codes = (final.get("pilot_error_code") or 0, final.get("trans_exit_code") or 0)
            assert codes == refused.get(kind, (0, 0)), (kind, final)
            sandbox.clear_faults()
        run.kill("guardian", 15)
        assert run.wait_exit() == 143
        assert "Traceback" not in run.log()
        run.assert_clean()


def hang(_connection, _request, stopped):
    stopped.wait(30)


def drop(connection, _request, _stopped):
    connection.close()


def cut(connection, _request, _stopped):
    connection.sendall(b"HTTP/1.1 20")
    connection.close()


def in_turn(scripts):
    """A script that is another one for each request; the last one stays."""
    lock = threading.Lock()

    def script(connection, request, stopped):
        with lock:
            chosen = scripts.pop(0) if len(scripts) > 1 else scripts[0]
        chosen(connection, request, stopped)

    return script


def test_each_fault_at_a_post_of_real_time_logs(sandbox):
    """The lines come again until they are taken; a log server that is silent at the end does not hold the job up."""
    wrong = [
        says(answer("no", "500 Internal Server Error")),
        says(answer("no", "403 Forbidden")),
        says(answer("no", "404 Not Found")),
        drop,
        says(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        cut,
    ]
    taken = answer("", "204 No Content")
    with RawServer(in_turn([*wrong, says(taken), hang])) as logs, PilotRun(sandbox) as run:
        payload = {"stdout_lines": 5, "until": str(run.payload_end)}
        (job_id,) = sandbox.make_jobs(1, payload=payload)
        run.start(
            "--use-realtime-logging",
            environment={"LOKI_URL": logs.url, "LOKI_PERIOD": "1", "REALTIME_LOGFILE": "payload.stdout"},
        )
        wait_until(lambda: len(logs.requests) == len(wrong) + 1, 30, run.story())
        assert len({line_count(request) for request in logs.requests}) == 1, "the lines of a failed post are lost"
        with next(run.workdir.rglob("payload.stdout")).open("a") as out:
            out.write("one more line\n")
        wait_until(lambda: len(logs.requests) == len(wrong) + 2, 30, run.story())
        run.payload_end.touch()
        began = time.monotonic()
        run.sandbox.wait_final(job_id, 10)
        assert time.monotonic() - began < 5, run.story()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert "Traceback" not in run.log()
        run.assert_clean()


def line_count(request):
    return len(json.loads(request.partition(b"\r\n\r\n")[2])["streams"][0]["values"])


@pytest.mark.parametrize("kind", ["dns", "tls"] if SOAK else ["dns"])
def test_a_log_server_that_cannot_be_spoken_to(sandbox, kind):
    with PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, payload={"stdout_lines": 5, "until": str(run.payload_end)})
        plain_text = sandbox.url.replace("http:", "https:")
        url = plain_text if kind == "tls" else "http://no-such-host.invalid:1/x"
        run.start(
            "--use-realtime-logging",
            environment={"LOKI_URL": url, "LOKI_PERIOD": "1", "REALTIME_LOGFILE": "payload.stdout"},
        )
        run.wait_log("real-time logs are not taken")
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        run.assert_clean()


def test_p114_a_log_server_that_cannot_be_trusted_gets_no_line(sandbox):
    with LogServer() as logs, PilotRun(sandbox) as run, TlsFront(logs.url, run.home) as front:
        front.begin("unknown authority")
        (job_id,) = sandbox.make_jobs(1, payload={"stdout_lines": 5, "until": str(run.payload_end)})
        run.start(
            "--use-realtime-logging",
            environment={"LOKI_URL": front.url, "LOKI_PERIOD": "1", "REALTIME_LOGFILE": "payload.stdout"},
        )
        run.wait_log("real-time logs are not taken")
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert front.met > 0
        assert (front.leaked, logs.lines()) == ([], [])
        run.assert_clean()


def test_each_fault_at_the_renewal_of_the_token(tmp_path):
    """The token stays what it was and in use until a new one comes; nothing of it is in the log."""
    folder = tmp_path / "tokens"
    folder.mkdir()
    (folder / "token").write_text(TOKEN)
    (folder / "key").write_text("sandbox-key")
    kinds = [kind for kind in KINDS if kind != "wrong_types"]  # a token that is a number: test_identity_life
    with Sandbox(tmp_path / "storage", "--token", TOKEN) as sandbox, PilotRun(sandbox) as run:
        for kind in kinds:
            sandbox.fault("get_access_token", kind)
        environ = {
            **config_of(run, f"{CONFIG}[Token]\ndownload_check: 0.2\n"),
            "OIDC_AUTH_TOKEN": "token",
            "OIDC_AUTH_ORIGIN": "atlas:production",
            "OIDC_AUTH_DIR": str(folder / "x"),
            "PANDA_AUTH_TOKEN_KEY": "key",
            "HOME": str(run.home),
        }
        (job_id,) = sandbox.make_jobs(1, outputs=[100], payload={"until": str(run.payload_end)})
        run.start(environment=environ, wrap=lambda command: [word for word in command if word not in ("-t", "-y")])
        run.wait_log("the token was renewed", 30)
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert [entry["fault"] for entry in sandbox.record("get_access_token")][: len(kinds) + 1] == [*kinds, None]
        assert (folder / "token").read_text() == TOKEN
        assert TOKEN not in run.log() + run.out.read_text()
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.timeout(900)
@pytest.mark.skipif(not SOAK, reason="six minutes of waiting: BULKHEAD_SOAK=1")
@pytest.mark.parametrize("dialect", ["v1", "legacy"])
def test_60_s_of_silence_at_each_call(both_sandbox, dialect):
    """The server says nothing for 60 s and then cuts; a call has 120 s, a description's source 20 s."""
    acquire, update = ("acquire_jobs", "update_job") if dialect == "v1" else ("getJob", "updateJob")
    for call in ("queue_data", "storage_data", acquire):
        both_sandbox.fault(call, "silence", seconds=60)
    both_sandbox.fault(update, "silence", seconds=60, only_final=True)
    both_sandbox.fault(update, "silence", seconds=60)
    both_sandbox.fault(update, "silence", seconds=60, skip=1)
    with PilotRun(both_sandbox) as run:
        (job_id,) = both_sandbox.make_jobs(1, inputs=[100], outputs=[100], payload={"until": str(run.payload_end)})
        options = ("--server-api", dialect, "-v", "9", "-x", "9")
        run.start(*options, environment=config_of(run, "[Pilot]\nheartbeat: 30\n"), supersede_after_s=90)
        run.wait_log("starting -> running", 180)
        wait_until(lambda: stored(both_sandbox, update) >= 1, 300, "no update got through")
        run.payload_end.touch()
        assert run.wait_exit(300) == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        silent = [entry["call"] for entry in both_sandbox.record() if entry["fault"] == "silence"]
        assert sorted(silent) == sorted(["queue_data", "storage_data", acquire, update, update, update])
        run.assert_clean()


def stored(sandbox, update):
    return sum(entry["worked"] for entry in sandbox.record(update))
