"""Hostile job definitions H001-H043 through a real pilot: a clear code and text, one final report, nothing outside."""

import json

import pytest
from test_job_hostile_inputs import REFUSED

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

BASE = {
    "attemptNr": 3,
    "transformation": "/bin/sh",
    "jobPars": "-c 'exit 0'",
    "prodSourceLabel": "user",
    "taskID": 7,
}
#: Those without a PandaID that could be reported, and those too large to be handed out again and again.
UNREPORTABLE = {name: changes for name, (changes, field, _) in REFUSED.items() if field == "PandaID"}
REPORTABLE = {
    name: row
    for name, row in REFUSED.items()
    if row[1] != "PandaID" and name not in ("H019 too long", "H009 lone surrogate")
}
#: Legal but strange: these must run like any other job.
LEGAL = {
    "H021": {"jobPars": """-c 'echo "%s {} {0.__class__} %(x)s"'"""},
    "H028": {"inFiles": "NULL", "outFiles": None, "GUID": "None", "fsize": "", "maxWalltime": "NULL"},
    "H029 zero": {"coreCount": 0},
    "H030 zero": {"maxCpuCount": 0},
    "H030 one": {"maxCpuCount": 1},
    "H032": {"minRamCount": 1},
    "H033": {"prodSourceLabel": "strange_label"},
    "H036": {"jobName": "a" + '\\\\\\"' * 200},
    "H039": {"secrets": "line one\nline two"},
}


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--timefloor", "60") as server:
        yield server


def _snapshot(run):
    return {str(path) for path in run.home.rglob("*") if path.is_file() and run.workdir not in path.parents}


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_each_hostile_definition_is_reported_once_with_its_code(sandbox):
    sandbox.reset()
    names = list(REPORTABLE)
    sandbox.add_jobs([{**BASE, **REPORTABLE[name][0], "PandaID": 9000 + i} for i, name in enumerate(names)])
    legal = list(LEGAL)
    sandbox.add_jobs([{**BASE, "jobPars": "-c 'exit 0' " + chr(34), "PandaID": 9499}])
    sandbox.add_jobs([{**BASE, **LEGAL[name], "PandaID": 9500 + i} for i, name in enumerate(legal)])
    with PilotRun(sandbox) as run:
        before = _snapshot(run)
        run.start("-v", "3", getjob_pause_s=0.05)
        assert run.wait_exit(200) == 0
        for i, name in enumerate(names):
            job = run.assert_final(9000 + i, "failed", int(REPORTABLE[name][2]), rejected=0)
            assert REPORTABLE[name][1] in job["final"]["pilot_error_diag"], f"{name}: the text names no field"
        for i, name in enumerate(legal):
            assert sandbox.job(9500 + i)["final"]["job_status"] == "finished", f"{name}\n{run.story()}"
        run.assert_final(9499, "failed", 1305)  # H020: the shell's own word on unbalanced quotes
        # What a wrapper looks for in the directory where it started the pilot.
        contract = {str(run.out), f"{run.home}/pilotlog.txt", f"{run.home}/pandaIDs.out"}
        assert _snapshot(run) - before <= contract
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.chaos
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", UNREPORTABLE)
def test_h022_in_a_job_file_is_refused_with_a_text(sandbox, tmp_path, name):
    definition = {**BASE, **UNREPORTABLE[name]}
    file = tmp_path / "job.json"
    file.write_text(json.dumps(definition))
    with PilotRun(sandbox) as run:
        run.start("--job-file", str(file), "--report-file", str(tmp_path / "report.json"), getjob_pause_s=0.05)
        run.wait_exit(60)
        assert "PandaID" in run.log()
        assert "Traceback" not in run.log()
        run.assert_clean()


@pytest.mark.chaos
@pytest.mark.timeout(120)
def test_h019_and_h026_large_definitions_are_run_or_refused_with_a_code(sandbox):
    sandbox.reset()
    many = ",".join(f"file_{i}.root" for i in range(9999))
    sandbox.add_jobs(
        [
            {**BASE, "PandaID": 9700, "jobPars": "-c 'exit 0' " + "x" * 10_000_000},
            {**BASE, "PandaID": 9701, "inFiles": many},
            {**BASE, "PandaID": 9702},
        ]
    )
    with PilotRun(sandbox) as run:
        run.start("-v", "3", getjob_pause_s=0.05, silence_s=10)
        assert run.wait_exit(100) == 0
        for job_id in (9700, 9701):
            assert sandbox.job(job_id)["finals_accepted"] == 1, run.story()
            assert sandbox.job(job_id)["final"]["pilot_error_code"] != 0
        run.assert_final(9702, "finished", 0)
        assert "Traceback" not in run.log()
