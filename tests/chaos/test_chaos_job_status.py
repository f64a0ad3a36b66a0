"""A recovered job and what the server says of it: asked before the job goes on (panda-protocol 1.7)."""

import signal
import time

import pytest
from pilotrun import PilotRun, as_new

from sandbox.client import Sandbox

pytestmark = pytest.mark.chaos

_STATUS = {"v1": "get_job_status", "legacy": "getStatus"}
_UPDATES = ("update_job", "updateJob")


@pytest.fixture(scope="module", params=["v1", "legacy"])
def dialect(request):
    return request.param


@pytest.fixture(scope="module")
def status_server(tmp_path_factory, dialect):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", dialect) as running:
        yield running


@pytest.fixture
def held(status_server, _adopts):
    """A pilot whose payload runs; `held.job_id` is its job."""
    with PilotRun(as_new(status_server)) as run:
        payload = {"until": str(run.payload_end)}
        (run.job_id,) = status_server.make_jobs(1, inputs=[100], outputs=[100], payload=payload)
        run.start(kill_grace_s=3, report_reserve_s=1)
        run.wait_log("starting -> running")
        run.wait_call(next(call for call in _UPDATES if status_server.record(call)))
        yield run


def updates_after_the_question(run, dialect):
    """Return the updates that came after the server was asked for the job's state."""
    calls = [entry["call"] for entry in run.sandbox.record()]
    assert calls.count(_STATUS[dialect]) == 1, run.story()
    return [call for call in calls[calls.index(_STATUS[dialect]) :] if call in _UPDATES]


def ends_silently(run, dialect):
    payload = run.find("payload")
    assert run.wait_exit() == 0, run.story()
    assert updates_after_the_question(run, dialect) == [], run.story()
    assert not set(payload) & {row.pid for row in run.family()}
    assert "ends without a further report" in run.log()
    if run.sandbox.jobs():  # else its log in the storage is nobody's
        run.assert_clean()


@pytest.mark.parametrize("state", ["finished", "failed", "cancelled", "closed", None])
def test_a_job_that_is_over_at_the_server_ends_without_a_word_when_the_supervisor_comes_back(held, dialect, state):
    held.sandbox.set_state(held.job_id, state)
    held.kill("supervisor")
    ends_silently(held, dialect)


@pytest.mark.parametrize("state", ["cancelled", None])
def test_a_job_that_is_over_at_the_server_ends_without_a_word_in_the_next_pilot(held, dialect, state):
    held.kill_all()
    held.process.wait(5)
    held.sandbox.set_state(held.job_id, state)
    held.start()
    ends_silently(held, dialect)


def test_a_job_that_goes_on_at_the_server_goes_on_here_and_is_reported_once(held, dialect):
    old = held.kill("supervisor")
    held.wait_replaced("supervisor", old)
    held.wait_log("goes on: the server has it as running")
    held.payload_end.touch()
    assert held.wait_exit() == 0, held.story()
    held.assert_final(held.job_id, "finished", 0, rejected=0)
    assert updates_after_the_question(held, dialect)[-1:]
    held.assert_clean()


def test_a_final_update_that_waits_is_not_sent_for_a_job_that_is_over(held, dialect):
    """The server is away at the end, and its watcher has given the job up before the next pilot comes."""
    held.sandbox.down()
    held.payload_end.touch()
    held.wait_log("not delivered")
    held.process.send_signal(signal.SIGTERM)
    held.wait_exit()
    held.sandbox.up()
    held.sandbox.set_state(held.job_id, "failed")
    held.start()
    ends_silently(held, dialect)


@pytest.mark.parametrize("kind", ["silence", "garbage", "http_500", "drop_before"])
def test_a_server_that_does_not_say_holds_nothing_up_for_long(held, dialect, kind):
    held.sandbox.fault(_STATUS[dialect], kind, times=None)
    held.kill_all()
    held.process.wait(5)
    held.payload_end.touch()
    began = time.monotonic()
    held.start(status_wait_s=1)
    assert held.wait_exit() == 0, held.story()
    assert time.monotonic() - began < 15
    held.assert_final(held.job_id, "failed", rejected=0)
    held.assert_clean()


def test_a_payload_goes_on_while_a_silent_server_is_asked(held, dialect):
    held.sandbox.fault(_STATUS[dialect], "silence", times=None)
    payload = held.find("payload")
    old = held.kill("supervisor")
    held.wait_replaced("supervisor", old)
    assert held.find("payload") == payload
    held.payload_end.touch()
    assert held.wait_exit() == 0, held.story()
    held.assert_final(held.job_id, "finished", 0, rejected=0)
