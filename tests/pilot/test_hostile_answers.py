"""Server answers of the list of hostile inputs (H044 to H062) through whole pilots: named, nothing lost, reported once.

H051 (the order to end in each phase) is in test_chaos_server, H055 and H056 in test_faults_of_tls and test_pilot_tls.
"""

import json
import signal

import pytest
from hostile_answers import MIB, HostileServer, bomb, cut, drip, endless
from reporter_rig import RawServer, answer, says

from tests.chaos.pilotrun import SOAK, PilotRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

CONFIG = "[Pilot]\nhttp_connect_timeout: 1\nhttp_maxtime: 1\n"
JOB = {"inputs": [100], "outputs": [100], "transform": "quick.sh"}
STORED = {"success": True, "message": "", "data": {"StatusCode": 0, "command": "NULL"}}
#: Answers that come through whole: what is wrong with them is for the dialect to see.
READ_BY_DIALECT = ("H044", "H045", "H049", "H054", "H060", "deep", "NaN")
CALLS = {"v1": ("acquire_jobs", "update", "final"), "legacy": ("getJob", "update", "final")}


def answers(elsewhere):
    """Return the answers by their numbers; the last word is part of what the log must say."""
    gzip = "Content-Encoding: gzip"
    return {
        "H044": (says(answer("<html>Log in</html>", "200 OK", "Content-Type: text/html")), "HTML"),
        "H045": (says(answer("")), "an empty body"),
        "H046": (cut, "IncompleteRead"),
        "H047": (endless, "larger than 67108864 bytes"),
        "H047-announced": (says(answer(b"", length=10**10)), "10000000000 bytes is announced"),
        "H048": (says(answer(bomb(), "200 OK", gzip)), "larger than 67108864 bytes"),
        "H049": (says(answer("é".encode("utf-16"), "200 OK", "Content-Type: x; charset=odd")), "no valid JSON"),
        "H054": (says(answer("", "302 Found", f"Location: {elsewhere}/x?key=c4n4ry")), "not followed"),
        "H057": (says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB + b"\r\n\r\n"), ""),
        "H058": (drip, "no complete answer within 1 s"),
        "H060": (says(answer("busy", "503 Busy", "Retry-After: 1000000000")), "HTTP 503: busy"),
        "deep": (says(answer(b'{"data": ' * 100_000)), "nested too deeply"),
        "NaN": (says(answer(b'{"success": true, "data": {"StatusCode": NaN}}')), "NaN is not JSON"),
    }


def at(hostile, sandbox):
    return (
        "--url", hostile.url,
        "--queuedata-url", f"{sandbox.url}/cache/schedconfig/{{pandaqueue}}.all.json",
        "-v", "99", "-x", "99",
    )  # fmt: skip


@pytest.mark.parametrize("dialect", CALLS)
def test_h044_to_h060_each_answer_at_each_call(both_sandbox, dialect):
    """Three answers of a kind in the life of one job: to the job request, to its first update and to the final one."""
    both_sandbox.set_queue(timefloor=60)
    with (
        HostileServer(both_sandbox.url) as hostile,
        RawServer(says(answer(STORED))) as elsewhere,
        PilotRun(both_sandbox) as run,
    ):
        (run.home / "pilot.cfg").write_text(CONFIG)
        environ = {"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")}
        options = (*at(hostile, both_sandbox), "--server-api", dialect)
        run.start(*options, environment=environ, getjob_pause_s=0.05, supersede_after_s=3)
        for name, (script, text) in answers(elsewhere.url).items():
            if dialect == "legacy" and not SOAK and name not in READ_BY_DIALECT:
                continue  # what does not reach the dialect is the same in both
            said = run.log().count(text)
            for call in CALLS[dialect]:
                hostile.arm(call, name, script)
            (job_id,) = both_sandbox.make_jobs(1, **JOB)
            run.wait_log(f"job={job_id} reporting -> done", 20)
            run.assert_final(job_id, "finished", 0, rejected=0)
            strikes = [call for call, struck in hostile.strikes if struck == name]
            assert strikes == list(CALLS[dialect]), run.story()
            assert not text or run.log().count(text) >= said + 3, f"{name}\n{run.story()}"
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143
        assert elsewhere.requests == []
        assert "c4n4ry" not in run.log()
        assert "Traceback" not in run.log()
        run.assert_clean()


def rewritten(hostile, change):
    """A script that passes the request on and changes the answer's JSON."""

    def script(connection, request, _stopped):
        _, body = hostile.ask(request)
        value = change(json.loads(body))
        connection.sendall(answer(value, "200 OK", "Date: Tue, 01 Jan 2036 00:00:00 GMT"))

    return script


def as_text(value):
    (value.get("data") or value)["StatusCode"] = "0"
    return value


@pytest.mark.parametrize("dialect", CALLS)
def test_h050_and_h061_a_status_code_as_text_and_a_date_of_another_decade(both_sandbox, dialect):
    with HostileServer(both_sandbox.url) as hostile, PilotRun(both_sandbox) as run:
        for call in CALLS[dialect]:
            hostile.arm(call, "H050", rewritten(hostile, as_text))
        (job_id,) = both_sandbox.make_jobs(1, **JOB)
        run.start(*at(hostile, both_sandbox), "--server-api", dialect)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert [call for call, _ in hostile.strikes] == list(CALLS[dialect])
        assert "not delivered" not in run.log()
        run.assert_clean()


@pytest.mark.parametrize("dialect", CALLS)
def test_h052_a_job_handed_out_twice_is_run_once(both_sandbox, dialect):
    both_sandbox.set_queue(timefloor=60)
    acquire = CALLS[dialect][0]
    kept = []

    def keep(value):
        kept.append(value)
        return value

    with HostileServer(both_sandbox.url) as hostile, PilotRun(both_sandbox) as run:
        hostile.arm(acquire, "first", rewritten(hostile, keep))
        first, second = both_sandbox.make_jobs(2, **JOB)
        run.start(*at(hostile, both_sandbox), "--server-api", dialect, getjob_pause_s=0.2)
        run.wait_log(f"job={first} reporting")
        hostile.arm(acquire, "again", lambda connection, *_: connection.sendall(answer(kept[0])))
        run.wait_log(f"job={second} reporting -> done")
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143, run.story()
        run.assert_final(first, "finished", 0, rejected=0)
        run.assert_final(second, "finished", 0, rejected=0)
        assert f"job {first}.1 was given twice" in run.log()
        run.assert_clean()


@pytest.mark.parametrize("dialect", CALLS)
def test_h053_an_order_for_another_job_is_not_obeyed(both_sandbox, dialect):
    """An answer that names another PandaID is one to somebody else's update: its command is not this job's."""

    def another(value):
        fields = value.get("data") or value
        fields.update(command="tobekilled", PandaID=12345)
        return value

    with HostileServer(both_sandbox.url) as hostile, PilotRun(both_sandbox) as run:
        hostile.arm("update", "H053", rewritten(hostile, another))
        (job_id,) = both_sandbox.make_jobs(1, **JOB)
        run.start(*at(hostile, both_sandbox), "--server-api", dialect)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert "12345" in run.log()
        run.assert_clean()


def test_h059_alreadydone_and_an_unknown_command(both_sandbox):
    """An unknown command is named and costs nothing; `alreadydone` ends the job, which the server knows as ended."""
    with PilotRun(both_sandbox) as run:
        (job_id,) = both_sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
        (run.home / "pilot.cfg").write_text("[Pilot]\nheartbeat: 1\n")
        both_sandbox.command(job_id, "rm -rf /; \x1b[2Jc4n4ry" + "x" * 500)
        run.start(environment={"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")})
        run.wait_log("command is not known and is ignored")
        assert "\x1b" not in run.log()
        run.one("payload")
        both_sandbox.command(job_id, "alreadydone")
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "failed", 1144, rejected=0)
        assert not run.find("payload")
        run.assert_clean()


def test_h062_a_server_that_is_busy_for_long_and_then_fine(both_sandbox):
    """The hours are in test_core_outbox; here 503 is all that the server says while a job is carried out."""
    with PilotRun(both_sandbox) as run:
        (job_id,) = both_sandbox.make_jobs(1, inputs=[100], outputs=[100], payload={"until": str(run.payload_end)})
        run.start()
        run.wait_log("received -> preparing")
        both_sandbox.fault("update_job", "http_503", times=None)
        run.payload_end.touch()
        run.wait_log("not delivered (try 6)")
        both_sandbox.clear_faults()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        run.assert_clean()
