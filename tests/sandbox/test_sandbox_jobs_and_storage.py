"""Generated jobs, their files, the payload, and the two documents."""

import hashlib
import json
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from sandbox.client import SandboxError
from sandbox.storage import write_random_file


def definition(server, **recipe):
    (job_id,) = server.make_jobs(1, **recipe)
    return server.job(job_id)["definition"]


def test_ids_count_from_the_given_start(server):
    assert server.make_jobs(3, first_id=70) == [70, 71, 72]
    assert server.make_jobs(1) == [73]


def test_inputs_are_real_files_in_the_deterministic_place(server):
    sizes = [0, 5, (1 << 20) + 7, 3 << 20]
    job = definition(server, inputs=sizes, scope="user.someone")
    checksums = job["checksum"].split(",")
    assert job["fsize"] == ",".join(map(str, sizes))
    assert job["scopeIn"] == ",".join(["user.someone"] * 4)
    for lfn, size, checksum in zip(job["inFiles"].split(","), sizes, checksums, strict=True):
        digest = hashlib.md5(f"user.someone:{lfn}".encode()).hexdigest()
        path = server.storage / "user" / "someone" / digest[:2] / digest[2:4] / lfn
        assert server.stored_path("user.someone", lfn) == path
        content = path.read_bytes()
        assert len(content) == size
        assert checksum == f"ad:{zlib.adler32(content):08x}"
    blocks = {content[i << 20 : (i + 1) << 20] for i in range(3)}
    assert len(blocks) == 3


def test_content_is_the_same_each_time(tmp_path):
    first = write_random_file(tmp_path / "a" / "f", 1000)
    assert write_random_file(tmp_path / "b" / "f", 1000) == first
    assert (tmp_path / "a" / "f").read_bytes() == (tmp_path / "b" / "f").read_bytes()


def test_inputs_can_be_shared(server):
    first, second = (server.job(job_id)["definition"] for job_id in server.make_jobs(2, inputs=[3], shared_inputs=True))
    assert first["inFiles"] == second["inFiles"]
    assert first["outFiles"] != second["outFiles"]


def test_output_lists_follow_the_rules_for_the_log(server):
    job = definition(server, outputs=[1, 2])
    names = job["outFiles"].split(",")
    assert names[-1] == job["logFile"]
    assert [len(job[key].split(",")) for key in ("outFiles", "realDatasets", "ddmEndPointOut")] == [3, 3, 3]
    assert len(job["scopeOut"].split(",")) == 2
    assert "logFile" not in definition(server, log=False)


def test_members_have_the_names_of_a_real_definition(server):
    job = definition(server, inputs=[1], outputs=[1])
    wanted = {
        "PandaID", "taskID", "jobName", "attemptNr", "prodSourceLabel", "transformation", "jobPars", "swRelease",
        "homepackage", "cmtConfig", "coreCount", "maxWalltime", "inFiles", "GUID", "fsize", "checksum", "scopeIn",
        "ddmEndPointIn", "prodDBlockToken", "outFiles", "realDatasets", "ddmEndPointOut", "scopeOut", "logFile",
        "logGUID", "scopeLog", "realDatasetsIn", "transferType", "resource_type",
    }  # fmt: skip
    assert wanted <= set(job)


def test_members_can_be_overridden_and_removed(server):
    job = definition(server, label="managed", fields={"coreCount": 8, "nucleus": None})
    assert (job["prodSourceLabel"], job["coreCount"]) == ("managed", 8)
    assert "nucleus" not in job
    with pytest.raises(SandboxError, match="unknown members"):
        server.make_jobs(1, colour="red")


def run_payload(server, pilot, place: Path, job) -> subprocess.CompletedProcess:
    reply = pilot.ask("GET", job["transformation"].removeprefix(server.url))
    script = place / job["transformation"].rpartition("/")[2]
    script.write_text(reply.text, encoding="utf-8")
    interpreter = sys.executable if script.suffix == ".py" else "/bin/sh"
    for lfn in filter(None, job["inFiles"].split(",")):
        (place / lfn).write_bytes(server.stored_path("sandbox.test", lfn).read_bytes())
    command = [interpreter, str(script), *job["jobPars"].split()]
    return subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize("script", ["work.py", "quick.sh"])
def test_the_payload_reads_its_inputs_and_writes_its_outputs(server, pilot, tmp_path, script):
    job = definition(server, inputs=[100, 5], outputs=[(1 << 20) + 1, 0], transform=script)
    done = run_payload(server, pilot, tmp_path, job)
    assert (done.returncode, done.stderr) == (0, "")
    if script == "work.py":
        assert job["checksum"].split(",")[0].removeprefix("ad:") in done.stdout
    sizes = [(tmp_path / name).stat().st_size for name in job["outFiles"].split(",")[:-1]]
    assert sizes == [(1 << 20) + 1, 0]


def test_the_payload_ends_as_told(server, pilot, tmp_path):
    payload = {"exit_code": 65, "sleep": 0.01, "ignore_term": True, "children": 1, "memory_mib": 2, "marker": "m"}
    done = run_payload(server, pilot, tmp_path, definition(server, payload=payload))
    assert done.returncode == 65
    assert [line.split()[0] for line in (tmp_path / "m").read_text().splitlines()] == ["start", "end"]
    killed = run_payload(server, pilot, tmp_path, definition(server, payload={"exit_signal": 9}))
    assert killed.returncode == -9


def test_a_transformation_that_is_not_served_is_left_as_it_is(server):
    for name in ("Reco_tf.py", "https://host.example.org/x.py", "/bin/true"):
        assert definition(server, transform=name)["transformation"] == name


def test_a_payload_misses_its_input(server, pilot, tmp_path):
    quick = definition(server, transform="quick.sh", payload={"exit_code": 3}, extra_args="--inputs=none")
    assert run_payload(server, pilot, tmp_path, quick).returncode == 1


def test_unknown_places(pilot):
    paths = ("/transforms/none.py", "/transforms/__init__.py", "/transforms/%2e%2e/front.py", "/x")
    assert [pilot.ask("GET", path).status for path in paths] == [404] * 4


def test_queue_document(server, pilot):
    reply = pilot.ask("GET", "/cache/schedconfig/SANDBOX.all.json")
    assert len(reply.text.splitlines()) > 30
    queue = reply.json
    assert queue["copytools"] == {"cp": {"setup": ""}}
    assert {"pr", "pw", "pl", "read_lan", "write_lan", "default"} == set(queue["acopytools"])
    assert queue["astorages"]["write_lan"] == ["SANDBOX_DATADISK"]
    assert (queue["state"], queue["status"], queue["timefloor"]) == ("ACTIVE", "online", 0)
    assert queue["container_options"] is not None
    assert pilot.ask("GET", "/cache/schedconfig/OTHER.all.json").status == 404
    server.set_queue(timefloor=60, status="offline")
    queue = pilot.ask("GET", "/cache/schedconfig/SANDBOX.all.json").json
    assert (queue["timefloor"], queue["status"]) == (60, "offline")


def test_storage_document(server, pilot):
    (entry,) = pilot.ask("GET", "/cache/ddmendpoints.json").json.values()
    assert entry["is_deterministic"] is True
    assert set(entry["arprotocols"]) == {"read_lan", "write_lan", "r", "w", "read_wan", "write_wan"}
    for (protocol,) in entry["arprotocols"].values():
        assert protocol["endpoint"] == "file://localhost"
        assert Path(protocol["path"]) == server.storage
    job = definition(server, inputs=[3])
    path = server.stored_path("sandbox.test", job["inFiles"])
    assert json.dumps(str(path)).startswith(json.dumps(protocol["path"])[:-1])
