"""Each fault at each call beside request and update, over real connections: a failure that says why, in its time.

Those that every pilot makes are in tests/pilot/test_fault_matrix; these are of credentials, events and job states.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from reporter_rig import settings_for
from test_reporter_calls import all_calls

from sandbox.client import Sandbox
from workers.reporter.calls_events import EventReport
from workers.reporter.carrier import Carrier
from workers.reporter.exchange import Failure

#: Kind -> whether the call may be made again.
KINDS = {
    "http_500": True, "http_503": True, "http_403": False, "http_404": True, "drop_before": True, "drop_after": True,
    "silence": True, "garbage": True, "truncated": True, "empty": True, "cut": True,
}  # fmt: skip
#: Calls that the embedded server does not know have no answer to break.
NEED_AN_ANSWER = ("truncated", "cut")
LIMIT_S = 0.7


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "both") as running:
        yield running


def outcome_of(settings, call):
    """Carry one call with a connection of its own; return what came of it and how long that took."""
    carrier = Carrier(settings, {})
    began = time.monotonic()
    try:
        return call.read(carrier.perform(call.request, began + LIMIT_S)), time.monotonic() - began
    finally:
        carrier.close()


def outcomes(settings, calls):
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda call: outcome_of(settings, call), calls))


@pytest.mark.parametrize("kind", KINDS)
def test_each_fault_at_each_call(server, tmp_path, kind):
    server.reset()
    server.fault("*", kind, times=None, seconds=5)
    settings = settings_for(server.url, tmp_path)
    calls = all_calls(settings)
    for call, (outcome, took_s) in zip(calls, outcomes(settings, calls), strict=True):
        where = (kind, call.request.url, outcome)
        if isinstance(outcome, EventReport):
            # A 500 to a report of events may be one that was stored (case 63).
            assert (kind, outcome.certain) == ("http_500", False), where
            continue
        assert isinstance(outcome, Failure), where
        assert outcome.text, where
        if kind not in NEED_AN_ANSWER:
            assert outcome.retry is KINDS[kind], where
        assert took_s < LIMIT_S + 0.5, where
    assert len(server.record()) == len(calls), "nothing is sent twice by itself"
    server.clear_faults()


@pytest.mark.parametrize("kind", ["tls", "dns"])
def test_no_way_to_the_server_at_each_call(server, tmp_path, kind):
    server.reset()
    plain_text = server.url.replace("http:", "https:")
    url = plain_text if kind == "tls" else "http://no-such-host.invalid:1"
    settings = replace(settings_for(server.url, tmp_path), url=url)
    calls = all_calls(settings)
    for call, (outcome, _) in zip(calls, outcomes(settings, calls), strict=True):
        assert isinstance(outcome, Failure), (call.request.url, outcome)
        assert outcome.retry
        assert outcome.text
    assert server.record() == []
