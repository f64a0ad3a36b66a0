"""Each fault at each call of a real pilot: the job ends rightly and is reported once, or none was taken.

Rows: 5xx, 403, 404, dropped before and after the work, silence, garbage, truncated JSON, wrong types.
Columns: queue data, storage data, job request, job update (first, running, final), worker status; in both dialects.
TLS and DNS failures are in test_faults_of_tls and test_faults_of_names, the lesser calls in test_fault_matrix_aside.
"""

import json
import signal

import pytest
import trustme
from tls_relay import Relay

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

_BEFORE = ("http_500", "http_503", "http_403", "http_404", "drop_before", "silence", "garbage")
_AFTER = ("drop_after", "truncated", "wrong_types")
KINDS = (*_BEFORE, *_AFTER)
#: An answer is waited for so long here; the default is 120 s.
CONFIG = "[Pilot]\nhttp_connect_timeout: 1\nhttp_maxtime: 1\n"
JOB = {"inputs": [100], "outputs": [100], "transform": "quick.sh"}


#: The same calls in both dialects, and how the pilot is told.
CALLS = {
    "v1": ("acquire_jobs", "update_job", "update_worker_status", ()),
    "legacy": ("getJob", "updateJob", "updateWorkerPilotStatus", ("--server-api", "legacy")),
}
AT_AN_UPDATE = {"first": {}, "running": {"skip": 1}, "final": {"only_final": True}}


@pytest.fixture
def one_job_server(sandbox):
    return sandbox


@pytest.fixture
def server_of(request):
    """Return the server for a dialect: legacy is spoken beside v1, as by the releases that have it."""
    names = {"v1": "sandbox", "legacy": "both_sandbox"}
    return lambda dialect: request.getfixturevalue(names[dialect])


def start(run, *options, environment=None, **tuning):
    (run.home / "pilot.cfg").write_text(CONFIG)
    environ = {"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"), **(environment or {})}
    return run.start(*options, environment=environ, queue_pause_s=0.1, **tuning)


@pytest.mark.parametrize(
    ("dialect", "places"),
    [("v1", ("first",)), ("v1", ("running",)), ("v1", ("final",)), ("legacy", tuple(AT_AN_UPDATE))],
)
def test_each_fault_at_an_update(tmp_path, dialect, places):
    """One pilot, one job after the other, each with another fault at the same update; in legacy at all three."""
    _, call, _, options = CALLS[dialect]
    spoken = {"v1": "v1", "legacy": "both"}[dialect]
    with (
        Sandbox(tmp_path / "storage", "--timefloor", "60", "--dialects", spoken) as sandbox,
        PilotRun(sandbox) as run,
    ):
        start(run, "-v", "1000", "-x", "1000", *options)
        for kind in KINDS:
            for place in reversed(places):
                sandbox.fault(call, kind, **AT_AN_UPDATE[place])
            since = len(sandbox.record())
            (job_id,) = sandbox.make_jobs(1, **JOB)
            try:
                sandbox.wait_final(job_id, 15)
            except TimeoutError as error:
                raise AssertionError(f"{kind}: {error}\n{run.story()}") from None
            run.wait_log(f"job={job_id} reporting -> done")
            assert run.assert_final(job_id, "finished", 0)["finals_rejected"] <= 1, kind
            met = [entry["fault"] for entry in sandbox.record(call, since) if entry["fault"]]
            assert met == [kind] * len(places), run.story()
            sandbox.clear_faults()
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.parametrize("dialect", CALLS)
def test_each_fault_at_the_job_request(server_of, dialect):
    """A job whose answer was lost on the way is the server's to find; the next request brings the next job.

    A legacy answer is the job itself: with wrong types in it, it is a job that is refused and reported. A refused token
    is not among these: it ends the pilot (test_dialect_of_the_server).
    """
    kinds = [kind for kind in KINDS if kind != "http_403"]
    sandbox = server_of(dialect)
    sandbox.set_queue(timefloor=60)
    call, _, _, options = CALLS[dialect]
    for kind in kinds:
        sandbox.fault(call, kind)
    *lost, wrong, job_id = sandbox.make_jobs(1 + len(_AFTER), **JOB)
    with PilotRun(sandbox) as run:
        start(run, "-v", "12", "-x", "12", *options, getjob_pause_s=0.05)
        sandbox.wait_final(job_id, 20)
        run.kill("guardian", signal.SIGTERM)
        assert run.wait_exit() == 143
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert [sandbox.job(number)["finals_accepted"] for number in lost] == [0] * len(lost)
        if dialect == "legacy":
            refused = run.assert_final(wrong, "failed", 1302, rejected=0)
            assert "jobPars" in refused["final"]["pilot_error_diag"]
        else:
            assert sandbox.job(wrong)["finals_accepted"] == 0
        assert [entry["fault"] for entry in sandbox.record(call)][: len(kinds) + 1] == [*kinds, None]
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.parametrize("call", ["queue_data", "storage_data"])
@pytest.mark.parametrize("kinds", [("http_500", "drop_before"), ("http_403", "silence"), ("http_404", "drop_after")])
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


@pytest.mark.parametrize("dialect", CALLS)
def test_each_fault_at_the_worker_status(server_of, dialect):
    """The word "started" meets all but a 403 and gets through; "finished" meets a 403, which is for good.

    With wrong types, legacy's whole answer is StatusCode "0": that is a yes (case 18).
    """
    sandbox = server_of(dialect)
    _, _, call, options = CALLS[dialect]
    kinds = [kind for kind in KINDS if kind != "http_403"]
    for kind in kinds:
        sandbox.fault(call, kind)
    with PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
        environ = {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}
        start(run, *options, environment=environ, retry_cap_s=0.1)
        run.wait_call(call, 30, status="started")
        through = [] if dialect == "legacy" else [("started", None)]
        expected = [*(("started", kind) for kind in kinds), *through]
        wait_until(lambda: len(sandbox.record(call)) == len(expected), 20, "the word did not get through")
        sandbox.fault(call, "http_403")
        run.payload_end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0, rejected=0)
        met = [(entry["body"]["status"], entry["fault"]) for entry in sandbox.record(call)]
        assert met == [*expected, ("finished", "http_403")]
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
