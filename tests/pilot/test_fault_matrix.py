"""Each fault at each call of a real pilot: the job ends rightly and is reported once, or none was taken.

Rows: 5xx, 403, dropped before and after the work, silence, garbage, truncated JSON, wrong types, TLS and DNS failure.
Columns: queue data, storage data, acquire_jobs, update_job (first, running, final), update_worker_status.
"""

import json
import shutil
import signal

import pytest
import trustme
from tls_relay import Relay

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

_BEFORE = ("http_500", "http_403", "drop_before", "silence", "garbage")
_AFTER = ("drop_after", "truncated", "wrong_types")
KINDS = (*_BEFORE, *_AFTER)
#: An answer is waited for so long here; the default is 120 s.
CONFIG = "[Pilot]\nhttp_connect_timeout: 1\nhttp_maxtime: 1\n"
JOB = {"inputs": [100], "outputs": [100], "transform": "quick.sh"}


@pytest.fixture(scope="module")
def running_server(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture
def one_job_server(running_server):
    running_server.reset()
    for path in running_server.storage.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return running_server


def start(run, *options, environment=None, **tuning):
    (run.home / "pilot.cfg").write_text(CONFIG)
    environ = {"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"), **(environment or {})}
    return run.start(*options, environment=environ, queue_pause_s=0.1, **tuning)


@pytest.mark.parametrize("where", [{}, {"skip": 1}, {"only_final": True}], ids=["first", "running", "final"])
def test_each_fault_at_an_update(tmp_path, where):
    """One pilot, one job after the other, each with another fault at the same update."""
    with Sandbox(tmp_path / "storage", "--timefloor", "60") as sandbox, PilotRun(sandbox) as run:
        start(run, "-v", "1000", "-x", "1000")
        for kind in KINDS:
            sandbox.fault("update_job", kind, **where)
            (job_id,) = sandbox.make_jobs(1, **JOB)
            try:
                sandbox.wait_final(job_id, 15)
            except TimeoutError as error:
                raise AssertionError(f"{kind}: {error}\n{run.story()}") from None
            run.wait_log(f"job={job_id} reporting -> done")
            assert run.assert_final(job_id, "finished", 0)["finals_rejected"] <= 1, kind
            assert any(entry["fault"] == kind for entry in run.updates(job_id)), kind
            sandbox.clear_faults()
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143
        assert "Traceback" not in run.log()
        run.assert_clean()


def test_each_fault_at_the_job_request(one_job_server):
    """A job whose answer was lost on the way is the server's to find; the next request brings the next job."""
    sandbox = one_job_server
    for kind in KINDS:
        sandbox.fault("acquire_jobs", kind)
    *lost, job_id = sandbox.make_jobs(1 + len(_AFTER), **JOB)
    with PilotRun(sandbox) as run:
        start(run, "-v", "20", "-x", "20", getjob_pause_s=0.05)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert [sandbox.job(number)["finals_accepted"] for number in lost] == [0] * len(lost)
        assert [entry["fault"] for entry in sandbox.record("acquire_jobs")] == [*KINDS, None]
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.parametrize("call", ["queue_data", "storage_data"])
@pytest.mark.parametrize("kinds", [("http_500", "drop_before"), ("http_403", "silence"), ("drop_after",)])
def test_a_description_that_is_not_there_is_asked_for_again(one_job_server, call, kinds):
    for kind in kinds:
        one_job_server.fault(call, kind)
    (job_id,) = one_job_server.make_jobs(1, **JOB)
    with PilotRun(one_job_server) as run:
        start(run)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        run.assert_clean()


@pytest.mark.parametrize("call", ["queue_data", "storage_data"])
@pytest.mark.parametrize("kind", ["garbage", "truncated", "wrong_types"])
def test_a_description_that_cannot_be_used_is_asked_for_again(one_job_server, call, kind):
    """One that stays so ends the pilot before it takes a job (test_queue_documents)."""
    one_job_server.fault(call, kind)
    (job_id,) = one_job_server.make_jobs(1, **JOB)
    with PilotRun(one_job_server) as run:
        start(run)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        run.assert_clean()


def test_each_fault_at_the_worker_status(one_job_server):
    sandbox = one_job_server
    for kind in (*(kind for kind in KINDS if kind != "http_403"), "http_403"):
        sandbox.fault("update_worker_status", kind)
    (job_id,) = sandbox.make_jobs(1, **JOB)
    with PilotRun(sandbox) as run:
        start(run, environment={"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}, retry_cap_s=0.1)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.parametrize(
    ("option", "code"),
    [("--url", 0), ("--queuedata-url", 71), ("--storagedata-url", 71)],
)
def test_a_host_that_has_no_address(one_job_server, option, code):
    (job_id,) = one_job_server.make_jobs(1, **JOB)
    with PilotRun(one_job_server) as run:
        start(run, option, "http://no-such-host.invalid:1/x", "-v", "2", "-x", "2")
        assert run.wait_exit() == code, run.story()
        assert one_job_server.job(job_id)["finals_accepted"] == 0
        assert "Traceback" not in run.log()
        run.assert_clean()


def test_a_handshake_that_fails_at_each_call(tmp_path):
    """The job request, the first update, the one after it and the final one: each meets two broken handshakes."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made = authority.issue_cert("127.0.0.1")
    made.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    made.cert_chain_pems[0].write_to_path(str(tmp_path / "chain.pem"))
    tls = ("--tls-cert", str(tmp_path / "chain.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with Sandbox(tmp_path / "storage", *tls) as sandbox, Relay(sandbox.url) as relay, PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
        (run.home / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
        trust = {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        relay.fail(2)
        start(run, "--url", relay.url, "--capath", str(tmp_path / "ca.pem"), "-v", "9", "-x", "9", environment=trust)
        run.wait_log("received -> preparing")  # not before: a cut answer would lose the job
        relay.fail(2)
        run.wait_call("update_job")
        relay.fail(2)
        run.wait_call("update_job", job_status="running")
        relay.fail(2)
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        final = run.assert_final(job_id, "finished", 0)
        assert final["finals_rejected"] <= 1
        assert relay.failed == 8, run.story()
        assert json.loads(final["final"]["job_output_report"])
        assert "Traceback" not in run.log()
        run.assert_clean()
