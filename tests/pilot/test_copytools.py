"""Where a pilot's files come from and go to, for each local copy tool and each of the directory options."""

import json
import shutil
import tarfile
import zlib

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

ACTIVITIES = ("pr", "pw", "pl", "read_lan", "write_lan", "default")
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]


@pytest.fixture
def sandbox(tmp_path):
    """A server of its own for each test: what is changed of the queue stays changed."""
    with Sandbox(tmp_path / "storage") as running:
        yield running


def _tool(sandbox, tool, **fields):
    sandbox.set_queue(copytools={tool: {"setup": ""}}, acopytools={a: [tool] for a in ACTIVITIES}, **fields)


def _one_job(sandbox):
    (job_id,) = sandbox.make_jobs(1, inputs=[1000, 2000], outputs=[1000, 3000], transform="quick.sh")
    return job_id, sandbox.job(job_id)["definition"]


def _inputs_to(sandbox, definition, folder):
    names = definition["inFiles"].split(",")
    for lfn, scope in zip(names, definition["scopeIn"].split(","), strict=True):
        shutil.copy(sandbox.stored_path(scope, lfn), folder / lfn)
    shutil.rmtree(sandbox.storage)
    sandbox.storage.mkdir()


def _check_report(job, path_of):
    report = json.loads(job["final"]["job_output_report"])
    assert len(report) == 3
    for lfn, entry in report.items():
        data = path_of(lfn, entry).read_bytes()
        assert (entry["fsize"], entry["adler32"]) == (len(data), f"{zlib.adler32(data):08x}")
        assert entry["guid"]


def test_mv_links_from_above_the_input_destination_dir_and_moves_beside_the_job(sandbox):
    """What the copy tool "mv" of the pilots in use does (behaviour 19)."""
    _tool(sandbox, "mv", astorages={})
    with PilotRun(sandbox) as run:
        job_id, definition = _one_job(sandbox)
        _inputs_to(sandbox, definition, run.inputs.parent)
        run.start()
        assert run.wait_exit() == 0
        job = run.assert_final(job_id, "finished", 0)
        (main,) = run.main_dirs()
        _check_report(job, lambda lfn, _entry: main / lfn)


@pytest.mark.parametrize("tool", ["cp", "mv", "ln"])
def test_local_tools_with_the_storage_of_the_queue(sandbox, tool):
    _tool(sandbox, tool)
    job_id, definition = _one_job(sandbox)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0
        job = run.assert_final(job_id, "finished", 0)
        scopes = dict.fromkeys(definition["outFiles"].split(","), definition["scopeLog"])
        _check_report(job, lambda lfn, _entry: sandbox.stored_path(scopes[lfn], lfn))
        run.assert_clean()


def test_input_dir_and_output_dir(sandbox, tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    job_id, definition = _one_job(sandbox)
    _inputs_to(sandbox, definition, source)
    with PilotRun(sandbox) as run:
        run.start("--input-dir", str(source), "--output-dir", str(target))
        assert run.wait_exit() == 0
        job = run.assert_final(job_id, "finished", 0)
        _check_report(job, lambda lfn, _entry: target / lfn)
        # With cp the inputs were brought to --input-destination-dir and linked into the job directory.
        assert {path.name for path in run.inputs.iterdir()} == set(definition["inFiles"].split(","))


def test_an_unknown_copytool_is_1323_and_names_it(sandbox):
    _tool(sandbox, "rucio")
    job_id, _ = _one_job(sandbox)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0
        assert "rucio" in run.assert_final(job_id, "failed", 1323)["final"]["pilot_error_diag"]
        run.assert_clean()


def test_the_log_holds_what_the_job_left_and_nothing_else(sandbox):
    job_id, definition = _one_job(sandbox)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0
        run.assert_final(job_id, "finished", 0)
        log = sandbox.stored_path(definition["scopeLog"], definition["logFile"])
        with tarfile.open(log) as archive:
            names = archive.getnames()
        top = f"tarball_PandaJob_{job_id}_SANDBOX"
        assert {name.split("/")[0] for name in names} == {top}
        assert {f"{top}/{name}" for name in ("payload.stdout", "payload.stderr", "pilotlog.txt")} <= set(names)
        files = definition["inFiles"].split(",") + definition["outFiles"].split(",")
        assert not {f"{top}/{name}" for name in files} & set(names)
