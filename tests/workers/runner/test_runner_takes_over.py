"""A runner dies, a shim dies, a payload dies: what the next runner makes of it."""

import json
import os
import signal
import subprocess

import pytest

from errors.codes import ErrorCode
from host.processes import identify, is_alive
from tests.waiting import wait_until
from tests.workers.runner.rig import PATH, PYTHON
from workers.runner.launch import make_order, start_shim
from workers.runner.shim import CLAIM_TAKEN

WAITS = "touch ready; exec sleep 60"


def gone(identity):
    return lambda: not is_alive(identity)


def test_a_running_payload_is_taken_over(place):
    first = place.start("touch ready; until [ -e go ]; do sleep 0.01; done; exit 65", ready="ready")
    place.kill_runner()
    place.assign("exit 1", lease="run2")
    place.until(lambda: place.started("run2"), "the start told again")
    assert place.started("run2") == [first]
    (place.job_dir / "go").touch()
    assert place.wait("run2").exit_code == 65
    assert "run" not in place.desk.results


def test_a_payload_that_ended_meanwhile_is_told_not_run_again(place):
    place.start("echo once >> runs; touch ready; exit 65", ready="ready")
    shim = place.facts().shim
    place.kill_runner()
    wait_until(gone(shim), 5, "the shim's end")
    place.assign("echo twice >> runs", lease="run2")
    assert place.wait("run2").exit_code == 65
    assert (place.job_dir / "runs").read_text() == "once\n"


def test_the_same_lease_given_again_to_the_same_runner_starts_nothing_new(place):
    place.start("echo once >> runs; touch ready; until [ -e go ]; do sleep 0.01; done", ready="ready")
    place.assign("echo twice >> runs")
    (place.job_dir / "go").touch()
    assert place.wait().exit_code == 0
    assert (place.job_dir / "runs").read_text() == "once\n"


def test_a_second_shim_finds_the_claim_and_leaves(place):
    place.prepare()
    task = place.task("echo x >> runs")
    for expected in (0, CLAIM_TAKEN):
        shim, news = start_shim(make_order(task, None, 1.0, 1.0), task)
        assert shim.wait(10) == expected
        os.close(news)
    assert (place.job_dir / "runs").read_text() == "x\n"


def test_many_shims_at_once_run_one_payload(place):
    place.prepare()
    task = place.task("echo x >> runs")
    shims = [start_shim(make_order(task, None, 1.0, 1.0), task) for _ in range(6)]
    codes = sorted(shim.wait(20) for shim, _ in shims)
    for _, news in shims:
        os.close(news)
    assert codes == [0] + [CLAIM_TAKEN] * 5
    assert (place.job_dir / "runs").read_text() == "x\n"


def test_a_killed_payload_is_told_with_its_signal(place):
    started = place.start(WAITS, ready="ready")
    os.kill(started.pid, signal.SIGKILL)
    result = place.wait()
    assert (result.signal, result.exit_code) == (9, 137)
    assert result.error_code == ErrorCode.PAYLOADEXECUTIONFAILURE


@pytest.mark.parametrize("adopted", [False, True])
def test_a_killed_shim_ends_the_payloads_tree_as_lost(place, adopted):
    place.start("sleep 61 & setsid sleep 62 & touch ready; wait", ready="ready")
    if adopted:
        place.kill_runner()
        place.assign("exit 1", lease="run2")
        place.until(lambda: place.started("run2"), "the start told again")
    os.kill(place.facts().shim.pid, signal.SIGKILL)
    result = place.wait("run2" if adopted else "run")
    assert result.error_code == ErrorCode.PAYLOADLOST
    assert place.processes() == []


def test_a_daemon_of_a_payload_whose_shim_was_killed_is_ended(place):
    daemon = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
    daemon += "; open('daemon', 'w').write(str(os.getpid())); open('ready', 'w'); time.sleep(60)"
    place.start(f'{PYTHON} -c "{daemon}"; exec sleep 63', ready="ready")
    os.kill(place.facts().shim.pid, signal.SIGKILL)
    assert place.wait().error_code == ErrorCode.PAYLOADLOST
    assert place.processes() == []


def test_shim_and_payload_killed_is_lost_also_for_a_runner_that_comes_later(place):
    started = place.start(WAITS, ready="ready")
    shim, payload = place.facts().shim, identify(started.pid)
    place.kill_runner()
    for who in (shim, payload):
        os.kill(who.pid, signal.SIGKILL)
        wait_until(gone(who), 5, "the kill")
    place.assign("touch again", lease="run2")
    assert place.wait("run2").error_code == ErrorCode.PAYLOADLOST
    assert not (place.job_dir / "again").exists()


def test_another_boot_means_lost_and_nobody_is_signalled(place):
    place.prepare()
    bystander = subprocess.Popen(["sleep", "64"], start_new_session=True)
    try:
        who = identify(bystander.pid)
        mark = json.dumps({"pid": who.pid, "start_ticks": who.start_ticks, "boot_id": "before", "started": 1.0})
        for name in ("claim", "shim.json", "payload.json"):
            (place.control_dir / name).write_text(mark)
        place.assign("exit 0")
        assert place.wait().error_code == ErrorCode.PAYLOADLOST
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_claim_without_a_maker_is_lost_after_a_short_time(place):
    place.prepare()
    (place.control_dir / "claim").touch()
    place.assign("touch ran")
    assert place.wait().error_code == ErrorCode.PAYLOADLOST
    assert not (place.job_dir / "ran").exists()


def test_signals_to_the_shim_do_not_lose_the_status(place):
    place.start("touch ready; until [ -e go ]; do sleep 0.01; done; exit 3", ready="ready")
    shim = place.facts().shim
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGXCPU, signal.SIGSEGV):
        os.killpg(shim.pid, number)
    os.kill(shim.pid, signal.SIGSTOP)
    (place.job_dir / "go").touch()
    assert place.wait().exit_code == 3


def test_a_cancelled_run_is_not_told_and_goes_on(place):
    started = place.start(WAITS, ready="ready")
    place.duty.cancel("run", None)
    place.duty.cancel("unknown", None)
    assert place.duty.next_deadline() is None
    assert is_alive(identify(started.pid))
    assert place.desk.results.keys() == {"prepare"}


def test_a_stopped_runner_touches_nothing(place):
    started = place.start(WAITS, ready="ready")
    place.duty.stop()
    assert place.desk.callbacks == {}
    assert is_alive(identify(started.pid))


def test_without_pidfds_it_works_too(place, monkeypatch):
    monkeypatch.delattr(os, "pidfd_open")
    place.start("touch ready; until [ -e go ]; do sleep 0.01; done; exit 4", ready="ready")
    place.kill_runner()
    place.assign("exit 1", lease="run2")
    (place.job_dir / "go").touch()
    assert place.wait("run2").exit_code == 4
    assert PATH
