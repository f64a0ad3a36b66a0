"""Queue and storage descriptions through real pilots: sources, caches, overrides, codes (protocol 8)."""

import http.client
import json
import os
import time

import pytest

from tests.chaos.pilotrun import PilotRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]


@pytest.fixture
def described(sandbox):
    """The queue's document as the server has it."""
    connection = http.client.HTTPConnection(sandbox.url.partition("://")[2], timeout=10)
    connection.request("GET", "/cache/schedconfig/SANDBOX.all.json")
    document = json.loads(connection.getresponse().read())
    connection.close()
    sandbox.reset()  # this was no pilot's request
    return document


def _deep(levels):
    return '{"nickname": "SANDBOX", "params": ' + '{"a": ' * levels + "1" + "}" * (levels + 1)


def _with(**fields):
    return {"nickname": "SANDBOX", "state": "ACTIVE", "status": "online", **fields}


HOSTILE = {
    "H044 HTML": ("<html><body>Login</body></html>", 72, "HTML"),
    "H045 empty": ("", 72, "empty"),
    "H046 cut": (json.dumps(_with(catchall="x" * 500))[:-100], 72, "JSON"),
    "a list": ("[]", 72, "list"),
    "an error": ('{"error": "no such queue"}', 72, "no such queue"),
    "deep": (_deep(5000), 72, "deep"),
    "quite deep": (_deep(150), 72, "deep"),
    "wrong type": (json.dumps(_with(timefloor={"a": 1})), 72, "timefloor"),
    "wrong flag": (json.dumps(_with(allow_lan="perhaps")), 72, "allow_lan"),
    "wrong object": (json.dumps(_with(params="[1")), 72, "params"),
    "wrong storages": (json.dumps(_with(astorages={"pr": ["../etc"]})), 72, "storages"),
    "negative": (json.dumps(_with(maxtime=-5)), 72, "maxtime"),
    "another queue": (json.dumps({"OTHER": _with()}), 72, "SANDBOX"),
    "bytes": (b"\xff\xfe\x00\x01" * 100, 72, "JSON"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_description_ends_the_pilot_with_1117_and_names_the_fault(sandbox, name):
    text, code, word = HOSTILE[name]
    with PilotRun(sandbox) as run:
        path = run.home / "document.json"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        run.start("--queuedata-url", str(path), queue_pause_s=0.01)
        assert run.wait_exit() == code, run.story()
        assert word in run.log()
        assert "1117" in run.log()
        assert "Traceback" not in run.log()
        run.assert_clean()


def test_case_65_ten_megabytes_of_unknown_fields_are_not_carried_about(sandbox, described):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    with PilotRun(sandbox) as run:
        path = run.home / "document.json"
        path.write_text(json.dumps({**described, "of_no_use": "x" * 10_000_000}))
        run.start("--queuedata-url", str(path))
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        (main,) = run.main_dirs()
        assert sum(file.stat().st_size for file in (main / ".bulkhead").rglob("*")) < 2_000_000


@pytest.mark.parametrize(("fields", "code"), [({"state": "DISABLED"}, 78), ({"status": "offline"}, 83)])
def test_case_66_a_queue_that_takes_no_jobs(sandbox, fields, code):
    sandbox.set_queue(**fields)
    sandbox.make_jobs(1)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == code, run.story()
        assert not sandbox.record("acquire_jobs")


def test_no_description_at_all_is_1116_after_three_passes(sandbox):
    sandbox.fault("queue_data", "http_503", times=None)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 71, run.story()
        assert len(sandbox.record("queue_data")) == 3
        assert "HTTP 503" in run.log()


@pytest.mark.parametrize("kind", ["garbage", "truncated", "empty", "drop_before", "http_500"])
def test_a_broken_answer_is_followed_by_another_try(sandbox, kind):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    sandbox.fault("queue_data", kind, times=2)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        assert len(sandbox.record("queue_data")) == 3


def test_a_file_in_the_launch_directory_is_used_instead_of_a_download(sandbox, described):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    with PilotRun(sandbox) as run:
        (run.home / "queuedata.json").write_text(json.dumps(described, indent=1))
        run.start()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        assert not sandbox.record("queue_data")


def test_downloads_are_kept_whole_in_the_pilots_home(sandbox):
    sandbox.make_jobs(1, transform="quick.sh")
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0, run.story()
        (main,) = run.main_dirs()
        assert json.loads((main / "queuedata.json").read_text())["nickname"] == "SANDBOX"
        assert list(json.loads((main / "cric_ddmendpoints.json").read_text())) == ["SANDBOX_DATADISK"]


def _config(run, text):
    path = run.home / "pilot.cfg"
    path.write_text(text)
    return {"HARVESTER_PILOT_CONFIG": str(path)}


@pytest.mark.parametrize("age_s", [60, 4 * 3600])
def test_a_cache_serves_for_three_hours_and_after_that_when_the_server_is_away(sandbox, described, age_s):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    sandbox.fault("queue_data", "http_503", times=None)
    with PilotRun(sandbox) as run:
        cache = run.home / "cache"
        cache.mkdir()
        kept = cache / "queuedata.json"
        kept.write_text(json.dumps(described))
        os.utime(kept, (time.time() - age_s, time.time() - age_s))
        run.start(environment=_config(run, f"[Information]\ncache_dir = {cache}\n"))
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        assert len(sandbox.record("queue_data")) == (0 if age_s < 3600 else 1)


def test_the_copies_on_cvmfs_serve_atlas_when_the_server_does_not(sandbox, described):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    sandbox.fault("queue_data", "http_503", times=None)
    with PilotRun(sandbox) as run:
        base = run.home / "sw" / "atlas.cern.ch/repo/sw/local/etc"
        base.mkdir(parents=True)
        (base / "cric_pandaqueues.json").write_text(json.dumps({"OTHER": {"nickname": "OTHER"}, "SANDBOX": described}))
        run.start("--pilot-user", "atlas", environment={"ATLAS_SW_BASE": str(run.home / "sw")})
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)


def test_the_short_description_lies_over_the_full_one(sandbox, described):
    """The queue's own document lacks the copy tools; the full one has them, and another status that does not count."""
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh")
    with PilotRun(sandbox) as run:
        short = {name: value for name, value in described.items() if "copytools" not in name}
        (run.home / "queuedata.json").write_text(json.dumps(short))
        full = {"SANDBOX": {**described, "status": "offline"}}
        (run.home / "cric_pandaqueues.json").write_text(json.dumps(full))
        run.start()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)


def test_no_cvmfs_ends_an_atlas_pilot_with_64_unless_b_is_given(sandbox):
    with PilotRun(sandbox) as run:
        command = [word for word in run.command("--pilot-user", "atlas") if word != "-b"]
        run.start(wrap=lambda _words: command, environment={"ATLAS_SW_BASE": str(run.home / "nothing")})
        assert run.wait_exit() == 64, run.story()
        assert "1377" in run.log()
        assert not sandbox.record("acquire_jobs")


def test_overrides_of_the_job_and_of_the_configuration(sandbox):
    """The queue asks for rucio, the job for nonsense and cp; the configuration's cp wins over both."""
    sandbox.set_queue(acopytools={"default": ["rucio"]}, copytools={"rucio": {}})
    option = "--overwriteQueueData {'acopytools':{'default':['gfal']}}"
    sandbox.make_jobs(1, transform="quick.sh", outputs=[100], extra_args=option)
    with PilotRun(sandbox) as run:
        run.start(environment=_config(run, "[Information]\nacopytools = cp\n"))
        assert run.wait_exit() == 0, run.story()
        (job,) = sandbox.jobs()
        run.assert_final(job["job_id"], "finished", 0)


def test_a_jobs_own_values_win_over_the_queues(sandbox):
    sandbox.set_queue(acopytools={"default": ["rucio"]}, copytools={"rucio": {}})
    option = "--overwriteQueueData {'acopytools':{'default':['cp']}}"
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh", outputs=[100], extra_args=option)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)


@pytest.mark.parametrize(
    ("option", "field"),
    [
        ("--overwriteQueueData {'timefloor':'soon'}", "overwriteQueueData: timefloor"),
        ("--overwriteStorageData {'SANDBOX_DATADISK':{'id':'x'}}", "overwriteStorageData: SANDBOX_DATADISK.id"),
        ("--overwriteStorageData {'X':{'arprotocols':{'r':[{'endpoint':'file:///etc'}]}}}", "overwriteStorageData: X"),
    ],
)
def test_bad_values_of_a_job_are_the_jobs_fault(sandbox, option, field):
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh", extra_args=option)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0, run.story()
        assert field in run.assert_final(job_id, "failed", 1402)["final"]["pilot_error_diag"]


def test_case_67_and_68_output_path_and_the_storage_that_was_not_in_the_list(sandbox):
    """The job wants a storage that the queue does not name: the first of the queue's list is used and reported."""
    (job_id,) = sandbox.make_jobs(1, transform="work.py", outputs=[100])
    definition = sandbox.job(job_id)["definition"]
    wanted = ",".join("ELSEWHERE_DATADISK" for _ in definition["outFiles"].split(","))
    (other,) = sandbox.make_jobs(1, transform="work.py", outputs=[100], fields={"ddmEndPointOut": wanted})
    sandbox.set_queue(timefloor=60)
    with PilotRun(sandbox) as run:
        run.start()
        assert run.wait_exit() == 0, run.story()
        for done in (job_id, other):
            report = json.loads(run.assert_final(done, "finished", 0)["final"]["job_output_report"])
            assert {entry["endpoint"] for entry in report.values()} == {"SANDBOX_DATADISK"}
            for lfn in report:
                assert sandbox.stored_path("sandbox.test", lfn).is_file()
