"""Conformance cases of job request and update in the legacy dialect, with whole pilots (panda-protocol 1.4-1.7)."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest
from pilotrun import PilotRun, as_new

from sandbox.client import Sandbox
from tests.waiting import wait_until

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workers" / "reporter"))

from reporter_rig import RawServer, answer

pytestmark = pytest.mark.chaos

_LEGACY = ("--server-api", "legacy")


@pytest.fixture(scope="module")
def legacy_server(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "legacy") as running:
        yield running


@pytest.fixture
def run(legacy_server, _adopts):
    with PilotRun(as_new(legacy_server)) as pilot:
        yield pilot


class Clerk:
    """Answers getJob with one body for ever, and notes when it was asked."""

    def __init__(self, body, content_type="text/plain"):
        self.asked_at = []
        self._answer = answer(body, "200 OK", f"Content-Type: {content_type}")

    def __call__(self, connection, request, _stopped):
        if b"/server/panda/getJob " in request:
            self.asked_at.append(time.monotonic())
        connection.sendall(self._answer)


@pytest.mark.parametrize(
    "body",
    [
        b"StatusCode=20",
        b"StatusCode=20&errorDialog=no+jobs+in+PanDA",
        {"StatusCode": 20, "errorDialog": "no jobs in PanDA"},
        {"StatusCode": "20"},
        b"StatusCode=10",
        {"StatusCode": 10, "errorDialog": "database timeout"},
        {"StatusCode": 30},
    ],
    ids=str,
)
def test_case_17_no_job_in_the_legacy_dialect_is_waited_after(run, body):
    """The pause is 60 to 180 s with the usual tuning: one to three times `getjob_pause_s`."""
    pause_s = 0.5
    clerk = Clerk(body)
    with RawServer(clerk) as server:
        run.start(*_LEGACY, "--url", server.url, "-x", "3", "-v", "9", getjob_pause_s=pause_s)
        assert run.wait_exit() == 0, run.story()
    pauses = [later - earlier for earlier, later in zip(clerk.asked_at, clerk.asked_at[1:], strict=False)]
    assert len(pauses) == 2
    assert all(pause_s <= pause <= 3 * pause_s + 1.5 for pause in pauses), pauses
    assert "3 requests brought no job" in run.log()


def test_too_little_disk_is_seen_before_a_job_is_asked_for_in_the_legacy_dialect(run):
    run.sandbox.make_jobs(1)
    run.start(*_LEGACY, free_space_bytes=2**60)
    assert run.wait_exit() == 69, run.story()  # 1098
    assert run.sandbox.record("getJob") == []


def test_a_drain_file_ends_the_search_in_the_legacy_dialect(run):
    run.sandbox.make_jobs(1)
    (run.home / "pilot_drain").touch()
    run.start(*_LEGACY)
    assert run.wait_exit() == 0, run.story()
    assert run.sandbox.record("getJob") == []
    assert "pilot_drain is there" in run.log()


@pytest.mark.parametrize("dialect", ["v1", "legacy"])
def test_case_45_a_final_update_refused_all_the_time_is_kept_without_the_jobs_secrets(tmp_path, dialect):
    """The job never had a payload, so nobody but the leaving pilot takes its secrets away; the next one reports it."""
    with Sandbox(tmp_path / "storage", "--dialects", dialect) as sandbox, PilotRun(sandbox) as run:
        call = {"v1": "update_job", "legacy": "updateJob"}[dialect]
        sandbox.fault(call, "http_500", times=None)
        secrets = json.dumps({"key": "C4N4RY"})
        (job_id,) = sandbox.make_jobs(1, inputs=[10], fields={"secrets": secrets, "checksum": "ad:00000001"})
        run.start(kill_grace_s=3, report_reserve_s=1, getjob_pause_s=0.2)
        run.wait_log("transferring_log -> reporting")
        (main,) = run.main_dirs()
        kept = main / f"PanDA_Pilot-{job_id}" / "panda_secrets.json"
        assert kept.is_file()
        run.wait_log(f"of {job_id}.1 not delivered")
        run.process.send_signal(signal.SIGTERM)
        assert run.wait_exit() == 128 + signal.SIGTERM, run.story()
        wait_until(lambda: not run.family(), 10, "processes are left")
        assert "its final update waits on disk for a later pilot" in run.log()
        assert not kept.exists()
        assert not list(main.glob(".bulkhead/acquired-*"))
        assert sandbox.job(job_id)["finals_accepted"] == 0
        sandbox.clear_faults()
        run.start()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "failed", rejected=0)
        run.assert_clean()
