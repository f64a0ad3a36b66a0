"""ARC's side of a slot that ends in other ways than well: the numbered statements VOL-n of the ARC specification."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from slot_rig import encoded, make_jobs, read_json, start_in, use_mv

from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]
#: What the control tower gives the pilot (volunteer-boinc-arc 2.1), without what the wrapper keeps for itself.
ARC = ("-z", "--harvester-submit-mode", "PUSH", "--job-type", "user", "--resource-type", "SCORE")


def _place(tmp_path: Path, job: dict) -> Path:
    place = tmp_path / "arc"
    place.mkdir(exist_ok=True)
    (place / "pandaJobData.out").write_text(encoded(job))
    return place


def _state(place: Path) -> str:
    path = place / "heartbeat.json"
    return read_json(path)["state"] if path.exists() else ""


def _without_network() -> tuple[str, ...]:
    """Return what starts a program where there is no network but loopback; skip the test where that cannot be had."""
    words = ("unshare", "--user", "--map-root-user", "--net")
    if not shutil.which("unshare") or subprocess.run([*words, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespace can be made here")
    return words


def test_vol_1_hpc_19_a_job_without_any_network(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, transform="true", outputs=[])
    place = _place(tmp_path, job)
    start_in(pilot, place, *ARC, within=_without_network())
    assert pilot.wait_exit() == 0
    assert _state(place) == "finished", pilot.story()


def test_hpc_19_a_missing_description_is_named_within_10_s_and_nobody_is_asked(sandbox, pilot, tmp_path):
    (job,) = make_jobs(sandbox, transform="true", outputs=[])
    place = _place(tmp_path, job)
    began = time.monotonic()
    start_in(pilot, place, *ARC, within=_without_network(), with_queue=False, queue_pause_s=15)
    assert pilot.wait_exit() == 71
    assert time.monotonic() - began < 10
    beat = read_json(place / "heartbeat.json")
    assert (beat["state"], beat["pilotErrorCode"]) == ("failed", 1116)
    said = (place / "pilotlog.txt").read_text()
    assert f"{place}/queuedata.json" in said
    assert "://" not in said.replace(str(place), "")
    assert (place / "pandaJobData.out").exists()


@pytest.mark.parametrize(
    ("number", "code", "exit_code"),
    [(signal.SIGTERM, 1201, 143), (signal.SIGINT, 1208, 130), (signal.SIGXCPU, 1204, 152)],
)
def test_vol_4_a_signal_is_in_the_last_heartbeat(sandbox, pilot, tmp_path, number, code, exit_code):
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)})
    place = _place(tmp_path, job)
    start_in(pilot, place, *ARC)
    wait_until(lambda: _state(place) == "running", 30, "the job does not run")
    os.kill(pilot.one("guardian"), number)
    assert pilot.wait_exit() == exit_code
    for name in ("heartbeat.json", "heartbeat_new.json"):
        beat = read_json(place / name)
        assert (beat.get("state") or beat["job_status"]) == "failed"
        assert (beat.get("pilotErrorCode") or beat["pilot_error_code"]) == code
    assert [line.split()[0] for line in (place / "output.list").read_text().splitlines()] == [job["logFile"]]


def test_vol_4_a_slot_that_is_killed_as_a_whole_leaves_its_last_state(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)})
    place = _place(tmp_path, job)
    start_in(pilot, place, *ARC)
    wait_until(lambda: _state(place) == "running", 30, "the job does not run")
    pilot.kill_all()
    assert _state(place) == "running"


def test_vol_6_a_rerun_over_what_an_interrupted_run_left(sandbox, pilot, tmp_path):
    """ARC brings the inputs, the definition among them, once more; the job ends once, with each file listed once."""
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, transform="work.py", payload={"until": str(pilot.payload_end)})
    place = _place(tmp_path, job)
    start_in(pilot, place, *ARC)
    wait_until(lambda: _state(place) == "running", 30, "the job does not run")
    pilot.kill_all()
    _place(tmp_path, job)
    pilot.payload_end.touch()
    start_in(pilot, place, *ARC)
    assert pilot.wait_exit() == 0
    assert _state(place) == "finished", pilot.story()
    names = [line.split()[0] for line in (place / "output.list").read_text().splitlines()]
    assert sorted(names) == sorted(job["outFiles"].split(","))
    assert sorted(json.loads(read_json(place / "heartbeat.json")["xml"])) == sorted(names)
    assert not list(place.glob("PanDA_Pilot-*"))
    assert not (place / "pandaJobData.out").exists()


def test_vol_5_and_inputs_that_are_not_there_are_named(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (job,) = make_jobs(sandbox, inputs=[1000], outputs=[1000])
    place = _place(tmp_path, job)
    start_in(pilot, place, *ARC)
    assert pilot.wait_exit() == 0
    beat = read_json(place / "heartbeat.json")
    assert (beat["state"], beat["pilotErrorCode"] in (1099, 1103, 1331)) == ("failed", True), beat
    assert job["inFiles"] in beat["pilotErrorDiag"]


def test_the_log_is_shown_where_the_wrapper_looks_also_on_another_file_system(sandbox, pilot, tmp_path):
    """No hard link is possible: a second log is written, by the next supervisor too, and stays fresh."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("/dev/shm is no other file system here")
    (job_id,) = sandbox.make_jobs(1, transform="work.py", payload={"until": str(pilot.payload_end)})
    far = memory / f"bulkhead-test-{os.getpid()}"
    far.mkdir()
    pilot.workdir.rmdir()
    pilot.workdir.symlink_to(far)
    try:
        pilot.start()
        pilot.wait_call("update_job", job_status="running")
        shown = pilot.home / "pilotlog.txt"
        assert "payload_started" in shown.read_text()
        pilot.wait_replaced("supervisor", pilot.kill("supervisor"))
        pilot.payload_end.touch()
        assert pilot.wait_exit() == 0
        pilot.assert_final(job_id, "finished", 0)
        assert "the pilot leaves with exit code 0" in shown.read_text()
    finally:
        pilot.kill_all()
        for path in sorted(far.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        far.rmdir()
