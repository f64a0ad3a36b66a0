"""The lane of calls on which no job depends: it hangs alone, is given up alone, and leaves nothing behind."""

import time
from dataclasses import replace

from reporter_rig import RawServer, answer, says, update
from test_reporter_hostile import STORED, in_turn, open_descriptors, silence

from host.clock import now
from ipc.results import UpdateAnswered
from ipc.tasks import AcquireRanges, AskJobStatus, CheckIdentity, FetchProxy, SendUpdate
from tests.waiting import wait_until
from workers.reporter.lanes import ASIDE, EVENTS, JOBS, lane_of

RANGES = AcquireRanges(job_id=1, jobset_id=1, task_id=1, n_ranges=2, keep_at="kept")
STATUS = SendUpdate(sequence=9, call="update_worker_status", body='{"worker_id": 1, "status": "started"}')


def by_call(connection, request, stopped):
    if b"update_worker_status" in request:
        silence(connection, request, stopped)
    else:
        connection.sendall(answer(STORED))


def test_what_is_aside():
    assert lane_of(STATUS) == ASIDE
    assert lane_of(CheckIdentity(least_s=1, token_least_s=1)) == ASIDE
    assert lane_of(FetchProxy(path="p", role="r", least_s=1)) == ASIDE
    assert lane_of(AskJobStatus(job_id=1, limit_s=1)) == ASIDE
    assert lane_of(RANGES) == EVENTS
    assert lane_of(update()) == JOBS


def test_a_request_for_ranges_that_hangs_holds_neither_an_update_nor_a_word_up(rig_for, tmp_path):
    def ranges_hang(connection, request, stopped):
        if b"acquire_event_ranges" in request:
            silence(connection, request, stopped)
        else:
            connection.sendall(answer(STORED))

    with RawServer(ranges_hang) as server:
        rig = rig_for(server.url)
        rig.assign("ranges/1/1", replace(RANGES, keep_at=str(tmp_path / "kept")))
        rig.until(lambda: server.requests)
        assert rig.ask("u/1/1", update()) == UpdateAnswered(stored=True)
        assert rig.ask("status/1/1", STATUS) == UpdateAnswered(stored=True)
        assert "ranges/1/1" not in rig.desk.failures


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
