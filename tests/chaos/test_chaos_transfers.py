"""Transfers that hang, break or cannot be: the right code, or another try; nothing is left half-done."""

import os
import shutil
import signal
import subprocess

import pytest
from phases import hold
from pilotrun import report_of

from errors.codes import ErrorCode

pytestmark = pytest.mark.chaos


def input_of(pilot, job_id, number=0):
    names = pilot.sandbox.job(job_id)["definition"]["inFiles"].split(",")
    return pilot.sandbox.stored_path("sandbox.test", names[number])


def fails(pilot, job_id, *codes, log=True):
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed")
    # Codes that another try may cure are negative for analysis jobs (behaviour 9).
    assert abs(job["final"]["pilot_error_code"]) in codes, pilot.story()
    assert bool(report_of(job)) == log, pilot.story()
    pilot.assert_clean()
    return job


def test_a_hung_download_is_killed_and_tried_again(pilot):
    pilot.sandbox.fault("transform", "silence")
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    pilot.assert_clean()


def test_a_download_that_always_hangs_fails_the_job(pilot):
    pilot.sandbox.fault("transform", "silence", times=None)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    pilot.start(stall_limit_s=0.7)
    fails(pilot, job_id, ErrorCode.STAGEINTIMEOUT, ErrorCode.TRFDOWNLOADFAILURE)


@pytest.mark.parametrize("phase", ["stage-out", "log"])
def test_hung_copies_out_are_killed_and_tried_again(pilot, phase):
    """All movers are stopped and stay so: stalls are seen, killed, and new movers do the work."""
    held = hold(pilot, phase, pilot.start)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_clean()


def test_a_corrupted_input_fails_the_job(pilot):
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000, 2000], outputs=[3000])[0]
    path = input_of(pilot, job_id)
    path.write_bytes(bytes(reversed(path.read_bytes())))
    pilot.start()
    fails(pilot, job_id, ErrorCode.GETADMISMATCH)


def test_an_input_of_another_size_fails_the_job(pilot):
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    with input_of(pilot, job_id).open("ab") as stream:
        stream.write(b"more")
    pilot.start()
    job = fails(pilot, job_id, ErrorCode.GETWRONGSIZE)
    assert "2000" in job["final"]["pilot_error_diag"]


def test_a_missing_input_fails_the_job(pilot):
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000, 2000], outputs=[3000])[0]
    input_of(pilot, job_id, 1).unlink()
    pilot.start()
    fails(pilot, job_id, ErrorCode.MISSINGINPUTFILE)


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_an_input_that_is_no_file_fails_the_job(pilot, kind):
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    path = input_of(pilot, job_id)
    path.unlink()
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed")
    assert job["final"]["pilot_error_code"] > 0, pilot.story()
    path.unlink() if kind == "fifo" else path.rmdir()
    pilot.assert_clean()


def test_a_storage_that_cannot_be_written_fails_the_job_and_its_log(pilot):
    job_id = pilot.sandbox.make_jobs(1, inputs=[], outputs=[3000])[0]
    blocker = pilot.sandbox.storage / "sandbox"
    shutil.rmtree(blocker, ignore_errors=True)
    blocker.write_text("in the way")
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    blocker.unlink()
    pilot.assert_final(job_id, "failed", ErrorCode.MKDIR_STORAGE)
    pilot.assert_clean()


def test_h096_a_missing_output_fails_the_job(pilot):
    job_id = pilot.sandbox.make_jobs(1, outputs=[3000], transform="quick.sh", payload={"outputs": "other:1"})[0]
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed")
    assert job["final"]["pilot_error_code"] == ErrorCode.MISSINGOUTPUTFILE, pilot.story()
    pilot.assert_clean()


@pytest.fixture
def small_disk(pilot):
    """A work directory on a file system of 24 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(pilot.workdir)], check=False)
    if done.returncode:
        pytest.skip("this machine does not let us mount a small file system")
    yield pilot
    pilot.kill_all()
    subprocess.run(["umount", "-l", str(pilot.workdir)], check=False)


_NO_FLOOR = {"free_space_bytes": 0, "free_space_running_bytes": 0}


def test_h076_a_disk_too_small_for_the_inputs(small_disk):
    job_id = small_disk.sandbox.make_jobs(1, inputs=[40_000_000], outputs=[1000])[0]
    # The inputs go to the work directory: the option that puts them elsewhere comes again, and the last one counts.
    small_disk.start("--input-destination-dir", "", **_NO_FLOOR)
    fails(small_disk, job_id, ErrorCode.NOLOCALSPACE)


def test_h087_a_payload_that_fills_the_disk(small_disk):
    """The payload cannot write its outputs; the journal and the report can be written all the same."""
    job_id = small_disk.sandbox.make_jobs(1, outputs=[60_000_000], payload={})[0]
    small_disk.start(ballast_bytes=2_000_000, **_NO_FLOOR)
    assert small_disk.wait_exit() == 0, small_disk.story()
    job = small_disk.assert_final(job_id, "failed")
    assert job["final"]["pilot_error_code"] or job["final"]["trans_exit_code"], small_disk.story()
    small_disk.assert_clean()


def test_h076_a_disk_filled_by_others_while_the_payload_runs(small_disk):
    held = hold(small_disk, "payload", lambda: small_disk.start(ballast_bytes=2_000_000, **_NO_FLOOR))
    filler = small_disk.workdir / "filler"
    with filler.open("wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * 65536)
        except OSError:
            pass
    held.release()
    assert small_disk.wait_exit() == 0, small_disk.story()
    job = small_disk.sandbox.job(held.job_id)
    assert job["finals_accepted"] == 1, small_disk.story()
    filler.unlink()
    small_disk.assert_clean()


def test_a_stopped_mover_does_not_stop_the_others(pilot):
    """One of four inputs hangs: the others come, and the hung one comes by another mover."""
    pilot.sandbox.fault("transform", "late", seconds=1.0)
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000] * 4, outputs=[3000])[0]
    pilot.start()
    pilot.wait_call("transform")
    pilot.kill("mover", signal.SIGSTOP)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    pilot.assert_clean()
