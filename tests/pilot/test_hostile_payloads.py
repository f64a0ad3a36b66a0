"""Hostile payloads (pitfalls 9, H082-H100) in real pilots: the right code, one final report, no escape."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from host.processes import read_row
from sandbox.client import Sandbox
from tests.chaos.pilotrun import alive
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

SCRIPT = Path(__file__).with_name("hostile_payload.py")
SECRET = "C4N4RY-secret"


@pytest.fixture(scope="module")
def module_sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--timefloor", "60") as running:
        yield running


@pytest.fixture
def run(run):
    (run.home / "secret").write_text(SECRET)
    return run


@dataclass(frozen=True)
class Case:
    """A payload and what is to be reported of it; MARK, SECRET, MAIN and OUTPUT stand for paths and names."""

    name: str
    words: tuple[str, ...]
    state: str
    code: int | None = 0
    outputs: tuple[int, ...] = ()
    inputs: tuple[int, ...] = ()


def deed(name, *words, state="finished", code=0, outputs=(), inputs=()):
    return Case(name, words, state, code, outputs, inputs)


def make(run, case, fields, extra):
    """Return the number and the definition of the case's job."""
    (job_id,) = run.sandbox.make_jobs(1, inputs=list(case.inputs), outputs=list(case.outputs))
    job = run.sandbox.job(job_id)["definition"]
    places = {
        "MARK": str(run.home / f"mark.{job_id}"),
        "SECRET": str(run.home / "secret"),
        "HOME": str(run.home),
        "OUTPUT": job.get("outFiles", "").split(",")[0],
        "INPUT": job.get("inFiles", "").split(",")[0],
    }
    line = " ".join(shlex.quote(places.get(word, word)) for word in case.words)
    line = f"exec {sys.executable} {SCRIPT} {line}".replace("MAIN", "$PWD/..")
    return job_id, {**job, **fields, "transformation": "/bin/sh", "jobPars": f"-c {shlex.quote(line)} {extra}"}


def run_all(run, cases, *, options=(), fields=None, extra="", **tuning):
    """Let one pilot run all cases, one after the other; return their jobs by name."""
    made = [make(run, case, fields or {}, extra) for case in cases]
    run.sandbox.reset()
    run.sandbox.add_jobs([definition for _, definition in made])
    run.start("-v", str(len(cases) + 1), *options, getjob_pause_s=0.05, **tuning)
    assert run.wait_exit(90) == 0, run.story()
    assert "Traceback" not in run.log(), run.story()
    jobs = {}
    for case, (job_id, _) in zip(cases, made, strict=True):
        try:
            jobs[case.name] = run.assert_final(job_id, case.state, case.code, rejected=0)
        except AssertionError as error:
            raise AssertionError(f"{case.name}: {error}") from None
    assert SECRET not in json.dumps(run.sandbox.record())
    return jobs


def assert_daemons_are_gone(run):
    marks = list(run.home.glob("mark.*"))
    for mark in marks:
        if mark.read_text():
            row = read_row(int(mark.read_text()))
            assert row is None or not alive(row), f"{mark.name}: {row}\n{run.story()}"
    return len(marks)


KILLS = [
    deed("H083 group", "kill_group", state="failed", code=ErrorCode.PAYLOADEXECUTIONFAILURE),
    deed("H083 parent", "kill_parent", state="failed", code=ErrorCode.PAYLOADLOST),
    deed("H083 parent, hidden", "kill_parent_and_hide", "MARK", state="failed", code=ErrorCode.PAYLOADLOST),
    deed("H084", "stay", "MARK"),
    deed("H085", "fork_without_end", "MARK", code=None),
    deed("H091", "hold_pipes", "MARK"),
]


def test_h083_h084_h085_h091_what_a_payload_kills_and_leaves(run):
    run_all(run, KILLS)
    assert assert_daemons_are_gone(run) == 4
    run.assert_clean()


REPORTS = [deed(f"H092 {kind}", "report", kind, "SECRET") for kind in
           ("huge", "link", "fifo", "directory", "deep", "types", "nan")]  # fmt: skip


def test_h092_job_reports_that_nobody_should_believe(run):
    jobs = run_all(run, REPORTS)
    for name, job in jobs.items():
        told = json.dumps(job["final"])
        assert len(told) < 100_000, name
        assert "NaN" not in told, name
        assert "Infinity" not in told, name
    run.assert_clean()


OUTPUTS = [
    deed(f"H093 {kind}", "output", kind, "OUTPUT", "SECRET", state="failed", code=code, outputs=(10,))
    for kind, code in {
        "link": ErrorCode.MISSINGOUTPUTFILE,
        "directory": ErrorCode.MISSINGOUTPUTFILE,
        "fifo": ErrorCode.MISSINGOUTPUTFILE,
        "device": ErrorCode.MISSINGOUTPUTFILE,
        "socket": ErrorCode.MISSINGOUTPUTFILE,
        "nothing": ErrorCode.MISSINGOUTPUTFILE,  # H096: exit 0 with missing outputs
    }.items()
]
OUTPUTS += [
    deed("H093 closed", "output", "closed", "OUTPUT", outputs=(10,)),
    deed("H093 written on", "write_on", "OUTPUT", outputs=(10,)),
    deed("H094", "spoil_inputs", "INPUT", "SECRET", inputs=(10,)),
]


def test_h093_h094_h096_outputs_that_are_none_and_inputs_that_were_replaced(run):
    run_all(run, OUTPUTS)
    assert (run.home / "secret").read_text() == SECRET
    assert not [
        path for path in run.sandbox.storage.rglob("*") if path.is_file() and SECRET in path.read_text("latin1")
    ]
    run.assert_clean()


PLACES = [
    deed("H097 removed", "work_dir", "removed", "HOME"),
    deed("H097 removed, outputs", "work_dir", "removed", "HOME", state="failed", code=None, outputs=(10,)),
    deed("H097 renamed", "work_dir", "renamed", "HOME"),
    deed("H097 a file", "work_dir", "a file", "HOME"),
    deed("H097 a link", "work_dir", "a link", "HOME"),
    deed("H097 closed", "work_dir", "closed", "HOME"),
    deed("H099 H100", "many_files"),
    deed("H095 control files", "break_control_files", "MAIN"),
    deed("H090 H095 kill file", "stop_and_ask_for_the_end", "MAIN/pilot_kill_payload"),
]


def test_h090_h095_h097_h099_h100_directories_and_control_files(run):
    (run.home / "bystander").write_text("precious")
    run_all(run, PLACES)
    assert (run.home / "bystander").read_text() == "precious"
    # What a payload puts elsewhere is left alone: clean-up touches what the pilot made (P73).
    (moved,) = run.workdir.glob("*/*.moved")
    shutil.rmtree(moved)
    run.assert_clean()


LIMITED = [
    deed("H086", "allocate", state="failed", code=ErrorCode.PAYLOADEXCEEDMAXMEM),
    deed("H088", "print_a_long_line", state="failed", code=ErrorCode.STDOUTTOOBIG),
    deed("H093 sparse", "output", "sparse", "OUTPUT", state="failed", code=ErrorCode.OUTPUTFILETOOLARGE, outputs=(10,)),
    deed("H089", "print_strange_things", state="failed", code=ErrorCode.PAYLOADEXECUTIONFAILURE),
]
LIMITS = "[Pilot]\nlocal_size_limit_stdout: 10000\n"


def test_h086_h088_h089_h093_what_a_payload_uses_without_end_and_prints(run):
    (run.home / "pilot.cfg").write_text(LIMITS)
    fields = {"resource_type": "SCORE_VHIMEM"}
    options = ("--pilot-user", "atlas")
    queue = "--overwriteQueueData={'maxrss':50}"
    jobs = run_all(
        run,
        LIMITED,
        options=options,
        fields=fields,
        extra=queue,
        environment={"HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg")},
        sample_s=0.2,
    )
    told = json.dumps(jobs["H089"]["final"])
    for strange in ("\\u0000", "\\u001b", "\\u202e", "\\u0007", "\\r"):
        assert strange not in told
    log = run.log()
    assert "\x1b" not in log
    assert not [line for line in log.splitlines() if line.startswith("2026-01-01")]
    run.assert_clean()


SPOILED = [deed(f"H072 H095 {how}", "spoil_journal", "MAIN", how) for how in ("zeros", "empty", "removed")]


@pytest.mark.parametrize("case", SPOILED, ids=lambda case: case.name)
def test_h072_h095_a_journal_that_is_spoiled_while_the_pilot_runs(run, case):
    """What is remembered is written anew, elsewhere; without the control files nothing is known of the payload."""
    if case.words[-1] == "removed":
        case = replace(case, state="failed", code=ErrorCode.PAYLOADLOST)
    run_all(run, [case])
    if case.words[-1] == "empty":
        # The supervisor died of it (SIGBUS); the next one took the job from its definition, but where the sockets of
        # the one before were is nowhere to be read.
        for left in run.tmp.glob("bulkhead-*"):
            shutil.rmtree(left)
    run.assert_clean()


def in_a_process_namespace(words):
    """Run the command twice, one after the other, where `kill -9 -1` reaches nothing else; the shell is its first."""
    return ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", "/bin/sh", "-c", '"$@"; "$@"', "sh", *words]


def test_h083_a_payload_kills_every_process_of_its_user(run):
    """All die but the payload. The pilot that comes next ends it and reports the job, once."""
    can = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "true"], capture_output=True, check=False)
    if can.returncode:
        pytest.skip("process namespaces are not allowed here")
    case = deed("H083 everybody", "kill_everybody", "MARK", state="failed", code=ErrorCode.PAYLOADLOST)
    run_all(run, [case], wrap=in_a_process_namespace)
    assert list(run.home.glob("mark.*")), "it never came to the kill"
    assert run.log().count("the pilot leaves") == 1
    run.assert_clean()


@pytest.fixture
def freezer():
    """A cgroup whose processes outlive SIGKILL until it is thawed: what a hung disk does to a process."""
    group = Path("/sys/fs/cgroup/freezer") / f"bulkhead-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError:
        pytest.skip("there is no freezer that stops a SIGKILL, or it is not ours")
    yield group
    (group / "freezer.state").write_text("THAWED")
    wait_until(lambda: not (group / "cgroup.procs").read_text(), 10, "frozen processes are left")
    group.rmdir()


def test_h090_a_payload_that_no_signal_reaches(run, freezer):
    (job_id,) = run.sandbox.make_jobs(1, payload={"until": str(run.payload_end)}, fields={"maxWalltime": 2})
    run.sandbox.set_queue(params={"job_maxwalltime": True})
    run.start(sample_s=0.2)
    run.wait_call("update_job", job_status="running")
    payload = run.one("payload")
    (freezer / "cgroup.procs").write_text(str(payload))
    (freezer / "freezer.state").write_text("FROZEN")
    assert run.wait_exit(60) == 0, run.story()
    run.assert_final(job_id, "failed", ErrorCode.REACHEDMAXTIME, rejected=0)
    assert f"pid {payload}" in run.log(), run.story()  # who has to look at the node is told
    (freezer / "freezer.state").write_text("THAWED")
    run.assert_clean()
