"""Deaths that take more than one process: supervisors again and again, everything at once, budgets, standing still."""

import os
import signal
import stat
import time
from pathlib import Path

import pytest
from phases import hold
from pilotrun import SOAK, WORKERS, command_line, report_of

from errors.codes import ErrorCode
from host.processes import process_table, read_row
from tests.waiting import wait_until

pytestmark = pytest.mark.chaos


def pass_by(seconds):
    """Let time pass: there is nothing to be seen while everything is stopped."""
    moment = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() >= moment, seconds + 5, "the moment")


def kill_again_and_again(pilot, role, times):
    """Kill a role's process, its successor, and so on."""
    pid = 0
    for _ in range(times):
        pilot.wait_replaced(role, pid)
        pid = pilot.kill(role, signal.SIGKILL)
        pilot.wait_gone(pid)


@pytest.mark.parametrize("phase", ["stage-in", "payload", "log"])
def test_a_supervisor_killed_three_times(pilot, phase):
    held = hold(pilot, phase, pilot.start)
    payload = pilot.find("payload")
    kill_again_and_again(pilot, "supervisor", 3)
    pilot.one("supervisor")
    assert phase != "payload" or pilot.find("payload") == payload, "the payload must not notice"
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_supervisor_that_cannot_live_is_given_up_and_nothing_stays(pilot):
    """The guardian gives up after five restarts; the payload is ended with it, a later pilot reports the job."""
    held = hold(pilot, "payload", lambda: pilot.start(orphan_grace_s=0.5))
    kill_again_and_again(pilot, "supervisor", 6)
    assert pilot.wait_exit() == 128 + signal.SIGKILL
    wait_until(lambda: not pilot.family(), 15, f"processes are left\n{pilot.story()}")
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "failed", ErrorCode.PAYLOADLOST)
    pilot.assert_clean()


@pytest.mark.parametrize("role", WORKERS)
def test_a_spent_restart_budget_fails_the_job_and_reports_it(pilot, role):
    held = hold(pilot, "payload", pilot.start)
    kill_again_and_again(pilot, role, 6)
    code = pilot.wait_exit()
    assert code != 0, "the pilot could not do its work"
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.WORKERRESTARTSSPENT)
    assert report_of(job), pilot.story()
    pilot.assert_clean()


def test_a_role_that_never_lives_ends_the_pilot_with_a_report_on_disk_or_at_the_server(pilot):
    """The stager is killed whenever it shows: the job is reported without its log, as nobody could bring it."""
    held = hold(pilot, "payload", pilot.start)
    deadline = time.monotonic() + 30
    while pilot.process.poll() is None and time.monotonic() < deadline:
        pilot.signal_all(pilot.find("stager"), signal.SIGKILL)
    pilot.wait_exit(1)
    pilot.assert_final(held.job_id, "failed", ErrorCode.WORKERRESTARTSSPENT)
    pilot.assert_clean(keep_main=True)


def test_a_task_that_crashes_its_worker_every_time_is_not_given_out_for_ever(pilot):
    """The runner dies of a fault of its own whenever it takes up the payload: poison, not a restart storm."""
    held = hold(pilot, "payload", pilot.start)
    pid = 0
    for _ in range(3):
        pilot.wait_replaced("runner", pid)
        pid = pilot.one("runner")
        wait_until(lambda: _holds_a_task(pilot), 10, "the runner takes the payload up")
        pilot.signal_all([pid], signal.SIGSEGV)
        pilot.wait_gone(pid)
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.POISONTASK)
    assert report_of(job), pilot.story()
    pilot.assert_clean()


def _holds_a_task(pilot):
    return any("job" in command_line(pid) for pid in pilot.find("runner"))


@pytest.mark.parametrize("phase", ["set-up", "stage-in", "payload", "stage-out", "log", "final"])
def test_everything_killed_at_once_is_reported_by_the_next_pilot(pilot, phase):
    held = hold(pilot, phase, pilot.start)
    pilot.kill_all()
    wait_until(lambda: not pilot.family(), 10, "processes are left")
    pilot.process.wait(5)
    assert pilot.sandbox.job(held.job_id)["finals_accepted"] == 0, pilot.story()
    pilot.payload_end.touch()
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    if phase == "payload":
        pilot.assert_final(held.job_id, "failed", ErrorCode.PAYLOADLOST)
    else:
        pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_job_taken_over_twice_is_reported_once(pilot):
    """The pilot that takes the job over is killed as well."""
    held = hold(pilot, "final", pilot.start)
    pilot.kill_all()
    pilot.process.wait(5)
    pilot.sandbox.clear_faults()
    pilot.sandbox.fault("update_job", "drop_after", only_final=True, times=1)
    pilot.sandbox.fault("update_job", "silence", only_final=True, times=1)
    pilot.start()
    pilot.wait_call("update_job", job_status="finished")
    pilot.sandbox.wait_final(held.job_id, 10)
    pilot.kill_all()
    pilot.process.wait(5)
    pilot.sandbox.clear_faults()
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_signal_while_the_server_is_away_is_reported_by_the_next_pilot(pilot):
    held = hold(pilot, "payload", lambda: pilot.start(kill_grace_s=4, report_reserve_s=1.5))
    pilot.sandbox.down()
    began = time.monotonic()
    os.kill(pilot.process.pid, signal.SIGTERM)
    assert pilot.wait_exit() == 128 + signal.SIGTERM, pilot.story()
    assert time.monotonic() - began < 10, pilot.story()
    assert pilot.sandbox.job(held.job_id)["finals_accepted"] == 0
    assert not pilot.find("payload"), pilot.story()
    pilot.sandbox.up()
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.SIGTERM)
    assert report_of(job), pilot.story()
    pilot.assert_clean()


@pytest.mark.parametrize("role", ["supervisor", *WORKERS])
@pytest.mark.parametrize("phase", ["payload", "stage-in"])
def test_a_death_while_the_pilot_ends(pilot, role, phase):
    """A TERM, then a kill of one of those who have to carry it out."""
    held = hold(pilot, phase, pilot.start, payload={"ignore_term": True})
    os.kill(pilot.process.pid, signal.SIGTERM)
    pilot.wait_log("code 1201")
    pilot.signal_all(pilot.find(role), signal.SIGKILL)
    assert pilot.wait_exit() == 128 + signal.SIGTERM, pilot.story()
    job = pilot.assert_final(held.job_id, "failed", ErrorCode.SIGTERM)
    assert report_of(job), pilot.story()
    pilot.assert_clean()


@pytest.mark.parametrize("phase", ["payload", "stage-in"])
def test_a_pilot_that_stood_still_goes_on_unharmed(pilot, phase):
    """All processes stopped for longer than every silence limit (a suspended host): nobody is killed for it."""
    held = hold(pilot, phase, pilot.start)
    before = {role: pilot.one(role) for role in ("supervisor", *WORKERS)}
    rows = [row.pid for row in pilot.family()]
    pilot.signal_all(rows, signal.SIGSTOP)
    pass_by(30 if SOAK else 5)
    pilot.signal_all(rows, signal.SIGCONT)
    if phase == "payload":
        pass_by(2)  # longer than the silence limit: whoever was to be killed is dead by now
        assert {role: pilot.one(role) for role in before} == before, pilot.story()
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_ps_and_df_are_never_called(pilot):
    """Tools that hang or lie on a sick node are not asked."""
    bin_dir = pilot.home / "bin"
    bin_dir.mkdir()
    mark = pilot.home / "called"
    for name in ("ps", "df", "du", "pgrep", "pkill", "kill", "free", "lscpu", "hostname", "uname", "which", "grep"):
        script = bin_dir / name
        script.write_text(f"#!/bin/sh\necho {name} >>{mark}\nexit 1\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000], payload={"sleep": 1.2})[0]
    pilot.start(environment={"PATH": f"{bin_dir}:{os.environ['PATH']}"})
    assert pilot.wait_exit() == 0, pilot.story()
    assert not mark.exists(), mark.read_text()
    pilot.assert_final(job_id, "finished", 0)


def test_restarts_leave_no_descriptors_and_no_zombies(pilot):
    held = hold(pilot, "payload", lambda: pilot.start(restart_burst=100))
    supervisor = pilot.one("supervisor")

    def descriptors(pid):
        try:
            return len(list(Path(f"/proc/{pid}/fd").iterdir()))
        except PermissionError:
            pytest.skip("the descriptors of a hidden process cannot be seen here")

    wait_until(lambda: all(pilot.find(role) for role in WORKERS), 10, "all workers")
    before = descriptors(supervisor)
    for role in WORKERS:
        kill_again_and_again(pilot, role, 3)
    # A connection more or less is on its way at any moment; twelve restarts must not leave twelve of anything.
    wait_until(lambda: descriptors(supervisor) <= before + 4, 10, f"descriptors grow from {before}")
    zombies = [row for row in process_table().values() if row.ppid == supervisor and row.state == "Z"]
    wait_until(lambda: not zombies or all(read_row(row.pid) is None for row in zombies), 10, f"zombies: {zombies}")
    assert descriptors(pilot.one("payload")) <= 3 + 1, "a payload gets its three descriptors and opens what it likes"
    held.release()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


@pytest.mark.parametrize("times", [1, 2])
def test_a_job_handed_out_to_a_supervisor_that_dies_meanwhile_is_not_lost(pilot, times):
    """The server hands a job out once; the reporter waits for the answer, keeps it, and the next one finds it."""
    (job_id,) = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000], transform="quick.sh")
    pilot.sandbox.fault("acquire_jobs", "late", seconds=2)
    pilot.start("-x", "3", "-v", "3", getjob_pause_s=0.1)
    wait_until(lambda: pilot.sandbox.job(job_id)["state"] == "sent", 10, "the job was not handed out")
    kill_again_and_again(pilot, "supervisor", times)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    pilot.assert_clean()
