"""Harvester's own shared file messenger, unchanged, over the life of a worker (panda-protocol 5, 13)."""

import json
import tarfile
import zlib
from pathlib import Path

import pytest
from harvester_rig import Messenger, needs_harvester
from slot_rig import Reader, environ_of, make_jobs, start_in, use_mv

from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120), needs_harvester]
SHARED = ("worker_attributes.json", "event_status.dump.json", "worker_requestjob.json", "worker_pandaids.json")


def _push(point: Path) -> tuple[str, ...]:
    return ("-z", "--harvester-submit-mode", "PUSH", "--harvester-workdir", str(point))


def _check_files(found: dict, job: dict) -> None:
    """Every file of the job is there once, as Harvester understands the dump: path, size, checksum, no zipping."""
    names = set(job["outFiles"].split(",")) | {job["logFile"]}
    assert set(found) == names
    for name, (entry,) in found.items():
        data = Path(entry["path"]).read_bytes()
        assert (entry["fsize"], entry["chksum"]) == (len(data), f"{zlib.adler32(data):08x}")
        assert (entry["type"], entry["isZip"]) == ("log" if name == job["logFile"] else "output", 0)


@pytest.mark.parametrize(("form", "map_type"), [("json", "OneToOne"), ("cgi", "OneToOne"), ("json", "OneToMany")])
def test_the_life_of_a_worker_with_one_job(sandbox, pilot, tmp_path, form, map_type):
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, outputs=[1000, 2000])
    point = tmp_path / "point"
    with Messenger(tmp_path / "h", point, map_type, jobSpecFileFormat=form) as harvester:
        harvester.feed(job)
        assert harvester.call("is_alive", 0) is None
        with Reader(*(point / name for name in SHARED)) as reader:
            start_in(pilot, point, *_push(point), environment=environ_of(point))
            wait_until(lambda: harvester.status(job) == "running", 30, "Harvester sees no running job")
            assert harvester.call("is_alive", 1) is True
            assert harvester.call("kill_requested") is False
            assert harvester.call("events_requested") == {}
            assert pilot.wait_exit() == 0
            assert reader.verdict()["bad"] == []
        worker = {"point": str(point), "map_type": map_type, "ids": [job["PandaID"]]}
        state, attributes = harvester.ask("attributes_for_server", worker=worker, jobs=[job])
        assert state == "finished", pilot.story()
        fields = json.loads((Path(__file__).parents[3] / "sandbox" / "update_fields.json").read_text())["fields"]
        # Versions of before 2025 hand the legacy names on as they are.
        known = [{field[dialect] for field in fields} for dialect in ("v1", "legacy")]
        assert any(set(attributes) - {"timestamp"} <= names for names in known), attributes
        found = harvester.call("get_files_to_stage_out")
        _check_files(found[str(job["PandaID"])], job)
        assert harvester.call("get_files_to_stage_out") == found  # not acknowledged yet
        harvester.call("acknowledge_events_files")
        assert harvester.call("get_files_to_stage_out") == {}
        assert harvester.call("job_requested") is False
        assert harvester.call("kill_requested") is True
        assert harvester.call("post_processing") is True
        # Jumbo jobs: each worker's log has the worker's number.
        name = job["logFile"] + ("._12" if map_type == "OneToMany" else "")
        (entry,) = harvester.call("get_files_to_stage_out")[str(job["PandaID"])][name]
        with tarfile.open(entry["path"]) as archive:
            assert "./pilotlog.txt" in archive.getnames()
        assert harvester.call("clean_up") == [True, ""]


def test_further_jobs_of_one_worker(sandbox, pilot, tmp_path):
    use_mv(sandbox, timefloor=60)
    first, second = make_jobs(sandbox, 2)
    point = tmp_path / "point"
    with Messenger(tmp_path / "h", point) as harvester:
        harvester.feed(first)
        start_in(pilot, point, *_push(point), environment=environ_of(point), job_file_wait_s=2, job_file_tries=2)
        wait_until(lambda: harvester.call("job_requested") == 1, 30, "no request")
        assert harvester.status(first) == "finished"
        harvester.feed(second)
        assert harvester.call("job_requested") is False
        wait_until(lambda: harvester.status(second) == "running", 30, "the second job is not run")
        assert pilot.wait_exit() == 0
        assert harvester.status(second) == "finished"
        found = harvester.call("get_files_to_stage_out")
        for job in (first, second):
            _check_files(found[str(job["PandaID"])], job)


def test_many_jobs_for_one_worker_each_with_a_place_of_its_own(sandbox, pilot, tmp_path):
    """ManyToOne: all of them were handed over, so all of them are run, whatever the queue's timefloor."""
    use_mv(sandbox)
    jobs = make_jobs(sandbox, 3)
    point = tmp_path / "point"
    with Messenger(tmp_path / "h", point, "ManyToOne") as harvester:
        harvester.feed(*jobs)
        start_in(pilot, point, *_push(point), environment=environ_of(point), job_file_wait_s=1, job_file_tries=2)
        assert pilot.wait_exit() == 0
        assert [harvester.status(job) for job in jobs] == ["finished"] * 3, pilot.story()
        found = harvester.call("get_files_to_stage_out")
        for job in jobs:
            _check_files(found[str(job["PandaID"])], job)


def test_pull_tells_harvester_which_jobs_were_taken(sandbox, pilot, tmp_path):
    ids = sandbox.make_jobs(2, outputs=[1000], transform="quick.sh")
    sandbox.set_queue(timefloor=60)
    point = tmp_path / "point"
    with Messenger(tmp_path / "h", point, "NoJob") as harvester:
        assert harvester.call("setup_access_points") is True
        assert harvester.call("get_panda_ids") == []
        pilot.start(environment=environ_of(point))
        assert pilot.wait_exit() == 0
        assert harvester.call("get_panda_ids") == ids
        assert harvester.call("is_alive", 1) is True
        assert harvester.call("kill_requested") is True
