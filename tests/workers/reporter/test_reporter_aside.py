"""The lane of calls on which no job depends: it hangs alone, is given up alone, and leaves nothing behind."""

import time

from reporter_rig import RawServer, answer, says, update
from test_reporter_hostile import STORED, in_turn, open_descriptors, silence

from host.clock import now
from ipc.results import UpdateAnswered
from ipc.tasks import CheckIdentity, SendUpdate
from tests.waiting import wait_until
from workers.reporter.lanes import ASIDE, JOBS, lane_of

STATUS = SendUpdate(sequence=9, call="update_worker_status", body='{"worker_id": 1, "status": "started"}')


def by_call(connection, request, stopped):
    if b"update_worker_status" in request:
        silence(connection, request, stopped)
    else:
        connection.sendall(answer(STORED))


def test_what_is_aside():
    assert lane_of(STATUS) == ASIDE
    assert lane_of(CheckIdentity(least_s=1, token_least_s=1)) == ASIDE
    assert lane_of(update()) == JOBS


def test_a_word_that_hangs_holds_no_update_up_and_is_given_up_at_its_deadline(rig_for):
    with RawServer(by_call) as server:
        rig = rig_for(server.url, http_timeout_s=1.0)
        began = time.monotonic()
        rig.assign("status/1/1", STATUS)
        rig.until(lambda: server.requests)
        assert rig.ask("u/1/1", update()) == UpdateAnswered(stored=True)
        assert time.monotonic() - began < 0.9
        rig.until(lambda: "status/1/1" in rig.desk.failures)
        code, text, retry = rig.desk.failures["status/1/1"]
        assert (code, retry) == (1318, True)
        assert "imed out" in text or "within 1 s" in text
        assert time.monotonic() - began < 3.0


def test_a_cancelled_word_is_forgotten_and_the_next_one_goes_out(rig_for):
    with RawServer(in_turn([silence, says(answer(STORED))])) as server:
        rig = rig_for(server.url)
        rig.assign("status/1/1", STATUS)
        rig.until(lambda: server.requests)
        rig.duty.cancel("status/1/1", now())
        assert rig.ask("status/2/1", STATUS) == UpdateAnswered(stored=True)
        assert "status/1/1" not in rig.desk.results


def test_the_lane_leaves_no_descriptor_behind(rig_for):
    with RawServer(says(answer(STORED))) as server:
        rig_for(server.url).ask("a", STATUS)
        before = open_descriptors()
        rig = rig_for(server.url)
        rig.ask("a", STATUS)
        rig.stop()
        assert rig.desk.callbacks == {}
        wait_until(lambda: open_descriptors() <= before + 1, 5, "only the server's end is left")
