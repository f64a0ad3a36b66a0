"""What the production wrapper relies on: names, log, PandaIDs, configuration, signals, exit codes (behaviour 4, 5)."""

import os
import signal
import subprocess
import sys
import time

import pytest
from slot_rig import start_in

from core.step import FRESH_LOG_S
from errors.catalogue import load, process_exit_code
from settings.settings import VERSION
from slot.life import show_log
from tests.chaos.pilotrun import ROOT
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]


def test_the_tree_has_what_the_wrapper_looks_for():
    assert (ROOT / "PILOTVERSION").read_text().strip() == VERSION
    done = subprocess.run(
        [sys.executable, "pilot.py", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert VERSION in done.stdout


def test_pilot_py_runs_a_job_with_a_directory_of_its_own(sandbox, pilot, tmp_path):
    """Log and ids are where the wrapper looks although -a puts the pilot elsewhere."""
    (job_id,) = sandbox.make_jobs(1, outputs=[1000], transform="quick.sh")
    source = tmp_path / "pilot3"
    source.mkdir()
    pilot.start(
        wrap=lambda words: [words[0], str(ROOT / "pilot.py"), *words[2:]],
        environment={"PANDA_PILOT_SOURCE": str(source)},
    )
    assert pilot.wait_exit() == 0
    pilot.assert_final(job_id, "finished", 0)
    (main,) = pilot.main_dirs()
    shown = pilot.home / "pilotlog.txt"
    assert shown.stat(follow_symlinks=False).st_ino == (main / "pilotlog.txt").stat().st_ino
    assert (source / "pandaIDs.out").read_text() == f"{job_id}\n"
    assert not (pilot.home / "pandaIDs.out").exists()


def test_ids_go_beside_the_unpacked_pilot(sandbox, pilot):
    ids = sandbox.make_jobs(2, outputs=[1000], transform="quick.sh")
    sandbox.set_queue(timefloor=60)
    (pilot.home / "pilot3").mkdir()
    pilot.start()
    assert pilot.wait_exit() == 0
    assert (pilot.home / "pilot3" / "pandaIDs.out").read_text().split() == [str(number) for number in ids]


def test_the_log_is_written_to_within_five_minutes():
    assert FRESH_LOG_S < 300


def test_a_log_that_cannot_be_linked_is_told(tmp_path):
    log = tmp_path / "a" / "pilotlog.txt"
    log.parent.mkdir()
    log.write_text("x")
    assert show_log(log, tmp_path)
    assert show_log(log, tmp_path)
    assert not show_log(log, tmp_path / "absent")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "pilotlog.txt"]


def test_the_configuration_file_of_the_wrapper_is_honoured(sandbox, pilot):
    (job_id,) = sandbox.make_jobs(1, outputs=[1000], transform="work.py", payload={"until": str(pilot.payload_end)})
    config = pilot.home / "pilot.cfg"
    config.write_text("[Pilot]\nheartbeat: 1\n")
    pilot.start(environment={"HARVESTER_PILOT_CONFIG": str(config)})
    wait_until(lambda: len(pilot.updates(job_id)) >= 5, 20, "no heartbeats of one second")
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0
    pilot.assert_final(job_id, "finished", 0)


def test_queuedata_in_the_launch_directory_is_used(sandbox, pilot, tmp_path):
    sandbox.set_queue(status="offline")
    start_in(pilot, tmp_path / "launch", "--storagedata-url", f"{sandbox.url}/cache/ddmendpoints.json")
    assert pilot.wait_exit() == 83
    assert not [entry for entry in sandbox.record() if entry["call"] == "acquire_jobs"]


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_sigint_and_sigterm_of_the_wrapper_to_a_background_child(sandbox, pilot, number, exit_code):
    """As a shell's background child: SIGINT and SIGQUIT are ignored when the pilot starts."""
    (job_id,) = sandbox.make_jobs(1, transform="work.py", payload={"until": str(pilot.payload_end)})

    def in_background(words: list[str]) -> list[str]:
        return ["/bin/sh", "-c", '"$@" & wait $!', "sh", *words]

    pilot.start(wrap=in_background)
    pilot.wait_call("update_job", job_status="running")
    began = time.monotonic()
    os.kill(pilot.one("guardian"), number)
    assert pilot.wait_exit() == exit_code
    assert time.monotonic() - began < 120
    pilot.assert_final(job_id, "failed")


def test_sigint_is_followed_by_sigkill_and_nothing_is_left(sandbox, pilot):
    """What the wrapper's supervisor does to a pilot whose log went stale."""
    sandbox.make_jobs(1, transform="work.py", payload={"until": str(pilot.payload_end), "ignore_term": True})
    pilot.start()
    pilot.wait_call("update_job", job_status="running")
    guardian = pilot.one("guardian")
    os.kill(guardian, signal.SIGINT)
    os.kill(guardian, signal.SIGKILL)
    assert pilot.wait_exit() == -signal.SIGKILL
    pilot.assert_clean(timeout_s=30, keep_main=True)


#: Pilot error -> exit code of the process (behaviour 4); the wrapper translates 64, 80 and 82.
EXITS = {
    1377: 64, 1008: 65, 1199: 66, 1103: 67, 1177: 68, 1163: 68, 1373: 68, 1098: 69, 1301: 70, 1116: 71, 1117: 72,
    1186: 73, 1330: 74, 1332: 75, 1342: 76, 1331: 77, 1359: 78, 1318: 79, 1406: 79, 1382: 80, 1213: 81, 1385: 82,
    1386: 83, 1200: 137, 1201: 143, 1202: 131, 1203: 139, 1204: 152, 1206: 138, 1207: 135, 1208: 130, 1305: 1, 0: 0,
}  # fmt: skip


@pytest.mark.parametrize(("code", "exit_code"), EXITS.items())
def test_the_exit_code_of_each_named_failure(code, exit_code):
    assert process_exit_code(code) == exit_code


def test_no_named_failure_is_missing_above():
    assert {int(code) for code in load()["process_exits"]} - {-1} <= set(EXITS)
