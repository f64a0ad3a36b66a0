"""ARC's control tower: a job from a file, heartbeat files, output.list, no word to any server (cases 58, 59)."""

import json
import shutil

import pytest
from slot_rig import Reader, encoded, last_record, make_jobs, pilot_calls, read_json, save_queue, start_in, use_mv

from jobs.field_names import LEGACY_NAMES
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]
ARC = ("-z", "--harvester-submit-mode", "PUSH")


def test_case_58_no_updates_two_heartbeat_files_and_no_word_to_the_server(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox)
    place = tmp_path / "arc"
    place.mkdir()
    (place / "pandaJobData.out").write_text(encoded(definition, preprocess="{'command': 'true', 'args': ''}"))
    with Reader(place / "heartbeat.json", place / "heartbeat_new.json") as reader:
        save_queue(pilot, place)
        since = last_record(sandbox)
        start_in(pilot, place, *ARC)
        assert pilot.wait_exit() == 0
        verdict = reader.verdict()
    log = (place / "pilotlog.txt").read_text()
    assert verdict["bad"] == []
    assert verdict["seen"] > 10
    new, old = read_json(place / "heartbeat_new.json"), read_json(place / "heartbeat.json")
    assert (new["job_status"], old["state"]) == ("finished", "finished"), log
    assert old["jobId"] == str(definition["PandaID"])
    assert isinstance(old["startTime"], float)
    assert {"xml", "metaData", "timestamp"} <= set(old)
    assert {LEGACY_NAMES[name] for name in new} | {"timestamp"} == set(old)
    assert [call for call in pilot_calls(sandbox, since) if "transform" not in call] == []
    assert not (place / "pandaJobData.out").exists()
    lines = (place / "output.list").read_text().splitlines()
    report = json.loads(old["xml"])
    assert {line.split(" ")[0] for line in lines} == set(report)
    for line in lines:
        lfn, _, rest = line.partition(" ")
        assert (place / lfn).is_file()
        assert rest.endswith(f":checksumtype=adler32:checksumvalue={report[lfn]['adler32']}")


def test_case_59_node_maps_go_into_the_metadata(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox)
    place = tmp_path / "arc"
    place.mkdir()
    (place / "pandaJobData.out").write_text(encoded(definition))
    (place / "workernode_map.json").write_text('{"cpu_model": "x"}')
    start_in(pilot, place, *ARC)
    assert pilot.wait_exit() == 0
    assert json.loads(read_json(place / "heartbeat.json")["metaData"])["worker_node"] == {"cpu_model": "x"}


def test_a_pilot_that_never_gets_to_a_job_says_failed(sandbox, pilot, tmp_path):
    place = tmp_path / "arc"
    place.mkdir()
    (place / "heartbeat.json").write_text('{"state": "finished"}')
    (place / "pandaJobData.out").write_text("")
    start_in(pilot, place, *ARC)
    wait_until(lambda: read_json(place / "heartbeat.json")["state"] == "starting", 10, "the old heartbeat is left")
    assert pilot.wait_exit() == 1
    last = read_json(place / "heartbeat.json")
    assert (last["state"], last["pilotErrorCode"]) == ("failed", 1008)
    assert (place / "pandaJobData.out").exists()


def test_arc_starts_a_job_again_in_its_old_directory(sandbox, pilot, tmp_path):
    """What the first pilot left changes nothing: the job runs, heartbeat and list are those of the second run."""
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox)
    place = tmp_path / "arc"
    place.mkdir()
    for run in (1, 2):
        (place / "pandaJobData.out").write_text(encoded(definition))
        start_in(pilot, place, *ARC)
        assert pilot.wait_exit() == 0
        assert read_json(place / "heartbeat.json")["state"] == "finished", run
        assert not (place / "pandaJobData.out").exists()
    assert (place / "pilotlog.txt").read_text().count("payload_started") == 2
    assert len((place / "output.list").read_text().splitlines()) == 2


@pytest.mark.parametrize("crash_at", ["commit-before:8", "commit-after:12", "action-before:14"])
def test_a_supervisor_that_crashes_on_the_way(sandbox, pilot, tmp_path, crash_at):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox)
    place = tmp_path / "arc"
    place.mkdir()
    (place / "pandaJobData.out").write_text(encoded(definition))
    start_in(pilot, place, *ARC, crash_at=crash_at)
    assert pilot.wait_exit() == 0
    assert read_json(place / "heartbeat.json")["state"] == "finished", pilot.story()
    assert (place / "pandaIDs.out").read_text() == f"{definition['PandaID']}\n"


def test_workers_as_threads_write_the_same_files(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox)
    place = tmp_path / "arc"
    place.mkdir()
    (place / "pandaJobData.out").write_text(encoded(definition))
    start_in(pilot, place, *ARC, "--isolation", "thread")
    assert pilot.wait_exit() == 0
    assert read_json(place / "heartbeat.json")["state"] == "finished"


def test_inputs_lie_beside_the_job_and_outputs_are_listed_with_their_grid_urls(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox, inputs=[2000], outputs=[1000])
    place = tmp_path / "arc"
    place.mkdir()
    (place / "pandaJobData.out").write_text(encoded(definition))
    (lfn,) = definition["inFiles"].split(",")
    cache = tmp_path / "cache"
    shutil.copy(sandbox.stored_path(definition["scopeIn"], lfn), cache)
    cache.chmod(0o444)
    (place / lfn).symlink_to(cache)
    access = {"endpoint": "davs://se.example.org:443", "path": "/disk/", "flavour": "WEBDAV"}
    storage = {"name": "SANDBOX_DATADISK", "is_deterministic": True, "arprotocols": {"write_lan": [access]}}
    (place / "cric_ddmendpoints.json").write_text(json.dumps({"SANDBOX_DATADISK": storage}))
    start_in(pilot, place, *ARC)
    assert pilot.wait_exit() == 0
    beat = read_json(place / "heartbeat.json")
    assert beat["state"] == "finished", pilot.story()
    report = json.loads(beat["xml"])
    assert all(entry["surl"].startswith("davs://se.example.org:443/disk/") for entry in report.values())
    for line in (place / "output.list").read_text().splitlines():
        name, _, rest = line.partition(" ")
        assert rest == f"{report[name]['surl']}:checksumtype=adler32:checksumvalue={report[name]['adler32']}"
        assert (place / name).is_file()
    assert (place / lfn).is_symlink()
    assert cache.exists()
