"""Jobs that are fed with events, with real pilots: panda-protocol 10 (60 to 64), event-service 14 (ES-1 to ES-23)."""

import json
import os
import signal
import sys
import tarfile
import zlib
from pathlib import Path

import pytest
from pilotrun import ROOT, PilotRun

from sandbox.client import Sandbox
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

#: The payload is a script of its own, whose interpreter needs pyzmq.
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


JPS = "from AthenaMP.AthenaMPFlags import jobproperties as jps"


class EventRun:
    """A pilot and its one job with events."""

    heartbeat_s = 0.5

    def __init__(self, pilot: PilotRun, mode: str = "ok", *, count: int = 8, cores: int = 1, gap_s: int = 1, **more):
        self.pilot, self.sandbox = pilot, pilot.sandbox
        self.marker, self.hold = pilot.home / "payload-started", pilot.home / "hold"
        options = {"event_time": 0.02, **more.pop("payload", {}), "mode": mode, "marker": str(self.marker)}
        fields = {"eventService": "True", "coreCount": cores, "jobsetID": 7, **more.pop("fields", {})}
        payload = {f"fake_{name}": value for name, value in options.items()}
        more.setdefault("transform", "fake_athenamp.py")
        (self.job_id,) = self.sandbox.make_jobs(1, payload=payload, fields=fields, **more)
        self.sandbox.set_events(self.job_id, count)
        self.sandbox.set_queue(zip_time_gap=gap_s)

    def start(self, **tuning) -> "EventRun":
        config = self.pilot.home / "pilot.cfg"
        config.write_text(f"[Pilot]\nheartbeat = {self.heartbeat_s}\n")
        environment = {"PATH": tuning.pop("path", PATH), "HARVESTER_PILOT_CONFIG": str(config)}
        tuning = {"es_retry_s": 0.1, "es_stage_out_retry_s": 0.2, "es_drain_s": 30, **tuning}
        self.pilot.start(*tuning.pop("options", ()), environment=environment, **tuning)
        return self

    def finish(self, state: str, code: int = 0, timeout_s: float = 40) -> dict:
        self.pilot.wait_exit(timeout_s)
        return self.pilot.assert_final(self.job_id, state, code)

    def ranges(self) -> dict[str, dict]:
        return self.sandbox.job(self.job_id)["events"]["ranges"]

    def states(self) -> dict[str, int]:
        found = [each["state"] for each in self.ranges().values()]
        return {state: found.count(state) for state in sorted(set(found))}

    def tars(self) -> dict[str, list[str]]:
        """Return the members of each archive in the storage."""
        found = {}
        for path in self.sandbox.storage.rglob("EventService_premerge_*"):
            with tarfile.open(path) as archive:
                found[path.name] = sorted(archive.getnames())
        return found

    def outputs(self) -> set[str]:
        """Return the ids of ranges whose output lies in the job directory."""
        return {path.name.removeprefix("out.") for path in self.pilot.home.glob("**/athenaMP-workers/*/out.*")}

    def reports(self) -> list[dict]:
        """Return the bodies of all reports, their entries as they are."""
        bodies = [entry["body"] for entry in self.sandbox.record("update_event_ranges")]
        return [{**body, "event_ranges": json.loads(body["event_ranges"])} for body in bodies]


@pytest.fixture
def events(pilot):
    return lambda *arguments, **more: EventRun(pilot, *arguments, **more)


def in_state(run: EventRun, state: str) -> int:
    return run.states().get(state, 0)


def wait_for_ranges(run: EventRun, state: str, count: int, timeout_s: float = 20) -> None:
    wait_until(lambda: in_state(run, state) >= count, timeout_s, f"not {count} ranges {state}")


def test_es_1_and_es_2_ten_ranges_for_two_workers(events):
    run = events(count=10, cores=2).start()
    job = run.finish("finished")
    assert run.states() == {"finished": 10}, run.pilot.story()
    assert {each["handed"] for each in run.ranges().values()} == {1}
    assert {each["reports"] for each in run.ranges().values()} == {1}
    assert (job["final"]["n_events"], job["final"]["job_sub_status"]) == (10, "all_success")
    asked = [entry["body"] for entry in run.sandbox.record("acquire_event_ranges")]
    assert {body["n_ranges"] for body in asked} == {4}
    assert len(asked) == 4, "three answers with ranges, one without, and no request after that"
    run.pilot.assert_clean()


def test_case_12_nothing_of_an_event_job_is_refused(events):
    run = events().start()
    run.finish("finished")
    calls = [entry for entry in run.sandbox.record() if "/api/" in entry["path"]]
    assert {entry["call"] for entry in calls} >= {"acquire_event_ranges", "update_event_ranges"}
    # Each report ends in HTTP 500 although it is stored, as in the real server.
    broken = [entry["call"] for entry in calls if entry["status"] != 200]
    assert set(broken) == {"update_event_ranges"}
    assert not [entry for entry in calls if entry["call"] == "update_job" and not entry["answer"]["success"]]


def test_case_60_and_es_3_one_range_for_each_message_and_es_4_for_a_peer_that_waits_for_answers(events):
    run = events(count=5, payload={"socket": "REQ"}).start()
    run.finish("finished")
    assert run.states() == {"finished": 5}, run.pilot.story()


def test_case_61_and_es_6_a_range_that_fails_is_reported_alone(events):
    run = events("err:3", count=9).start()
    job = run.finish("finished")
    assert run.states() == {"failed": 3, "finished": 6}, run.pilot.story()
    failed = [each for each in run.ranges().values() if each["state"] == "failed"]
    assert {each["error_code"] for each in failed} == {1220}
    single = [body for body in run.reports() if body["version"] == 0]
    assert sum(len(body["event_ranges"]) for body in single) == 3
    assert (job["final"]["n_events"], job["final"]["job_sub_status"]) == (6, "partly_failed")


def test_case_62_and_es_5_two_outputs_are_one_archive(events):
    run = events("late", count=2).start()
    run.finish("finished")
    assert run.states() == {"finished": 2}, run.pilot.story()
    ((name, members),) = run.tars().items()
    (body,) = run.reports()
    ((chunk,), version) = body["event_ranges"], body["version"]
    ids = [entry["eventRangeID"] for entry in chunk["eventRanges"]]
    archive = chunk["zipFile"]
    assert (version, archive["numEvents"], archive["objstoreID"], archive["lfn"]) == (1, 2, 1001, name)
    assert name == f"EventService_premerge_{ids[0]}.tar"
    assert members == sorted(f"out.{each}" for each in ids)
    (path,) = run.sandbox.storage.rglob(name)
    data = path.read_bytes()
    assert (archive["fsize"], archive["adler32"]) == (len(data), f"{zlib.adler32(data):08x}")


def test_case_63_a_report_that_is_never_taken_is_not_repeated_for_ever(events):
    run = events(count=4)
    run.sandbox.fault("update_event_ranges", "http_500", times=None)
    job = run.start().finish("finished")
    assert job["final"].get("n_events", 0) == 0
    assert 3 <= len(run.reports()) <= 12, run.pilot.story()
    assert run.tars()


def test_es_11_a_report_that_failed_once_is_sent_again_without_another_upload(events):
    run = events("late", count=3)
    run.sandbox.fault("update_event_ranges", "http_500", times=1)
    job = run.start().finish("finished")
    first, second = run.reports()
    assert first == second
    assert len(run.tars()) == 1
    assert (run.states(), job["final"]["n_events"]) == ({"finished": 3}, 3)


def test_case_64_and_es_12_softkill_hands_out_no_more(events):
    run = events(count=500, payload={"event_time": 0.3}).start()
    wait_for_ranges(run, "finished", 1)
    run.sandbox.command(run.job_id, "softkill")
    job = run.finish("finished")
    states = run.states()
    assert states["ready"] > 400, run.pilot.story()
    assert states["finished"] >= 2
    assert "failed" not in states
    assert (job["final"]["n_events"], job["final"]["job_sub_status"]) == (states["finished"], "softkilled")


def test_es_12_tobekilled_ends_the_payload_at_once(events):
    run = events(count=500, payload={"event_time": 0.3}).start()
    wait_for_ranges(run, "finished", 1)
    payload = run.pilot.one("payload")
    run.sandbox.command(run.job_id, "tobekilled")
    run.pilot.wait_gone(payload, 15)
    run.pilot.wait_exit(40)
    job = run.sandbox.job(run.job_id)
    assert (job["finals_accepted"], job["final"]["pilot_error_code"]) == (1, 1144), run.pilot.story()
    run.pilot.assert_clean()


def test_es_7_a_payload_that_dies_leaves_what_it_made(events):
    run = events("die:4", count=10).start()
    run.finish("failed", 1305)
    assert (in_state(run, "finished"), in_state(run, "failed")) == (4, 1), run.pilot.story()
    (failed,) = [each for each in run.ranges().values() if each["state"] == "failed"]
    assert failed["error_code"] == 1305


def test_es_8_without_events_no_payload_is_started(events):
    run = events(count=0).start()
    job = run.finish("failed", 1238)
    assert job["final"]["job_sub_status"] == "pilot_noevents"
    assert not run.marker.exists()
    assert len(run.sandbox.record("acquire_event_ranges")) == 1
    run.pilot.assert_clean()


def test_range_requests_that_fail_are_made_four_times(events):
    run = events()
    run.sandbox.fault("acquire_event_ranges", "http_500", times=None)
    run.start().finish("failed", 1318)
    assert len(run.sandbox.record("acquire_event_ranges")) == 4
    assert not run.marker.exists()


def test_es_13_the_feeder_is_killed_while_ranges_are_in_work(events):
    run = events(count=12, cores=2, payload={"event_time": 0.4}).start()
    wait_for_ranges(run, "finished", 2)
    runner = run.pilot.kill("runner")
    run.pilot.wait_replaced("runner", runner)
    job = run.finish("finished")
    assert run.states() == {"finished": 12}, run.pilot.story()
    assert {each["handed"] for each in run.ranges().values()} == {1}
    assert job["final"]["n_events"] == 12


@pytest.mark.parametrize("role", ["supervisor", "stager", "reporter"])
def test_es_14_others_are_killed_while_ranges_are_in_work(events, role):
    run = events(count=10, cores=2, payload={"event_time": 0.3}).start()
    wait_for_ranges(run, "finished", 1)
    run.pilot.wait_replaced(role, run.pilot.kill(role))
    job = run.finish("finished")
    assert run.states() == {"finished": 10}, run.pilot.story()
    assert job["final"]["n_events"] == 10


@pytest.mark.parametrize("mode", ["garbage", "noid", "dup", "multi:3"])
def test_es_23_odd_payloads(events, mode):
    run = events(mode, count=4, cores=2).start()
    run.finish("finished")
    assert run.states() == {"finished": 4}, run.pilot.story()
    members = [name for names in run.tars().values() for name in names]
    assert len(members) == len(set(members)) == (12 if mode == "multi:3" else 4)


def test_an_output_that_is_not_there_fails_its_range(events):
    run = events("noout:2", count=4).start()
    run.finish("finished")
    failed = [each["error_code"] for each in run.ranges().values() if each["state"] == "failed"]
    assert failed == [1165, 1165], run.pilot.story()


def test_es_9_archives_while_the_payload_runs_and_nothing_left_after_their_report(events):
    run = events(count=20, payload={"event_time": 0.25}).start()
    wait_for_ranges(run, "finished", 8)
    finished = {name for name, each in run.ranges().items() if each["state"] == "finished"}
    wait_until(lambda: not run.outputs() & finished, 10, "outputs lie there after their report")
    run.finish("finished")
    tars = run.tars()
    assert len(tars) >= 3, run.pilot.story()
    told = {name: [] for name in tars}
    for name, each in run.ranges().items():
        told[each["zip_lfn"]].append(f"out.{name}")
    assert {name: sorted(members) for name, members in told.items()} == tars


def test_es_15_a_payload_that_hangs_is_ended(events):
    run = events("hang:2", count=6)
    run.sandbox.set_queue(catchall="max_wait_for_one_event=0.05")
    run.start().finish("failed", 1150)
    assert in_state(run, "finished") == 2, run.pilot.story()
    run.sandbox.set_queue(catchall="")


def test_es_16_a_signal_leaves_no_output_behind(events):
    run = events(count=400, gap_s=7200, payload={"event_time": 0.2}).start()
    wait_for_ranges(run, "finished", 1)
    wait_until(lambda: len(run.outputs()) >= 3, 10, "no outputs")
    made = run.outputs()
    wait_until(lambda: run.outputs() - made, 10, "no further output")  # so the payload has told of those before
    os.kill(run.pilot.one("guardian"), signal.SIGTERM)
    run.finish("failed", 1201)
    assert {run.ranges()[name]["state"] for name in made} == {"finished"}, run.pilot.story()
    assert in_state(run, "failed") <= 1
    calls = [entry["call"] for entry in run.sandbox.record()]
    assert calls.index("update_event_ranges") < len(calls) - 1 - calls[::-1].index("update_job")


def storages(run: EventRun, *paths: Path) -> list[str]:
    """Give the queue a storage for events at each path, the second one for what the first does not take."""
    here = {"endpoint": "file://localhost", "flavour": "FILE"}
    entries = {"SANDBOX_DATADISK": run.sandbox.storage, **{f"ES_{n}": path for n, path in enumerate(paths, 1)}}
    document = {
        name: {
            "id": 1001 + number,
            "name": name,
            "type": "OS_ES" if number else "DATADISK",
            "is_deterministic": not number,
            "arprotocols": {activity: [{**here, "path": f"{path}/"}] for activity in ("read_lan", "write_lan", "w")},
        }
        for number, (name, path) in enumerate(entries.items())
    }
    file = run.pilot.home / "storages.json"
    file.write_text(json.dumps(document))
    activities = ("pr", "pw", "pl", "read_lan", "write_lan", "w")
    run.sandbox.set_queue(
        astorages={
            **{activity: ["SANDBOX_DATADISK"] for activity in activities},
            "es_events": ["ES_1"],
            "es_failover": ["ES_2"],
        }
    )
    return ["--storagedata-url", str(file)]


def no_directory(home: Path, name: str) -> Path:
    """Return the path of a storage that takes nothing: a file where a directory should be."""
    path = home / name
    path.write_text("in the way")
    return path


def test_es_10_what_the_first_storage_does_not_take_goes_to_the_other_one(events):
    run = events(count=4)
    good = run.pilot.home / "object-store"
    options = storages(run, no_directory(run.pilot.home, "bad"), good)
    run.start(options=options).finish("finished")
    assert run.states() == {"finished": 4}, run.pilot.story()
    archives = [chunk["zipFile"] for body in run.reports() for chunk in body["event_ranges"]]
    assert {archive["objstoreID"] for archive in archives} == {1003}
    assert sorted(path.name for path in good.iterdir()) == sorted(archive["lfn"] for archive in archives)


def test_es_10_when_no_storage_takes_anything_the_job_fails_in_a_way_that_can_be_mended(events):
    run = events(count=400, payload={"event_time": 0.2})
    options = storages(run, no_directory(run.pilot.home, "bad"), no_directory(run.pilot.home, "worse"))
    job = run.start(options=options, es_stage_out_retry_s=0.05, transfer_attempts=1).finish("failed", 1224, 90)
    assert set(run.states()) <= {"failed", "ready", "sent"}, run.pilot.story()
    assert in_state(run, "ready") > 0
    assert {each["error_code"] for each in run.ranges().values() if each["state"] == "failed"} == {1137}
    assert job["final"]["job_sub_status"] == "all_failed"


@pytest.mark.parametrize("dialect", ["both", "legacy"])
def test_es_21_the_legacy_dialect(tmp_path_factory, dialect):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", dialect) as old, PilotRun(old) as pilot:
        run = EventRun(pilot, "err:4", count=8)
        options = ["--server-api", "legacy"] if dialect == "both" else []
        run.start(options=options)
        job = run.finish("finished")
        assert run.states() == {"failed": 2, "finished": 6}, pilot.story()
        assert job["final"]["n_events"] == 6
        assert {each["reports"] for each in run.ranges().values()} == {1}
        assert not old.record("get_event_range_statuses")


def test_softkill_in_the_answer_to_a_report(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "legacy") as old, PilotRun(old) as pilot:
        run = EventRun(pilot, count=500, payload={"event_time": 0.2})
        run.heartbeat_s = 600
        run.start()
        wait_for_ranges(run, "sent", 2)
        old.command(run.job_id, "softkill")
        run.finish("finished")
        assert run.states()["ready"] > 400, pilot.story()
        assert "failed" not in run.states()


@pytest.mark.parametrize(
    "arguments",
    [
        f"--eventService=True --preExec '{JPS};jps.AthenaMPFlags.Strategy=\"EventService\"' --physicsList=X",
        "--CA --maxEvents=10",
        "--CA --multithreaded=true --athenaopts='--threads=2'",
    ],
    ids=["classic", "CA", "threads"],
)
def test_es_17_the_payload_finds_its_channel_in_its_command(events, arguments):
    fake = "--fake-event-time=0 --fake-channel-from=command"
    script = ROOT / "sandbox" / "transforms" / "fake_athenamp.py"
    run = events(count=3, transform="Sim_tf.py", inputs=[5000], fields={"jobPars": f"{arguments} {fake}"})
    programs = run.pilot.home / "programs"
    programs.mkdir()
    (programs / "Sim_tf.py").symlink_to(script)
    run.start(path=f"{programs}:{PATH}").finish("finished")
    assert run.states() == {"finished": 3}, run.pilot.story()
