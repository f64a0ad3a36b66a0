"""What is written into the shared files: names, types, order, and what is never lost."""

import json
import re
import threading
from pathlib import Path

import pytest

from ipc.tasks import SendUpdate
from jobs.field_names import LEGACY_NAMES, legacy_timestamp, to_legacy
from sandbox import client
from settings.handover import Handover
from settings.settings import Settings
from slot import life
from slot.dump import write_dump
from slot.legacy import with_node_maps
from slot.updates import without_log_reports, write_update

BODY = {
    "job_id": 7,
    "job_status": "running",
    "start_time": "2026-08-01 12:00:05",
    "mean_core_count": 2,
    "attempt_nr": 1,
}


@pytest.fixture
def settings(tmp_path):
    handover = Handover(
        jobs_from_files=True,
        updates_to_files=True,
        harvester=True,
        harvester_updates=True,
        access_point=str(tmp_path),
    )
    return Settings(queue="Q", update_server=False, home=str(tmp_path), launch_dir=str(tmp_path), handover=handover)


def _send(settings, log_lfn="", **more):
    body = {**BODY, **more}
    final = body["job_status"] in ("finished", "failed")
    task = SendUpdate(sequence=1, call="update_job", body=json.dumps(body), final=final, log_lfn=log_lfn)
    write_update(settings, task, 0.0)


def test_the_table_of_names_is_complete():
    fields = json.loads((Path(client.__file__).parent / "update_fields.json").read_text())["fields"]
    assert {f["v1"]: f["legacy"] for f in fields} == dict(LEGACY_NAMES)
    assert to_legacy({"job_status": "x", "unknown": 1}) == {"state": "x"}


def test_attributes_keep_v1_types_and_heartbeat_has_legacy_ones(settings, tmp_path):
    _send(settings, job_output_report="x")
    attributes = json.loads((tmp_path / "worker_attributes.json").read_text())
    assert attributes == {
        "jobId": 7,
        "state": "running",
        "startTime": "2026-08-01 12:00:05",
        "meanCoreCount": 2,
        "attemptNr": 1,
        "jobStatus": "running",
        "timestamp": attributes["timestamp"],
    }
    beat = json.loads((tmp_path / "heartbeat.json").read_text())
    assert (beat["jobId"], beat["startTime"], beat["xml"], beat["metaData"]) == ("7", 1785585605.0, "x", "")
    assert json.loads((tmp_path / "heartbeat_new.json").read_text()) == {**BODY, "job_output_report": "x"}


def test_timestamp_has_an_offset():
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d", legacy_timestamp(0.0))


def test_a_job_with_a_directory_of_its_own_has_its_attributes_there(settings, tmp_path):
    own = tmp_path / "7"
    own.mkdir()
    (tmp_path / "log.tgz").touch()
    report = json.dumps({"log.tgz": {"fsize": 1}})
    _send(settings, "log.tgz", job_status="finished", job_output_report=report, meta_data="{}")
    files = ("worker_attributes.json", "event_status.dump.json", "jobReport.json")
    assert [(own / name).exists() for name in files] == [True] * 3
    assert [(tmp_path / name).exists() for name in files] == [False] * 3


def test_the_final_update_tells_of_files_that_are_there(settings, tmp_path):
    (tmp_path / "a.root").write_text("a")
    (tmp_path / "log.tgz").write_text("l")
    report = {
        "a.root": {"guid": "A", "fsize": 1, "adler32": "00620062", "surl": "davs://h/a.root"},
        "gone.root": {"guid": "G", "fsize": 1, "adler32": "0", "surl": ""},
        "log.tgz": {"guid": "L", "fsize": 1, "adler32": "006d006d", "surl": str(tmp_path / "log.tgz")},
    }
    metadata = json.dumps({"executor": [{"logfileReport": {"x": 1}, "y": 2}]})
    _send(settings, "log.tgz", job_status="finished", job_output_report=json.dumps(report), meta_data=metadata)
    dump = json.loads((tmp_path / "event_status.dump.json").read_text())
    log = {"type": "log", "path": f"{tmp_path}/log.tgz", "guid": "L", "fsize": 1, "chksum": "006d006d"}
    output = {"type": "output", "path": f"{tmp_path}/a.root", "guid": "A", "fsize": 1, "chksum": "00620062"}
    assert dump == {"7": [log, output]}
    assert (tmp_path / "output.list").read_text().splitlines() == [
        "a.root davs://h/a.root:checksumtype=adler32:checksumvalue=00620062",
        f"log.tgz {tmp_path}/log.tgz:checksumtype=adler32:checksumvalue=006d006d",
    ]
    assert json.loads((tmp_path / "jobReport.json").read_text()) == {"executor": [{"logfileReport": {}, "y": 2}]}
    before = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "heartbeat.json"}
    _send(settings, "log.tgz", job_status="finished", job_output_report=json.dumps(report), meta_data=metadata)
    assert before == {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "heartbeat.json"}


def test_an_upload_to_an_object_store_goes_by_way_of_rucio_and_may_fail(settings, tmp_path):
    (tmp_path / "log.tgz").write_text("l")
    report = {"log.tgz": {"fsize": 1, "adler32": "006d006d", "surl": "s3://os:443/b/log.tgz", "endpoint": "OS"}}
    _send(settings, "log.tgz", job_status="failed", job_output_report=json.dumps(report))
    host = "rucio://rucio-lb-prod.cern.ch;failureallowed=yes"
    line = f"log.tgz {host}/objectstores/s3+rucio://os:443/b/log.tgz/OS/write\n"
    assert (tmp_path / "output.list").read_text() == line


def test_the_report_of_the_job_before_is_not_told_as_this_ones(settings, tmp_path):
    _send(settings, job_status="finished", meta_data="{}")
    assert (tmp_path / "jobReport.json").exists()
    _send(settings, job_id=8, job_status="running")
    assert not (tmp_path / "jobReport.json").exists()


@pytest.mark.parametrize("report", ["", "{", "[]", '{"a": 1}', '{"a": {}}'])
def test_odd_reports_leave_no_dump(settings, tmp_path, report):
    _send(settings, job_status="failed", job_output_report=report)
    assert not (tmp_path / "event_status.dump.json").exists()
    assert json.loads((tmp_path / "worker_attributes.json").read_text())["jobStatus"] == "failed"


@pytest.mark.parametrize("text", ["x", "[]", '{"executor": 3}', '{"executor": [3, {}]}'])
def test_odd_job_reports_are_passed_on(text):
    assert without_log_reports(text) == text


def test_an_unread_dump_is_added_to(tmp_path):
    dump = tmp_path / "d.json"
    write_dump(dump, 1, [{"type": "log", "path": "/1"}])
    write_dump(dump, 2, [{"type": "log", "path": "/2"}])
    write_dump(dump, 2, [{"type": "log", "path": "/2"}])
    assert set(json.loads(dump.read_text())) == {"1", "2"}
    assert [path.name for path in tmp_path.iterdir()] == ["d.json"]


def test_a_dump_that_was_taken_back_when_the_pilot_died_comes_again(tmp_path):
    (tmp_path / ".d.json.unread").write_text('{"1": []}')
    write_dump(tmp_path / "d.json", 2, [])
    assert set(json.loads((tmp_path / "d.json").read_text())) == {"1", "2"}


def test_a_dump_of_another_kind_is_kept(tmp_path):
    (tmp_path / "d.json").write_text("something else")
    write_dump(tmp_path / "d.json", 2, [])
    assert json.loads((tmp_path / "d.json").read_text()) == {"2": []}
    assert (tmp_path / ".d.json.unread.bad").read_text() == "something else"


def test_no_entry_is_lost_or_told_twice_while_harvester_takes_the_dump(tmp_path):
    """A reader that renames the dump as often as it can, against a writer of 200 jobs."""
    dump, over, taken = tmp_path / "d.json", threading.Event(), []

    def take():
        while True:
            last = over.is_set()
            try:
                dump.rename(tmp_path / "d.json.read")
            except FileNotFoundError:
                if last:
                    return
                continue
            taken.extend(json.loads((tmp_path / "d.json.read").read_text()))

    reader = threading.Thread(target=take)
    reader.start()
    for number in range(200):
        write_dump(dump, number, [])
    over.set()
    reader.join()
    assert sorted(map(int, taken)) == list(range(200))


@pytest.mark.parametrize(("report", "kept"), [("", {}), ('{"a": 1}', {"a": 1})])
def test_case_59_maps_join_the_report(tmp_path, report, kept):
    assert with_node_maps(report, tmp_path) == report
    (tmp_path / "workernode_map.json").write_text('{"n": 1}')
    (tmp_path / "gpu_map.json").write_text("broken")
    assert json.loads(with_node_maps(report, tmp_path)) == {**kept, "worker_node": {"n": 1}}


def test_case_57_both_kill_files_at_home_and_at_the_access_point(settings, tmp_path):
    (tmp_path / "ap").mkdir()
    far = Settings(queue="Q", home=str(tmp_path), handover=Handover(harvester=True, access_point=str(tmp_path / "ap")))
    life.end(far, 0, 0.0, jobs_left=False)
    kills = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("kill_worker*")}
    assert kills == {"kill_worker", "kill_worker.json", "ap/kill_worker", "ap/kill_worker.json"}
    life.begin(far, 0.0)
    assert not list(tmp_path.rglob("kill_worker*"))
    assert (tmp_path / "ap" / "worker_heartbeat.json").exists()


@pytest.mark.parametrize(("exit_code", "code"), [(83, 1386), (143, 1201), (0, 1008), (1, 1008)])
def test_an_end_without_a_job_is_a_failure_in_the_heartbeat(settings, tmp_path, exit_code, code):
    life.begin(settings, 0.0)
    assert json.loads((tmp_path / "heartbeat.json").read_text())["state"] == "starting"
    life.end(settings, exit_code, 0.0, jobs_left=False)
    beat = json.loads((tmp_path / "heartbeat.json").read_text())
    assert (beat["state"], beat["pilotErrorCode"]) == ("failed", code)
    _send(settings, job_status="finished")
    life.end(settings, exit_code, 0.0, jobs_left=False)
    assert json.loads((tmp_path / "heartbeat.json").read_text())["state"] == "finished"


def test_an_end_with_a_job_under_way_fails_it_for_harvester_and_takes_the_request_back(settings, tmp_path):
    _send(settings)
    (tmp_path / "worker_requestjob.json").write_text("{}")
    life.end(settings, 143, 0.0, jobs_left=False)
    attributes = json.loads((tmp_path / "worker_attributes.json").read_text())
    assert (attributes["jobStatus"], attributes["pilotErrorCode"], attributes["jobId"]) == ("failed", 1201, 7)
    assert not (tmp_path / "worker_requestjob.json").exists()


def test_a_final_word_that_waits_for_the_next_pilot_is_left_to_it(settings, tmp_path):
    _send(settings)
    life.end(settings, 143, 0.0, jobs_left=True)
    assert json.loads((tmp_path / "worker_attributes.json").read_text())["jobStatus"] == "running"
