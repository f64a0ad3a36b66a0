"""Hostile surroundings (pitfalls 9, H069-H082): real pilots that are started where something is wrong."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from errors.codes import ErrorCode
from host.kernel import become_subreaper
from ipc.codec import encode
from ipc.schema import Beat
from jobs.journal import Journal
from tests.chaos.pilotrun import ROOT, PilotRun
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

PAYLOAD = Path(__file__).with_name("hostile_payload.py")
STRANGE = "a 'b' \"c\" $(id) $HOME `id` ; & * \\ é"
NO_FLOOR = {"free_space_bytes": 0, "free_space_running_bytes": 0}


@pytest.fixture
def run(sandbox):
    become_subreaper()
    with PilotRun(sandbox) as pilot:
        yield pilot


def shell(script):
    """Put a shell that carries out `script` before the command line."""
    return lambda words: ["/bin/sh", "-c", f'{script}; exec "$@"', "sh", *words]


def allowed(*command):
    """Skip the test where this user may not do that."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=10)
    if done.returncode:
        pytest.skip(f"{' '.join(command)} is not allowed here: {done.stderr.decode(errors='replace').strip()}")
    return list(command)


def bare(environment):
    """Start with these variables and no others."""
    return lambda words: ["/usr/bin/env", "-i", *environment, *words]


def no_rights():
    """The pilot's user is root in these tests often enough; what protects others from it must not be what it may do."""
    if os.geteuid() != 0:
        return []
    return [*allowed("setpriv", "--bounding-set=-all", "--inh-caps=-all"), "--"]


def one_job(run, **recipe):
    (job_id,) = run.sandbox.make_jobs(1, inputs=[1000], outputs=[1000], transform="quick.sh", **recipe)
    return job_id


def finishes(run, job_id):
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    assert "Traceback" not in run.log() + run.out.read_text(errors="replace"), run.story()
    run.assert_clean()


PLAIN = {
    "H074 unset": bare([]),
    "H074 missing": bare(
        ["HOME=/nonexistent", "TMPDIR=/nonexistent/tmp", "XDG_RUNTIME_DIR=/none", f"PATH={os.environ['PATH']}"]
    ),
    "H075": lambda words: bare(["LC_ALL=C", "LANG=C", "PYTHONUTF8=0", "PYTHONCOERCECLOCALE=0"])(
        shell("exec 0<&-")(words)
    ),
    "H077 descriptors": shell("ulimit -n 64"),
    "H078": shell("exec 0<&- 1>&- 2>&-"),
}


@pytest.mark.parametrize("how", PLAIN.values(), ids=PLAIN)
def test_started_strangely(run, how):
    """Below a directory whose name no script would survive (H073)."""
    run.workdir = run.home / f"{STRANGE} {'x' * 150}"
    run.workdir.mkdir()
    job_id = one_job(run)
    run.start(wrap=how)
    finishes(run, job_id)


def test_h078_the_standard_descriptors_are_nobodys(run):
    """Or what a library prints would go into a socket or a file of the pilot."""
    run.start(wrap=shell("exec 0<&- 1>&- 2>&-"), queue_pause_s=30)
    for role in ("guardian", "supervisor"):
        pid = run.one(role)
        assert [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)] == ["/dev/null"] * 3, role


def test_h074_a_search_path_that_is_not_there_is_the_payloads_trouble(run):
    job_id = one_job(run)
    run.start(wrap=bare(["PATH=/nonexistent"]))
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "failed", ErrorCode.PAYLOADEXECUTIONFAILURE)
    run.assert_clean()


def test_h075_bytes_that_are_no_text_in_a_variable_and_a_path(run):
    run.workdir = run.home / os.fsdecode(b"\xff\xfe")
    run.workdir.mkdir()
    (job_id,) = run.sandbox.make_jobs(1, transform="/bin/sh", fields={"jobPars": "-c 'printenv ATLAS_ODD > odd.txt'"})
    run.start(environment={"ATLAS_ODD": os.fsdecode(b"a\xffz")})
    finishes(run, job_id)


def test_h080_no_cgroups(run):
    inside = allowed("unshare", "--mount")
    job_id = one_job(run)
    run.start(wrap=lambda words: [*inside, *shell("mount -t tmpfs none /sys/fs/cgroup")(words)])
    finishes(run, job_id)


def test_h081_processes_are_hidden(run):
    inside, plain = allowed("unshare", "--mount"), no_rights()
    job_id = one_job(run)
    run.start(wrap=lambda words: [*inside, *shell("mount -t proc -o hidepid=2 proc /proc")([*plain, *words])])
    finishes(run, job_id)


CANARY = "C4N4RY"


def test_h082_a_payload_that_looks_into_the_pilot(run):
    found = run.home / "found"
    script = f"exec {sys.executable} {PAYLOAD} peep {found}"
    (job_id,) = run.sandbox.make_jobs(1, transform="/bin/sh", fields={"jobPars": f"-c '{script}'"})
    (run.home / "proxy").write_text(CANARY)
    (run.home / "proxy").chmod(0o600)
    plain = no_rights()
    run.start(
        wrap=lambda words: [*plain, *words],
        environment={"MY_TOKEN": f"{CANARY}-environment", "X509_USER_PROXY": str(run.home / "proxy")},
    )
    run.wait_exit()
    run.assert_final(job_id, "finished", 0)
    seen = found.read_text()
    assert "environ" in seen  # its own, at least
    assert CANARY not in seen.replace(str(run.home / "proxy"), "")
    run.assert_clean()


# ---------------------------------------------------------------- files that were there before
def in_start_directory(words):
    place = words.index("-a")
    return [*words[:place], *words[place + 2 :]]


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "directory", "read by somebody"])
def test_h070_h071_something_else_has_the_logs_name(run, kind):
    victim, log = run.home / "victim", run.home / "pilotlog.txt"
    victim.write_text("precious")
    reader = -1
    if kind == "link":
        log.symlink_to(victim)
    elif kind == "dangling link":
        log.symlink_to(run.home / "in" / "new")
    elif kind == "directory":
        log.mkdir()
    else:
        os.mkfifo(log)
        reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK) if kind == "read by somebody" else -1
    job_id = one_job(run)
    run.start(wrap=in_start_directory)
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    assert victim.read_text() == "precious"
    assert not (run.home / "in" / "new").exists()
    if reader >= 0:
        os.close(reader)
    if kind != "directory":
        assert "the pilot leaves" in log.read_text()
        assert log.is_file()
        assert not log.is_symlink()
    run.assert_clean(keep_main=True)


@pytest.mark.parametrize("name", [".bulkhead", ".bulkhead/journal.sqlite", ".bulkhead/takeover.lock"])
def test_h070_a_link_in_the_place_of_the_pilots_own_files(run, name):
    target = run.home / "elsewhere"
    if name == ".bulkhead":
        target.mkdir()
    else:
        (run.home / ".bulkhead").mkdir()
        target.write_text("precious")
    (run.home / name).symlink_to(target)
    job_id = one_job(run)
    run.start(wrap=in_start_directory)
    code = run.wait_exit()
    if name.endswith("lock"):
        assert code == 0
        run.assert_final(job_id, "finished", 0)
    else:
        assert code == 66, run.story()
        assert name in run.out.read_text(errors="replace")
        assert not run.sandbox.record("acquire_jobs")
    assert list(target.iterdir()) == [] if target.is_dir() else target.read_text() == "precious"
    assert "Traceback" not in run.out.read_text(errors="replace")


def _spoil(path, kind):
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "zeros":
        path.write_bytes(bytes(8192))
    elif kind == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "garbage":
        path.write_bytes(os.urandom(9000))
    elif kind == "newer":
        with sqlite3.connect(path) as base:
            base.execute("UPDATE meta SET value='999' WHERE name='schema'")
        base.close()
    elif kind == "read-only":
        path.chmod(0o400)
    elif kind == "another's" and os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    elif kind == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif kind == "directory":
        path.unlink()
        path.mkdir()


SPOILED = ("empty", "zeros", "torn", "garbage", "newer", "read-only", "another's", "fifo", "directory")


def test_h072_journals_of_dead_pilots_that_cannot_be_read(run):
    """Each lies below the same -a; the pilot leaves them alone and does its own work."""
    rooms = []
    for number, kind in enumerate(SPOILED):
        room = run.workdir / f"PanDA_Pilot3_{number}_1" / ".bulkhead"
        room.mkdir(parents=True)
        (room / "takeover.lock").touch()
        Journal(room / "journal.sqlite").close()
        _spoil(room / "journal.sqlite", kind)
        rooms.append(room)
    job_id = one_job(run)
    run.start()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    log = run.log()
    assert "Traceback" not in log
    for kind, room in zip(SPOILED, rooms, strict=True):
        if kind in ("zeros", "torn", "garbage", "newer"):
            assert f"the journal in {room} was left alone" in log, kind


@pytest.mark.parametrize("kind", ["zeros", "torn", "newer"])
def test_h072_the_pilots_own_journal_cannot_be_read(run, kind):
    (run.home / ".bulkhead").mkdir()
    Journal(run.home / ".bulkhead" / "journal.sqlite").close()
    _spoil(run.home / ".bulkhead" / "journal.sqlite", kind)
    one_job(run)
    run.start(wrap=in_start_directory)
    assert run.wait_exit() == 66, run.story()
    assert (
        "give another directory with -a" in run.out.read_text(errors="replace") or "schema 999" in run.out.read_text()
    )
    assert not run.sandbox.record("acquire_jobs")


# ---------------------------------------------------------------- disks and limits
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
    (job_id,) = run.sandbox.make_jobs(1, outputs=[1000], payload={"until": str(run.payload_end)})
    run.start(**NO_FLOOR)
    run.wait_call("update_job", job_status="running")
    Path(f"/sys/fs/ext4/{Path(source).name}/trigger_fs_error").write_text("a test")
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


def test_h079_a_pid_that_is_given_again_is_another_process():
    """In a namespace of its own, where the next pid can be chosen."""
    inside = allowed("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    script = """
import os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from host.processes import identify, is_alive, open_pidfd, send_signal
first = subprocess.Popen(["sleep", "60"])
old = identify(first.pid)
first.kill(); first.wait()
while identify(os.getpid()).start_ticks == old.start_ticks: pass
for tick in range(3): subprocess.run(["sleep", "0.01"])
Path("/proc/sys/kernel/ns_last_pid").write_text(str(old.pid - 1))
second = subprocess.Popen(["sleep", "60"])
assert second.pid == old.pid, (second.pid, old.pid)
assert not is_alive(old) and open_pidfd(old) is None and not send_signal(old, signal.SIGKILL)
assert second.poll() is None and is_alive(identify(second.pid))
print("another")
"""
    done = subprocess.run(
        [*inside, sys.executable, "-c", script, str(ROOT)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == "another\n", done.stderr


@pytest.fixture
def few_processes():
    """A cgroup that takes 60 processes and threads, as a batch system may set it."""
    group = Path("/sys/fs/cgroup/pids") / f"bulkhead-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("there is no cgroup for numbers of processes, or it is not ours")
    (group / "pids.max").write_text("60")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), 10, "processes are left")
    group.rmdir()


def test_h077_no_process_can_be_started_for_a_while(run, few_processes):
    """A payload takes all that the slot has; a worker that dies meanwhile comes back when there is room again."""
    script = f"exec {sys.executable} {PAYLOAD} take_all_processes {run.home / 'full'} {run.payload_end}"
    (job_id,) = run.sandbox.make_jobs(1, transform="/bin/sh", fields={"jobPars": f"-c '{script}'"})
    run.start(wrap=shell(f"echo $$ > {few_processes}/cgroup.procs"), restart_delay_s=1)
    wait_until((run.home / "full").exists, 15, f"the payload took all processes\n{run.story()}")
    run.kill("monitor")
    run.wait_log("no monitor can be started")
    run.payload_end.touch()
    finishes(run, job_id)


def test_h069_heartbeats_of_another_while_a_worker_is_stopped(run):
    """Whoever has no key is not heard: the stopped worker is silent, is replaced, and the job finishes."""
    (job_id,) = run.sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
    run.start()
    run.wait_call("update_job", job_status="running")
    (bus,) = [path for path in run.tmp.glob("bulkhead-*/*") if path.is_socket() and "bus" in path.name]
    stopped = run.kill("runner", signal.SIGSTOP)
    with zmq.Context() as context, context.socket(zmq.DEALER) as liar:
        liar.linger = 0
        liar.routing_id = b"runner.100003"
        liar.connect(f"ipc://{bus}")

        def lied():
            with contextlib.suppress(zmq.Again):
                liar.send(encode(Beat()), zmq.NOBLOCK)
            return any(pid != stopped for pid in run.find("runner"))

        wait_until(lied, 15, f"no new runner\n{run.story()}")
    run.payload_end.touch()
    finishes(run, job_id)
