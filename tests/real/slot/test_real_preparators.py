"""Harvester's own preparators, unchanged, on top of this tree's `pilot` package; and what else of it Harvester uses."""

import json
import os
import subprocess
import zlib
from pathlib import Path

import pytest
from harvester_rig import PYTHON, SOURCE, Plugin, needs_harvester
from slot_rig import make_jobs

from queues.paths import deterministic_path
from tests.chaos.pilotrun import ROOT

pytestmark = [pytest.mark.timeout(90), needs_harvester]
PREPARATORS = [
    ("pilotmover_mt_preparator", "PilotmoverMTPreparator"),
    ("pilotmover_preparator", "PilotmoverPreparator"),
]


@pytest.fixture
def beside(tmp_path, monkeypatch, sandbox):
    """Harvester's directory with descriptions of a queue that reads the sandbox's storage by cp."""
    home = tmp_path / "harvester"
    home.mkdir()
    access = {"endpoint": f"file://{sandbox.storage}", "path": "/"}
    disk = {"name": "DISK", "is_deterministic": True, "arprotocols": {"read_lan": [access]}}
    queue = {
        "nickname": "SANDBOX",
        "state": "ACTIVE",
        "status": "online",
        "copytools": {"cp": {}},
        "acopytools": {"default": ["cp"]},
        "astorages": {"read_lan": ["DISK"]},
    }
    (home / "queuedata.json").write_text(json.dumps(queue))
    (home / "cric_ddmendpoints.json").write_text(json.dumps({"DISK": disk}))
    monkeypatch.chdir(home)
    return home


def _job(sandbox) -> dict:
    (job,) = make_jobs(sandbox, inputs=[3000, 4000, 5000, 6000], outputs=[1000])
    job.update(computingSite="SANDBOX", ddmEndPointIn=",".join(["DISK"] * 4))
    for lfn in job["inFiles"].split(","):
        there = sandbox.storage / deterministic_path(job["scopeIn"].split(",")[0], lfn)
        assert there.is_file(), there
    return job


@pytest.mark.parametrize(("module", "name"), PREPARATORS)
def test_a_preparator_brings_the_inputs(sandbox, tmp_path, beside, module, name):
    job = _job(sandbox)
    base = tmp_path / "base"
    with Plugin(tmp_path / "h", f"harvesterpreparator.{module}", name, str(ROOT), basePath=str(base)) as plugin:
        good, text, resolved, parameters = plugin.ask("trigger_preparation", jobs=[job])
        assert (good, text, resolved) == (True, "", True), (tmp_path / "h" / "stderr.txt").read_text()[-3000:]
    checksums = dict(zip(job["inFiles"].split(","), job["checksum"].split(","), strict=True))
    for path in map(Path, parameters["inFilePaths"].split(",")):
        assert f"{zlib.adler32(path.read_bytes()):08x}" == checksums[path.name].removeprefix("ad:")
    assert not list(base.rglob(".*"))  # no partial file is left


@pytest.mark.parametrize(("module", "name"), PREPARATORS)
def test_a_preparator_tells_of_a_file_that_is_not_there(sandbox, tmp_path, beside, module, name):
    job = _job(sandbox)
    lost = job["inFiles"].split(",")[2]
    sandbox.stored_path(job["scopeIn"].split(",")[0], lost).unlink()
    base = tmp_path / "base"
    with Plugin(tmp_path / "h", f"harvesterpreparator.{module}", name, str(ROOT), basePath=str(base)) as plugin:
        good, text, *_ = plugin.ask("trigger_preparation", jobs=[job])
    assert good is False
    assert lost in text
    assert len([path for path in base.rglob("*") if path.is_file()]) == 3


def test_harvesters_table_of_errors_is_made_of_ours(tmp_path):
    program = "from harvester_peer import configure; import sys; from pathlib import Path\n"
    program += "configure(Path(sys.argv[1]), sys.argv[2])\n"
    program += "from pandaharvester.harvestercore.pilot_errors import PilotErrors as E, PilotException\n"
    program += "print(E().convertToPilotErrors(83), E.getErrorStr(1201), E.FAILEDBYSERVER, PilotException('x').code)"
    path = f"{Path(__file__).parent}:{ROOT}"
    done = subprocess.run(
        [PYTHON, "-c", program, str(tmp_path), SOURCE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("(1386, ")
    assert done.stdout.endswith("1008\n")
