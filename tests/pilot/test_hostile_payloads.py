"""Hostile payloads (pitfalls 9, H082-H100) in real pilots: the right code, one final report, nothing left, no escape."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from host.kernel import become_subreaper
from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun, alive
from host.processes import read_row

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(120)]

SCRIPT = Path(__file__).with_name("hostile_payload.py")
SECRET = "C4N4RY-secret"


@pytest.fixture(scope="module")
def module_sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--timefloor", "60") as running:
        yield running


@pytest.fixture
def run(sandbox):
    become_subreaper()
    with PilotRun(sandbox) as pilot:
        (pilot.home / "secret").write_text(SECRET)
        yield pilot


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


def add(run, case):
    """Hand the case's job to the server; return its number."""
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
    return job_id, {**job, "transformation": "/bin/sh", "jobPars": f"-c {shlex.quote(line)}"}


def run_all(run, cases, **tuning):
    """Let one pilot run all cases, one after the other; return their jobs by name."""
    made = [add(run, case) for case in cases]
    run.sandbox.reset()
    run.sandbox.add_jobs([definition for _, definition in made])
    run.start("-v", str(len(cases) + 1), getjob_pause_s=0.05, **tuning)
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
