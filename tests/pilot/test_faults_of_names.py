"""The server's name stops resolving in mid-run and resolves again later, at each call and in both dialects.

The names are real: the pilot has an /etc/hosts and an /etc/resolv.conf of its own, in a mount namespace.
"""

import time

import pytest
from private_names import NAME, PrivateNames, how_to_unshare
from troubles import Way

from tests.chaos.pilotrun import SOAK, PilotRun

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.timeout(90),
    pytest.mark.skipif(not how_to_unshare(), reason="no mount namespace is allowed here: names cannot be taken away"),
]


@pytest.fixture
def server(both_sandbox):
    return both_sandbox


def at_the_name(server):
    """Return the options with which a pilot looks for the server by its name."""
    url = server.url.replace("127.0.0.1", NAME)
    return (
        "--url", url,
        "--queuedata-url", f"{url}/cache/schedconfig/{{pandaqueue}}.all.json",
        "--storagedata-url", f"{url}/cache/ddmendpoints.json",
    )  # fmt: skip


@pytest.mark.parametrize("turn", range(4 if SOAK else 1))
@pytest.mark.parametrize(("dialect", "first"), [("v1", "queue_data"), ("legacy", "storage_data")])
def test_a_name_that_stops_resolving_costs_a_retry_at_each_call(server, dialect, first, turn):
    with PilotRun(server) as run, PrivateNames(run.home, server) as names:
        shift = turn + (dialect == "legacy")
        kinds = [names.kinds[(place + shift) % len(names.kinds)] for place in range(len(names.kinds))]
        way = Way(run, names, kinds, dialect)
        job_id = way.go(*at_the_name(server), descriptions=first, wrap=names.wrap)
        run.assert_final(job_id, "finished", 0, rejected=0)
        assert len(way.met) == 5
        assert len(names.kinds) == 1 or names.asked > 0
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.parametrize("kind", ["nxdomain", "silent"] if SOAK else ["silent"])
def test_p89_a_name_server_that_is_silent_does_not_outlast_the_limits_of_a_call(server, kind):
    """The resolver's own limits are 10 s for each name; a call has 1 s here, and a signal's report has its reserve."""
    with PilotRun(server) as run, PrivateNames(run.home, server, patience_s=5) as names:
        if kind not in names.kinds:
            pytest.skip("port 53 of a loopback address cannot be had: no name server can be silent")
        (run.home / "pilot.cfg").write_text("[Pilot]\nhttp_maxtime: 1\n")
        (job_id,) = server.make_jobs(1, payload={"until": str(run.payload_end)})
        environ = {"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")}
        tuning = {"kill_grace_s": 4, "report_reserve_s": 1.5}
        run.start(*at_the_name(server), wrap=names.wrap, environment=environ, **tuning)
        run.wait_call("update_job", job_status="running")
        names.begin(kind)
        began = time.monotonic()
        run.kill("guardian", 15)
        assert run.wait_exit() == 143, run.story()
        assert time.monotonic() - began < 10, run.story()
        assert "no complete answer within 1 s" in run.log()
        assert server.job(job_id)["finals_accepted"] == 0
        names.end()
        run.start(*at_the_name(server), wrap=names.wrap, environment=environ)
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "failed", 1201, rejected=0)
        run.assert_clean()
