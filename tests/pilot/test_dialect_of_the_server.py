"""Which dialect a whole pilot speaks: legacy where v1 is forbidden or unknown, v1 where the person is refused."""

import signal

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

IDS = {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}
V1 = ("update_worker_status", "acquire_jobs", "update_job")
LEGACY = ("updateWorkerPilotStatus", "getJob", "updateJob")
TOKEN = "c4n4ry-token-0123456789"


def spoken(sandbox):
    return [entry["call"] for entry in sandbox.record() if entry["call"] in (*V1, *LEGACY)]


@pytest.mark.parametrize(("kind", "killed"), [("forbidden", False), ("http_404", True)])
def test_a_server_that_does_not_know_v1_gets_the_whole_job_in_legacy(both_sandbox, kind, killed):
    for call in V1:
        both_sandbox.fault(call, kind, times=None)
    with PilotRun(both_sandbox) as run:
        (job_id,) = both_sandbox.make_jobs(1, outputs=[100], payload={"until": str(run.payload_end)})
        run.start(environment=IDS)
        run.wait_log("starting -> running")
        run.wait_call("updateJob", state="running")
        if killed:
            run.wait_gone(run.kill("reporter"))
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        calls = spoken(both_sandbox)
        asked = [call for call in calls if call in V1]
        assert len(asked) == 1 + killed, calls  # once for each life of the reporter
        assert {*calls} - {*V1} == {*LEGACY}
        words = [entry["body"]["status"] for entry in both_sandbox.record("updateWorkerPilotStatus")]
        assert words == ["started", "finished"]
        assert run.log().count("the legacy API is spoken") == 1 + killed
        run.assert_clean()


def test_case_11_a_refused_token_ends_the_pilot_and_does_not_change_the_dialect(tmp_path):
    """One request, in v1; the exit code says that the server cannot be worked with."""
    (tmp_path / "token").write_text(TOKEN)
    environ = {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "a:b", "OIDC_AUTH_DIR": str(tmp_path / "x"), **IDS}
    with (
        Sandbox(tmp_path / "storage", "--dialects", "both", "--token", "another") as sandbox,
        PilotRun(sandbox) as run,
    ):
        sandbox.make_jobs(1)
        run.start("-v", "2", "-x", "2", environment={"HOME": str(run.home), **environ})
        assert run.wait_exit() == 79, run.story()
        calls = spoken(sandbox)
        assert calls.count("acquire_jobs") == 1
        assert {*calls} & {*LEGACY} == set()
        assert "Token authentication failed" in run.log()
        assert TOKEN not in run.log() + run.out.read_text()
        run.assert_clean()


@pytest.mark.parametrize("killed", [False, True], ids=["", "reporter-killed"])
def test_case_11_a_token_refused_in_mid_run_does_not_change_the_dialect_and_loses_no_report(both_sandbox, killed):
    """The new reporter has spoken to nobody yet: it must not take the refusal for a server that does not know v1."""
    with PilotRun(both_sandbox) as run:
        (job_id,) = both_sandbox.make_jobs(1, outputs=[100], payload={"until": str(run.payload_end)})
        run.start()
        run.wait_call("update_job", job_status="running")
        both_sandbox.fault("update_job", "http_403", times=None)
        if killed:
            run.wait_gone(run.kill("reporter"))
        run.payload_end.touch()
        run.wait_log("not delivered (try 2): 1406")
        both_sandbox.clear_faults()
        assert run.wait_exit() == 0, run.story()
        job = run.assert_final(job_id, "finished", 0, rejected=0)
        assert job["final"].get("pilot_timing"), "the report was reduced, though nothing was wrong with it"
        assert {*spoken(both_sandbox)} & {*LEGACY} == set()
        run.assert_clean()


def test_a_token_refused_for_good_is_told_by_the_pilots_end_and_kept(both_sandbox):
    """The final update waits on disk for a pilot with a better token."""
    with PilotRun(both_sandbox) as run:
        (job_id,) = both_sandbox.make_jobs(1, outputs=[100], payload={"until": str(run.payload_end)})
        run.start(kill_grace_s=4, report_reserve_s=1)
        run.wait_call("update_job", job_status="running")
        both_sandbox.fault("update_job", "http_403", times=None)
        run.payload_end.touch()
        run.wait_log("not delivered (try 2): 1406")
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143, run.story()
        assert "waits on disk" in run.log()
        both_sandbox.clear_faults()
        run.start()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        run.assert_clean()
