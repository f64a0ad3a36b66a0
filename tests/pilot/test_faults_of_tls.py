"""The server's TLS end goes bad in mid-run and is well again later, at each call and in both dialects (H055, H056).

Nothing is said to an end that cannot be trusted; the job goes on when the right one is back.
"""

import pytest
from tls_front import KINDS, TlsFront
from troubles import Way

from tests.chaos.pilotrun import SOAK, PilotRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

TOKEN = "c4n4ry-token-0123456789"


@pytest.mark.parametrize("turn", range(len(KINDS) if SOAK else 1))
@pytest.mark.parametrize(("dialect", "first"), [("v1", "storage_data"), ("legacy", "queue_data")])
def test_h055_h056_a_tls_end_that_goes_bad_costs_a_retry_at_each_call(both_sandbox, dialect, first, turn):
    with PilotRun(both_sandbox) as run, TlsFront(both_sandbox.url, run.home) as front:
        (run.home / "token").write_text(TOKEN)
        environ = {
            "OIDC_AUTH_TOKEN": "token",
            "OIDC_AUTH_ORIGIN": "atlas:production",
            "OIDC_AUTH_DIR": str(run.home / "x"),
            "SSL_CERT_FILE": str(front.authority),
            "HOME": str(run.home),
        }
        shift = turn + 2 * (dialect == "legacy")
        way = Way(run, front, [KINDS[(place + shift) % len(KINDS)] for place in range(len(KINDS))], dialect)
        options = (
            "--url", front.url,
            "--capath", str(front.authority),
            "--queuedata-url", f"{front.url}/cache/schedconfig/{{pandaqueue}}.all.json",
            "--storagedata-url", f"{front.url}/cache/ddmendpoints.json",
        )  # fmt: skip
        job_id = way.go(*options, descriptions=first, environment=environ)
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert len(way.met) == 5
        assert front.met >= 5
        assert front.leaked == []
        assert TOKEN not in run.log() + run.out.read_text()
        assert "Traceback" not in run.log()
        run.assert_clean()
