"""The pilot's own proxy while a job runs: renewed by the server's when its attributes end soon (1370), else 1177."""

import pytest
import trustme

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun
from tests.made_proxies import proxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

HOUR = 3600.0


@pytest.fixture
def run(tmp_path):
    """A pilot with a proxy that lasts, a server that speaks TLS, a payload that runs until `payload_end` is there."""
    authority = trustme.CA()
    made = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    made.private_key_pem.write_to_path(str(tmp_path / "server.key"))
    (tmp_path / "server.pem").write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
    options = ("--tls-cert", str(tmp_path / "server.pem"), "--tls-key", str(tmp_path / "server.key"))
    options += ("--proxy-file", str(tmp_path / "given"))
    with Sandbox(tmp_path / "storage", *options) as sandbox, PilotRun(sandbox) as pilot:
        pilot.given, pilot.own = tmp_path / "given", pilot.home / "own"
        pilot.own.write_text(proxy(100 * HOUR, 100 * HOUR))
        (pilot.home / "pilot.cfg").write_text("[Pilot]\nproxy_verification_time = 1\npayload_proxy_from_server = no\n")
        payload = {"until": str(pilot.payload_end)}
        (pilot.job_id,) = sandbox.make_jobs(1, transform="work.py", payload=payload)
        sandbox.set_queue(type="production")
        pilot.start(
            *("--pilot-user=atlas", "--capath", str(tmp_path / "ca.pem")),
            wrap=lambda words: [word for word in words if word != "-t"],
            environment={
                "HOME": str(pilot.home),
                "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
                "X509_USER_PROXY": str(pilot.own),
                "HARVESTER_PILOT_CONFIG": str(pilot.home / "pilot.cfg"),
            },
        )
        pilot.wait_log("starting -> running")
        yield pilot


def test_1370_a_proxy_whose_attributes_end_soon_is_replaced_while_the_job_runs(run):
    new = proxy(90 * HOUR, 80 * HOUR)
    run.given.write_text(new)
    run.own.write_text(proxy(90 * HOUR, 600))
    run.wait_log("1370 the life of the VOMS attributes ends")
    wait_until(lambda: run.own.read_text() == new, 5, "the new proxy")
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(run.job_id, "finished", 0)
    (asked,) = run.sandbox.record("get_proxy")
    assert asked["body"] == {"role": "atlas:/atlas/Role=production"}
    run.assert_clean()


def test_1177_a_proxy_whose_attributes_end_soon_and_that_is_not_replaced_fails_the_job(run):
    run.own.write_text(proxy(90 * HOUR, 600))
    assert run.wait_exit() == 68, run.story()
    job = run.assert_final(run.job_id, "failed", 1177)
    assert "the life of the VOMS attributes ends" in job["final"]["pilot_error_diag"]
    run.assert_clean()
