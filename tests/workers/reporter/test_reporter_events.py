"""Event ranges as tasks of the reporter, against the embedded server in both dialects (panda-protocol 7.2, 7.3)."""

import json

import pytest
from reporter_rig import ACQUIRE, COMMUNICATION, RawServer, says, update

from ipc.results import RangesAcquired, RangesReported
from ipc.tasks import AcquireRanges, ReportRanges
from sandbox.client import Sandbox


@pytest.fixture(scope="module", params=["v1", "legacy"])
def sandbox(tmp_path_factory, request):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", request.param) as server:
        server.dialect = request.param
        yield server


@pytest.fixture
def server(sandbox):
    sandbox.reset()
    return sandbox


def acquire(job_id, tmp_path, number=1, n_ranges=2):
    keep_at = str(tmp_path / f"es_ranges-{number}.json")
    return AcquireRanges(job_id=job_id, jobset_id=1, task_id=3, n_ranges=n_ranges, keep_at=keep_at)


def report(job_id, *ids, status="finished", version=0):
    entries = [{"eventRangeID": each, "eventStatus": status} for each in ids]
    chunks = entries if version == 0 else [{"eventRanges": entries}]
    return ReportRanges(job_id=job_id, task_id=3, version=version, entries=json.dumps(chunks), ids=ids)


@pytest.fixture
def running(server, rig_for):
    """A job that the server handed out, with three ranges."""
    (number,) = server.make_jobs(1)
    server.set_events(number, 3)
    rig = rig_for(server.url)
    rig.ask("job", ACQUIRE)
    rig.ask("update", update(job_id=number))
    return number


def ids_of(result):
    return [each["eventRangeID"] for each in json.loads(result.ranges)]


def test_ranges_until_there_are_none(server, running, rig_for, tmp_path):
    rig = rig_for(server.url)
    found = [ids_of(rig.ask(f"ranges-{number}", acquire(running, tmp_path, number))) for number in (1, 2, 3)]
    assert [len(ids) for ids in found] == [2, 1, 0]
    assert len({each for ids in found for each in ids}) == 3


def test_an_answer_that_was_kept_is_not_asked_for_again(server, running, rig_for, tmp_path):
    task = acquire(running, tmp_path)
    first = rig_for(server.url).ask("ranges", task)
    assert isinstance(first, RangesAcquired)
    before = len(server.record())
    assert rig_for(server.url).ask("ranges", task) == first
    assert len(server.record()) == before
    assert (tmp_path / "es_ranges-1.json").stat().st_mode & 0o077 == 0


def test_two_reporters_ask_once(server, running, rig_for, tmp_path):
    """The supervisor of the first one died: it waits for its answer and keeps it, the other one takes that."""
    task = acquire(running, tmp_path)
    old, new = rig_for(server.url), rig_for(server.url)
    for call in ("acquire_event_ranges", "getEventRanges"):
        server.fault(call, "late", seconds=0.5)
    old.assign("old", task)
    old.turn()
    new.assign("new", task)
    new.turn()
    old.stop()
    new.until(lambda: "new" in new.desk.results)
    assert ids_of(new.desk.results["new"]) == ids_of(old.desk.results["old"])
    assert sum(each["handed"] for each in server.job(running)["events"]["ranges"].values()) == 2


@pytest.mark.parametrize("version", [0, 1])
def test_case_63_a_report_counts_although_the_server_breaks_behind_it(server, running, rig_for, tmp_path, version):
    rig = rig_for(server.url)
    ids = ids_of(rig.ask("ranges", acquire(running, tmp_path)))
    assert rig.ask("report", report(running, *ids, version=version)) == RangesReported(results=("stored", "stored"))
    assert rig.ask("again", report(running, *ids, version=version)) == RangesReported(results=("stored", "stored"))
    states = [each["state"] for name, each in server.job(running)["events"]["ranges"].items() if name in ids]
    assert states == ["finished", "finished"]


def test_a_report_that_was_not_stored_is_one_to_send_again(server, running, rig_for, tmp_path):
    rig = rig_for(server.url)
    ids = ids_of(rig.ask("ranges", acquire(running, tmp_path)))
    for call in ("update_event_ranges", "updateEventRanges"):
        server.fault(call, "http_500")
    code, text, retry = rig.ask("report", report(running, *ids))
    assert (code, retry) == (COMMUNICATION, True)
    assert "not stored" in text or "nobody knows" in text


def test_what_the_server_refuses_is_told(server, running, rig_for, tmp_path):
    rig = rig_for(server.url)
    ids = ids_of(rig.ask("ranges", acquire(running, tmp_path)))
    strange = f"3-{running}-9-9-9"
    found = rig.ask("report", report(running, ids[0], strange))
    if server.dialect == "legacy":
        assert found == RangesReported(results=("stored", "refused"))
    else:  # v1 tells nothing but what it has
        assert found[2], "it may be sent again"


def test_softkill_comes_with_the_answer(server, running, rig_for, tmp_path):
    rig = rig_for(server.url)
    ids = ids_of(rig.ask("ranges", acquire(running, tmp_path)))
    server.command(running, "softkill")
    told = "softkill" if server.dialect == "legacy" else ""  # v1 answers a report with HTTP 500
    assert rig.ask("report", report(running, ids[0])) == RangesReported(results=("stored",), command=told)


@pytest.mark.parametrize("odd", ["../../etc/passwd", "a b", "", "x/y"])
def test_the_id_of_a_range_becomes_a_file_name_and_must_be_one(rig_for, tmp_path, odd):
    body = json.dumps({"success": True, "message": "", "data": [{"eventRangeID": odd}]}).encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    with RawServer(says(head + body)) as server:
        code, text, _ = rig_for(server.url).ask("ranges", acquire(1, tmp_path))
    assert code == COMMUNICATION
    assert "id of an event range" in text
    assert not list(tmp_path.glob("es_ranges*"))


def test_without_a_server_there_are_no_ranges(rig_for, tmp_path):
    rig = rig_for(update_server=False)
    code, text, retry = rig.ask("ranges", acquire(1, tmp_path))
    assert (code, retry) == (COMMUNICATION, False)
    assert "no server" in text


def test_a_place_that_cannot_be_written_loses_no_range(server, running, rig_for, tmp_path):
    task = acquire(running, tmp_path / "not-there")
    assert len(ids_of(rig_for(server.url).ask("ranges", task))) == 2
