"""Harvester's messenger and a pilot that shares its access point (cases 55, 56, 57; push, pull, many jobs)."""

import json
import os
import signal
import zlib
from pathlib import Path

import pytest
from slot_rig import Messenger, Reader, environ_of, last_record, make_jobs, pilot_calls, read_json, start_in, use_mv

from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]
SHARED = ("worker_attributes.json", "event_status.dump.json", "worker_requestjob.json", "worker_pandaids.json")


def _push(point: Path) -> tuple[str, ...]:
    return ("-z", "--harvester-submit-mode", "PUSH", "--harvester-workdir", str(point))


def _check_dump(entries: list[dict], count: int) -> None:
    assert entries[0]["type"] == "log"
    assert [entry["type"] for entry in entries[1:]] == ["output"] * (count - 1)
    for entry in entries:
        data = Path(entry["path"]).read_bytes()
        assert (entry["fsize"], entry["chksum"]) == (len(data), f"{zlib.adler32(data):08x}")
        assert entry["guid"]


def test_cases_55_56_57_a_pushed_job_and_its_files(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox, outputs=[1000, 2000])
    harvester = Messenger(tmp_path / "point")
    harvester.feed(definition)
    since = last_record(sandbox)
    with Reader(*(harvester.point / name for name in SHARED)) as reader:
        start_in(pilot, harvester.point, *_push(harvester.point), environment=environ_of(harvester.point))
        wait_until(lambda: harvester.attributes().get("jobStatus") == "running", 20, "no attributes")
        assert (harvester.point / "worker_heartbeat.json").exists()
        assert pilot.wait_exit() == 0
        assert reader.verdict()["bad"] == []
    assert not (harvester.point / "HPCJobs.json").exists()
    held = read_json(harvester.point / "job_definition.json")
    assert held == {str(definition["PandaID"]): definition}
    attributes = harvester.attributes()
    assert (attributes["jobStatus"], attributes["jobId"]) == ("finished", definition["PandaID"])
    assert "xml" not in attributes
    assert "startTime" in attributes
    assert isinstance(attributes["startTime"], str)
    assert isinstance(attributes["attemptNr"], int)
    dump = harvester.take_dump()
    assert list(dump) == [str(definition["PandaID"])]
    _check_dump(dump[str(definition["PandaID"])], 3)
    assert harvester.killed()
    # HPC-17: the last files of all, but for the log.
    times = {path.name: path.stat().st_mtime_ns for path in harvester.point.iterdir() if path.is_file()}
    others = [at for name, at in times.items() if not name.startswith(("kill_worker", "pilotlog"))]
    assert min(times["kill_worker"], times["kill_worker.json"]) >= max(others), times
    assert [call for call in pilot_calls(sandbox, since) if call.startswith(("update", "acquire"))] == []


def test_many_jobs_one_after_the_other_and_no_dump_is_lost(sandbox, pilot, tmp_path):
    use_mv(sandbox, timefloor=60)
    definitions = make_jobs(sandbox, 3)
    harvester = Messenger(tmp_path / "point")
    harvester.feed(definitions[0])
    start_in(
        pilot,
        harvester.point,
        *_push(harvester.point),
        job_file_wait_s=2,
        job_file_tries=2,
        environment=environ_of(harvester.point),
    )
    for definition in definitions[1:]:
        wait_until(harvester.requested, 20, "no request for a further job")
        (harvester.point / "jobReport.json").write_text('{"of": "the job before"}')
        harvester.feed(definition)
        wait_until(lambda d=definition: harvester.attributes().get("jobId") == d["PandaID"], 20, "it was not taken")
        assert not (harvester.point / "jobReport.json").exists()
    assert pilot.wait_exit() == 0
    # Nobody read a dump in between: the one that is there tells of all jobs.
    dump = harvester.take_dump()
    assert set(dump) == {str(definition["PandaID"]) for definition in definitions}
    assert harvester.attributes()["jobStatus"] == "finished"
    ids = [str(definition["PandaID"]) for definition in definitions]
    assert (harvester.point / "pandaIDs.out").read_text().split() == ids


def test_pushed_job_with_updates_to_the_server(sandbox, pilot, tmp_path):
    (definition,) = make_jobs(sandbox)
    harvester = Messenger(tmp_path / "point")
    (harvester.point / "pandaJobData.out").write_text(json.dumps(definition))
    since = last_record(sandbox)
    start_in(
        pilot,
        harvester.point,
        "--harvester-submit-mode",
        "PUSH",
        "--storagedata-url",
        f"{sandbox.url}/cache/ddmendpoints.json",
        environment={"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"},
    )
    assert pilot.wait_exit() == 0
    calls = pilot_calls(sandbox, since)
    assert "acquire_jobs" not in calls
    bodies = [entry["body"] for entry in sandbox.record("update_job", since)]
    assert [body["job_status"] for body in bodies][-1] == "finished"
    assert not (harvester.point / "worker_attributes.json").exists()
    assert harvester.killed()


def test_pull_tells_harvester_the_ids(sandbox, pilot, tmp_path):
    (job_id,) = sandbox.make_jobs(1, outputs=[1000], transform="quick.sh")
    point = tmp_path / "point"
    point.mkdir()
    pilot.start(environment=environ_of(point))
    assert pilot.wait_exit() == 0
    pilot.assert_final(job_id, "finished", 0)
    assert json.loads((point / "worker_pandaids.json").read_text()) == [job_id]
    assert (point / "worker_heartbeat.json").exists()
    assert (pilot.home / "pandaIDs.out").read_text() == f"{job_id}\n"


def test_what_harvester_packs_of_a_killed_worker_holds_no_secret_of_ours(sandbox, pilot, tmp_path):
    """Its messenger makes a log of all *.log, *.txt, *.xml, *.json and log* files of the access point."""
    use_mv(sandbox)
    fields = {"secrets": json.dumps({"KEY": "canary"})}
    (definition,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)}, fields=fields)
    harvester = Messenger(tmp_path / "point")
    harvester.feed(definition)
    start_in(pilot, harvester.point, *_push(harvester.point))
    wait_until(lambda: harvester.attributes().get("jobStatus") == "running", 20, "no attributes")
    pilot.kill_all()
    found = [path for ending in ("*.log", "*.txt", "*.xml", "*.json", "log*") for path in harvester.point.rglob(ending)]
    telling = [path.name for path in found if path.is_file() and b"canary" in path.read_bytes()]
    assert telling in ([], ["panda_secrets.json"])  # the payload's own file, which it finds by this name


@pytest.mark.parametrize("role", ["stager", "runner", "monitor"])
def test_hpc_18_the_workers_heartbeat_goes_on_while_another_worker_hangs(sandbox, pilot, tmp_path, role):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)})
    harvester = Messenger(tmp_path / "point")
    harvester.feed(definition)
    start_in(pilot, harvester.point, *_push(harvester.point), worker_heartbeat_s=0.5)
    wait_until(lambda: harvester.attributes().get("jobStatus") == "running", 20, "no attributes")
    beat = harvester.point / "worker_heartbeat.json"
    pilot.kill(role, signal.SIGSTOP)
    for _ in range(3):
        last = beat.stat().st_mtime_ns
        wait_until(lambda last=last: beat.stat().st_mtime_ns > last, 5, "no heartbeat")
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0
    assert harvester.attributes()["jobStatus"] == "finished"


@pytest.mark.parametrize("role", ["reporter", "supervisor"])
def test_deaths_while_a_pushed_job_runs(sandbox, pilot, tmp_path, role):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)})
    harvester = Messenger(tmp_path / "point")
    harvester.feed(definition)
    start_in(pilot, harvester.point, *_push(harvester.point))
    wait_until(lambda: harvester.attributes().get("jobStatus") == "running", 20, "no attributes")
    dead = pilot.kill(role)
    pilot.wait_replaced(role, dead)
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0
    assert harvester.attributes()["jobStatus"] == "finished"
    _check_dump(harvester.take_dump()[str(definition["PandaID"])], 2)
    assert harvester.killed()


def test_a_signal_is_in_the_attributes_before_the_pilot_is_gone(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (definition,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)})
    harvester = Messenger(tmp_path / "point")
    harvester.feed(definition)
    start_in(pilot, harvester.point, *_push(harvester.point))
    wait_until(lambda: harvester.attributes().get("jobStatus") == "running", 20, "no attributes")
    os.kill(pilot.one("guardian"), signal.SIGTERM)
    assert pilot.wait_exit() == 143
    attributes = harvester.attributes()
    assert (attributes["jobStatus"], attributes["pilotErrorCode"]) == ("failed", 1201)
    (entry,) = harvester.take_dump()[str(definition["PandaID"])]
    assert entry["type"] == "log"
    assert harvester.killed()


@pytest.mark.parametrize("role", ["reporter", "supervisor"])
def test_deaths_while_the_next_job_is_waited_for(sandbox, pilot, tmp_path, role):
    use_mv(sandbox, timefloor=60)
    first, second = make_jobs(sandbox, 2)
    harvester = Messenger(tmp_path / "point")
    harvester.feed(first)
    start_in(pilot, harvester.point, *_push(harvester.point), job_file_wait_s=5, job_file_tries=2)
    wait_until(harvester.requested, 20, "no request for a further job")
    pilot.wait_replaced(role, pilot.kill(role))
    harvester.feed(second)
    ended = {"jobId": second["PandaID"], "jobStatus": "finished"}
    wait_until(lambda: ended.items() <= harvester.attributes().items(), 30, "the second job did not end")
    assert pilot.wait_exit() == 0
    assert (harvester.point / "pandaIDs.out").read_text().split() == [str(j["PandaID"]) for j in (first, second)]
    assert set(harvester.take_dump()) == {str(job["PandaID"]) for job in (first, second)}
