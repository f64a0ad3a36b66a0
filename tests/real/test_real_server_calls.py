"""The calls beside request and update, carried to a server of PanDA itself."""

import os
import time

import pytest

from ipc.results import NodeDescribed
from ipc.tasks import DescribeNode
from settings.settings import Settings
from workers.reporter import calls_credentials, calls_events, calls_jobs
from workers.reporter.carrier import Carrier
from workers.reporter.exchange import Failure, HttpRequest, LocalCall
from workers.reporter.node_maps import NodeDescription

_LIMIT_S = 60.0


@pytest.fixture
def settings(panda):
    return Settings(queue="SANDBOX", url=panda.url, ca_cert=panda.proxy, ca_path=panda.authorities)


@pytest.fixture
def dialect():
    return os.environ.get("BULKHEAD_PANDA_API") or "v1"


@pytest.fixture
def carry(settings):
    carrier = Carrier(settings, {})
    yield lambda call: call.read(carrier.perform(call.request, time.monotonic() + _LIMIT_S))
    carrier.close()


def test_the_state_of_jobs_and_the_resource_types(settings, carry):
    (status,) = carry(calls_jobs.get_job_status(settings, [99_999_999]))
    assert (status.job_id, status.attempt_nr) == (99_999_999, 0)
    assert carry(calls_jobs.get_resource_types(settings))


def test_a_bulk_update_answers_for_each_job(settings, carry, dialect):
    updates = [{"job_id": number, "job_status": "running", "attempt_nr": 1} for number in (99_999_998, 99_999_999)]
    assert [answer.command for answer in carry(calls_jobs.update_jobs_bulk(settings, updates, "h"))] == [
        "tobekilled"
    ] * 2


def test_events_of_a_job_that_has_none(settings, carry):
    ids = {"job_id": 99_999_999, "jobset_id": 1, "task_id": 1}
    assert carry(calls_events.acquire_ranges(settings, **ids, n_ranges=5)) == ()
    assert carry(calls_events.get_range_count(settings, **ids)) == 0
    assert carry(calls_events.get_range_statuses(settings, {99_999_999: 1})) == {"99999999": {}}
    report = carry(calls_events.update_ranges(settings, [{"eventRangeID": "1-1-1-1-1", "eventStatus": "finished"}]))
    assert not report.certain


def test_credentials_are_given_or_refused_for_good(settings, carry):
    """A server without a proxy for this role says so, which may change; everything else is a refusal or the thing."""
    for call in (
        calls_credentials.get_token_key(settings),
        calls_credentials.get_key_pair(settings, "a.pub", "a.priv"),
        calls_credentials.get_access_token(settings, "wrong"),
        calls_credentials.get_proxy(settings, "atlas"),
    ):
        found = carry(call)
        assert not isinstance(found, Failure) or not found.retry or "not found" in found.text, found
    assert isinstance(carry(calls_credentials.get_user_secrets(settings, ["A"])), dict)


def test_the_worker_node_is_taken(settings, tmp_path):
    """A server whose tables lack that of the queues stores the node and says that somebody else was at it."""
    task = DescribeNode(site="SANDBOX-SITE", queue="", node="slot1@bulkhead-test", home=str(tmp_path), send=True)
    conversation, carrier = NodeDescription(task, settings), Carrier(settings, {})
    step = conversation.begin()
    while isinstance(step, HttpRequest | LocalCall):
        step = conversation.heard(carrier.perform(step, time.monotonic() + _LIMIT_S))
    carrier.close()
    assert step == NodeDescribed()
