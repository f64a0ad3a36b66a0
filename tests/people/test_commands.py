"""The commands from outside: help, wrong use, and a real run."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("--plain", "--inputs", "1k,300k", "--outputs", "2k", "--payload-seconds", "0")


def bulkhead(*argv: str, cwd: Path | None = None, timeout_s: float = 90) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "supervisor.py", *argv]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)


@pytest.mark.parametrize("name", ["run", "status", "sandbox"])
def test_each_command_explains_itself(name):
    done = bulkhead(name, "--help")
    assert done.returncode == 0
    assert "usage:" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("run", "--jobs", "0"), "not a number from 1 on"),
        (("run", "--inputs", "12X"), "not a list of sizes"),
        (("status", "--nonsense"), "unrecognized arguments"),
    ],
)
def test_wrong_use_is_told(argv, told):
    done = bulkhead(*argv)
    assert done.returncode == 2
    assert told in done.stderr


def test_run_refuses_a_directory_of_others(tmp_path):
    (tmp_path / "file").touch()
    done = bulkhead("run", "--dir", str(tmp_path), *SMALL)
    assert done.returncode == 2
    assert "name another with --dir" in done.stderr


def test_a_run_ends_well_and_can_be_looked_at_afterwards(tmp_path):
    done = bulkhead("run", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("agrees") == 4
    assert "OK: 1 of 1 job(s)" in done.stdout
    told = json.loads(bulkhead("status", "--json", cwd=tmp_path).stdout)
    assert (told["alive"], [job["outcome"] for job in told["past_jobs"]]) == (False, ["finished"])


def test_several_jobs_in_one_pilot(tmp_path):
    done = bulkhead("run", "--jobs", "3", *SMALL, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK: 3 of 3 job(s)" in done.stdout


def started_payload(run: subprocess.Popen[str]) -> None:
    """Return when the run has told that its payload runs."""
    assert run.stdout is not None
    seen = ""
    while "running" not in seen:
        assert select.select([run.stdout], [], [], 60)[0], seen
        line = run.stdout.readline()
        assert line, seen
        seen += line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_pilot_and_server_and_the_server_knows(tmp_path, number):
    command = [sys.executable, ROOT / "supervisor.py", "run", *SMALL[:-1], "600"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        started_payload(run)
        told = json.loads(bulkhead("status", "--json", cwd=tmp_path).stdout)
        run.send_signal(number)
        text, _ = run.communicate(timeout=60)
    assert run.returncode == 130, text
    assert "pilot error 1201" in text
    assert {process["role"] for process in told["processes"]} >= {"guardian", "supervisor", "stager", "shim", "payload"}
    assert [process["pid"] for process in told["processes"] if alive(process["pid"])] == []


def alive(pid: int) -> bool:
    """Tell whether a pilot's process or a payload has that pid."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"bulkhead" in command or b"work.py" in command


@pytest.mark.chaos
@pytest.mark.parametrize("role", ["supervisor", "runner", "stager"])
def test_a_run_ends_well_although_a_process_is_killed(tmp_path, role):
    command = [sys.executable, ROOT / "supervisor.py", "run", *SMALL[:-1], "4"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as run:
        started_payload(run)
        told = json.loads(bulkhead("status", "--json", cwd=tmp_path).stdout)
        os.kill(next(process["pid"] for process in told["processes"] if process["role"] == role), signal.SIGKILL)
        text, _ = run.communicate(timeout=90)
    assert run.returncode == 0, text
    assert f"the {role}, process" in text
