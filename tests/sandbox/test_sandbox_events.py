"""The embedded server's event ranges: as strict as the real one (event-service 1.2, 2; panda-protocol 7.1 to 7.3)."""

import gzip
import json

import pytest

from sandbox.client import Sandbox

JSON = {"Content-Type": "application/json", "Accept": "application/json"}
ARCHIVE = {"lfn": "EventService_premerge_x.tar", "objstoreID": 1001, "fsize": 9, "adler32": "0a1b2c3d", "numEvents": 1}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "both") as sandbox:
        yield sandbox


@pytest.fixture
def job_id(server, pilot):
    (number,) = server.make_jobs(1)
    server.set_events(number, 4, span=10)
    pilot.post("acquire_jobs", site_name="SANDBOX", prod_source_label="user")
    pilot.update(number, "running")
    return number


def legacy(pilot, method, **arguments):
    reply = pilot.ask("POST", f"/server/panda/{method}", gzip.compress(json.dumps(arguments).encode()), JSON)
    return reply.json if reply.status == 200 else reply


def ranges(pilot, job_id, count=10):
    return legacy(pilot, "getEventRanges", pandaID=job_id, jobsetID=1, taskID=7, nRanges=count)["eventRanges"]


def ids(pilot, job_id, count=10):
    return [each["eventRangeID"] for each in ranges(pilot, job_id, count)]


def report(pilot, entries, version=0):
    answer = legacy(pilot, "updateEventRanges", eventRanges=json.dumps(entries), version=version)
    results, commands = answer["Returns"], answer["Command"]
    return (json.loads(results), json.loads(commands)) if version == 0 else (results, commands)


def entry(name, status="finished", **more):
    return {"eventRangeID": name, "eventStatus": status, **more}


def test_a_range_is_five_numbers_and_its_first_and_last_event(pilot, job_id):
    first, second = ranges(pilot, job_id, 2)
    assert first["eventRangeID"] == f"7-{job_id}-1-0-1"
    assert (first["startEvent"], first["lastEvent"], second["startEvent"]) == (1, 10, 11)


def test_each_range_is_handed_out_once(pilot, job_id):
    found = [*ids(pilot, job_id, 3), *ids(pilot, job_id, 3)]
    assert len(found) == len(set(found)) == 4
    assert ids(pilot, job_id) == []


@pytest.mark.parametrize("state", ["transferring", "failed"])
def test_a_job_that_is_over_gets_none(pilot, job_id, state):
    pilot.update(job_id, state)
    assert ids(pilot, job_id) == []


def test_an_unknown_job_gets_none_and_is_told_to_end(pilot, job_id):
    assert ids(pilot, 99) == []
    assert report(pilot, [entry("7-99-1-0-1")]) == ([False], {"99": "tobekilled"})


@pytest.mark.parametrize(
    ("change", "result"),
    [
        ({}, True),
        ({"eventStatus": "failed", "errorCode": 1220}, True),
        ({"eventStatus": "fatal"}, True),
        ({"eventStatus": "running"}, None),
        ({"eventStatus": "transferring"}, None),
        ({"eventStatus": "done"}, False),
        ({"eventStatus": None}, False),
        ({"eventRangeID": "7-1-1-0"}, False),
        ({"eventRangeID": "7-1-1-0-x"}, False),
        ({"eventRangeID": None}, False),
    ],
)
def test_what_becomes_of_a_report(pilot, job_id, change, result):
    (name,) = ids(pilot, job_id, 1)
    assert report(pilot, [{**entry(name), **change}])[0] == [result]


def test_a_range_that_was_never_handed_out_is_refused(pilot, job_id):
    first, *_ = ids(pilot, job_id, 1)
    other = first.replace("-0-1", "-3-1")
    assert report(pilot, [entry(first), entry(other)])[0] == [True, False]


def test_the_first_end_of_a_range_stays(server, pilot, job_id):
    (name,) = ids(pilot, job_id, 1)
    for status in ("failed", "finished"):
        assert report(pilot, [entry(name, status)])[0] == [True]
    assert server.job(job_id)["events"]["ranges"][name]["state"] == "failed"


@pytest.mark.parametrize("missing", ["lfn", "objstoreID"])
def test_an_archive_needs_a_name_and_a_storage(server, pilot, job_id, missing):
    first, second = ids(pilot, job_id, 2)
    good = {"zipFile": ARCHIVE, "eventRanges": [entry(first)]}
    bad = {"zipFile": {k: v for k, v in ARCHIVE.items() if k != missing}, "eventRanges": [entry(second)]}
    assert report(pilot, [good, bad], version=1)[0] == [True, False]
    events = server.job(job_id)["events"]
    assert list(events["zips"]) == [ARCHIVE["lfn"]]
    assert events["ranges"][first]["zip_lfn"] == ARCHIVE["lfn"]


@pytest.mark.parametrize("command", ["softkill", "tobekilled"])
def test_the_answer_to_a_report_carries_the_command(server, pilot, job_id, command):
    (name,) = ids(pilot, job_id, 1)
    assert report(pilot, [entry(name)])[1] == {str(job_id): None}
    server.command(job_id, command)
    assert report(pilot, [entry(name)])[1] == {str(job_id): command}


def test_an_unknown_argument_is_a_500(pilot, job_id):
    assert legacy(pilot, "getEventRanges", pandaID=job_id, jobsetID=1, cores=8).status == 500
    assert legacy(pilot, "updateEventRanges", eventRanges="[]", pandaID=job_id).status == 500


def test_a_report_of_the_wrong_form_is_an_error(pilot, job_id):
    assert legacy(pilot, "updateEventRanges", eventRanges="{}", version=0)["StatusCode"] == 30
    assert legacy(pilot, "updateEventRanges", eventRanges='[{"x": 1}]', version=1)["StatusCode"] == 30


def test_a_v1_report_is_stored_and_breaks(server, pilot, job_id):
    (name,) = ids(pilot, job_id, 1)
    body = json.dumps({"event_ranges": json.dumps([entry(name)]), "version": 0})
    assert pilot.ask("POST", "/api/v1/event/update_event_ranges", body).status == 500
    assert server.job(job_id)["events"]["ranges"][name]["state"] == "finished"
    listed = json.dumps({"event_ranges": [entry(name)]})
    refused = pilot.ask("POST", "/api/v1/event/update_event_ranges", listed).json
    assert not refused["success"], "the entries are a string that holds JSON"
