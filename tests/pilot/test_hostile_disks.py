"""Disks and slots that have nothing left (pitfalls 9, H076 and H077), under real pilots."""

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.journal import Journal
from jobs.ledger import Ledger
from supervision.place import Place
from supervision.refuge import bring_back, leave_room, new_journal
from tests.pilot.hostile_rig import NO_FLOOR, PAYLOAD, allowed, finishes, shell
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]


@pytest.fixture
def disk(run):
    """A function that mounts a small file system as the work directory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")

    def mount(options, source="tmpfs"):
        kind = "tmpfs" if source == "tmpfs" else "ext4"
        done = subprocess.run(["mount", "-t", kind, "-o", options, source, str(run.workdir)], check=False)
        if done.returncode:
            pytest.skip("this machine does not let us mount a small file system")

    yield mount
    run.kill_all()
    subprocess.run(["umount", "-l", str(run.workdir)], check=False)


def test_h076_read_only_in_the_middle_of_a_job(run, disk):
    """What a kernel does that met an error on a disk. The journal goes on elsewhere, the job is reported as failed."""
    image = run.home / "image"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run([allowed("mkfs.ext4", "-V")[0], "-q", str(image)], check=True)
    disk("loop,errors=remount-ro", str(image))
    source = next(line.split()[0] for line in Path("/proc/mounts").read_text().splitlines() if str(run.workdir) in line)
    trigger = Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error")
    if not trigger.exists():
        pytest.skip("this kernel makes no errors on demand")
    (job_id,) = run.sandbox.make_jobs(1, outputs=[1000], payload={"until": str(run.payload_end)})
    run.start(**NO_FLOOR)
    run.wait_call("update_job", job_status="running")
    trigger.write_text("a test")
    run.payload_end.touch()
    run.wait_exit(60)
    job = run.assert_final(job_id, "failed")
    assert job["final"]["pilot_error_code"], run.story()
    assert "Traceback" not in run.out.read_text(errors="replace"), run.story()
    wait_until(lambda: not run.family(), 10, "processes are left")


def test_h076_no_inodes_left(run, disk):
    disk("size=64m,nr_inodes=40")
    (job_id,) = run.sandbox.make_jobs(1, outputs=[1000], payload={"until": str(run.payload_end)})
    run.start(**NO_FLOOR)
    run.wait_call("update_job", job_status="running")
    filler = run.workdir / "filler"
    filler.mkdir()
    taken = 0
    with contextlib.suppress(OSError):
        for taken in range(100):
            (filler / str(taken)).touch()
    assert taken < 99, "there are inodes left"
    run.payload_end.touch()
    assert run.wait_exit(60) == 0, run.story()
    run.assert_final(job_id, "failed")
    shutil.rmtree(filler)
    run.assert_clean()


@pytest.fixture
def few_processes(run):
    """A cgroup that takes 60 processes and threads, as a batch system may set it."""
    group = Path("/sys/fs/cgroup/pids") / f"bulkhead-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("there is no cgroup for numbers of processes, or it is not ours")
    (group / "pids.max").write_text("60")
    yield group
    run.kill_all()
    wait_until(lambda: not (group / "cgroup.procs").read_text(), 10, "processes are left")
    group.rmdir()


def test_h077_no_process_can_be_started_for_a_while(run, few_processes):
    """A payload takes all that the slot has; a worker that dies meanwhile comes back when there is room again."""
    script = f"exec {sys.executable} {PAYLOAD} take_all_processes {run.home / 'full'} {run.payload_end}"
    (job_id,) = run.sandbox.make_jobs(1, transform="/bin/sh", fields={"jobPars": f"-c '{script}'"})
    run.start(wrap=shell(f"echo $$ > {few_processes}/cgroup.procs"), restart_delay_s=1)
    wait_until((run.home / "full").exists, 15, f"the payload took all processes\n{run.story()}")
    (few_processes / "pids.max").write_text("1")  # what dies makes no room now
    run.kill("monitor")
    run.wait_log("no monitor can be started")
    (few_processes / "pids.max").write_text("60")
    run.payload_end.touch()
    finishes(run, job_id)


@pytest.mark.parametrize("spoiled", [False, True])
def test_h076_what_is_left_in_a_refuge_is_brought_back_for_a_later_pilot(tmp_path, spoiled):
    place = Place(tmp_path)
    place.room.mkdir()
    with contextlib.closing(Journal(place.journal)) as journal:
        journal.commit(Ledger(), Ledger(sequence=1), 0.0)
    newer = Ledger(sequence=7, generation=3)
    refuge, journal = new_journal(place, {"node": "here"}, newer, 0.0)
    assert (journal.load(), journal.noted("node")) == (newer, "here")
    journal.close()
    if spoiled:
        place.journal.write_bytes(bytes(10_000))
    assert bring_back(refuge, newer, 0.0) is not spoiled
    if not spoiled:
        with contextlib.closing(Journal(place.journal)) as journal:
            assert journal.load() == newer
    leave_room(refuge)
    assert not refuge.room.exists()
    leave_room(place)
    assert place.room.exists()
