"""Hostile surroundings (pitfalls 9, H069-H082): real pilots that are started where something is wrong."""

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zmq

from errors.codes import ErrorCode
from ipc.codec import encode
from ipc.schema import Beat
from tests.chaos.pilotrun import ROOT
from tests.pilot.hostile_rig import PAYLOAD, allowed, bare, finishes, no_rights, one_job, shell
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

STRANGE = "a 'b' \"c\" $(id) $HOME `id` ; & * \\ é"


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
def test_h073_h074_h075_h077_h078_started_strangely(run, how):
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
        assert [str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in range(3)] == ["/dev/null"] * 3, role


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
    assert "memory of" in seen
    assert not [line for line in seen.splitlines() if line.startswith("memory of") and "bulkhead: " in line]
    assert "environ" in seen  # its own, at least
    assert CANARY not in seen.replace(str(run.home / "proxy"), "")
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
