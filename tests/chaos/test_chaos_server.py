"""A server that is away, hangs, garbles its answers or orders the job's end: no job is lost, none is reported twice."""

import time

import pytest
from phases import hold
from pilotrun import SOAK, report_of

from errors.codes import ErrorCode

pytestmark = pytest.mark.chaos

#: Answers that go wrong before the server did its work, and after it.
_BEFORE = ("http_500", "http_503", "drop_before", "garbage", "empty")
_AFTER = ("http_500_after", "drop_after", "truncated", "cut", "wrong_types")


def finishes(pilot, job_id, *, rejected=None):
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0, rejected=rejected)
    pilot.assert_clean()


@pytest.mark.parametrize("away_s", [5, 60, 300] if SOAK else [3])
def test_a_server_away_at_the_final_update_gets_it_once_it_is_back(pilot, figure, away_s):
    held = hold(pilot, "payload", pilot.start)
    pilot.sandbox.down(away_s)
    back = time.monotonic() + away_s
    held.release()
    pilot.wait_log("not delivered")
    pilot.wait_log("-> done", away_s + 30)
    figure("server back, final update delivered", pilot.updates(held.job_id)[-1]["mono"] - back)
    finishes(pilot, held.job_id, rejected=0)


def test_a_server_away_while_the_payload_runs(pilot):
    held = hold(pilot, "stage-in", pilot.start)
    pilot.sandbox.down()
    held.release()
    pilot.wait_log("not delivered")
    pilot.sandbox.up()
    # The script could not be brought, or it could: in either case the report comes.
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.sandbox.job(held.job_id)
    assert job["finals_accepted"] == 1, pilot.story()
    assert job["state"] == "finished" or job["final"]["pilot_error_code"], pilot.story()
    pilot.assert_clean()


@pytest.mark.parametrize("kind", ["http_403", *_BEFORE, *_AFTER])
def test_wrong_answers_to_updates_and_downloads_cost_a_retry(pilot, kind):
    pilot.sandbox.fault("update_job", kind, only_final=True, times=2)
    pilot.sandbox.fault("update_job", kind, times=1)
    if kind not in ("http_403", "wrong_types", "garbage", "empty", "truncated"):  # those give another file, or none
        pilot.sandbox.fault("transform", kind, times=1)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    pilot.start()
    finishes(pilot, job_id)


@pytest.mark.parametrize("kind", [*_BEFORE, "truncated_queue"])
def test_wrong_answers_before_there_is_a_job_cost_a_request(pilot, kind):
    if kind == "truncated_queue":
        pilot.sandbox.fault("queue_data", "drop_before")
    else:
        pilot.sandbox.fault("acquire_jobs", kind)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    pilot.start("-x", "3", "-v", "3")
    finishes(pilot, job_id, rejected=0)


@pytest.mark.parametrize("call", ["update_job", "acquire_jobs"])
def test_an_answer_that_comes_byte_by_byte(pilot, call):
    pilot.sandbox.fault(call, "slow", seconds=1.0)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    pilot.start()
    finishes(pilot, job_id, rejected=0)


def test_a_hanging_update_gives_way_to_the_final_one(pilot):
    """The server never answers the first updates; the final one is not held up by them."""
    pilot.sandbox.fault("update_job", "silence", times=2)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    pilot.start()
    finishes(pilot, job_id, rejected=0)


def test_a_final_update_that_the_server_took_without_an_answer_is_sent_again_and_is_one(pilot):
    pilot.sandbox.fault("update_job", "drop_after", only_final=True, times=3)
    job_id = pilot.sandbox.make_jobs(1)[0]
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0, rejected=3)
    pilot.assert_clean()


@pytest.mark.parametrize("phase", ["starting", "stage-in", "payload", "stage-out", "log"])
def test_h051_the_server_orders_the_end(pilot, figure, phase):
    """The order comes with the answer to an update; heartbeats come every second."""
    config = pilot.home / "pilot.cfg"
    config.write_text("[Pilot]\nheartbeat: 1\n")

    def start():
        pilot.start(environment={"HARVESTER_PILOT_CONFIG": str(config)}, stall_limit_s=60)

    if phase == "starting":
        job_id = pilot.sandbox.make_jobs(1, inputs=[2000], payload={"until": str(pilot.payload_end)})[0]
        pilot.sandbox.command(job_id, "tobekilled")
        start()
    else:
        payload = {"ignore_term": True, "children": 2} if phase == "payload" else {}
        held = hold(pilot, phase, start, payload=payload)
        job_id = held.job_id
        pilot.sandbox.command(job_id, "tobekilled")
    if phase in ("stage-out", "log"):
        # The log is brought by movers that were stopped as well.
        pilot.wait_log(f"error={ErrorCode.PANDAKILL}")
        held.release()
    code = pilot.wait_exit()
    assert code == 0, pilot.story()
    job = pilot.assert_final(job_id, "cancelled", ErrorCode.PANDAKILL)
    assert report_of(job), pilot.story()
    told = next(e["mono"] for e in pilot.updates(job_id) if "tobekilled" in str(e["answer"]))
    figure("told to end, final update with the log", pilot.updates(job_id)[-1]["mono"] - told)
    pilot.assert_clean()


def test_h059_a_server_that_wants_no_more_of_the_attempt_hears_no_more(pilot):
    held = hold(pilot, "stage-in", pilot.start)
    pilot.sandbox.command(held.job_id, "badattemptnr")
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    assert pilot.sandbox.job(held.job_id)["finals_accepted"] == 0, pilot.story()
    pilot.assert_clean()
