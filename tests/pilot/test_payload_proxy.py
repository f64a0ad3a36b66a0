"""The payload's own proxy in whole pilots: fetched, watched, and gone with the payload (panda-protocol 1.8)."""

import stat
import tarfile
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun, as_new
from tests.made_proxies import proxy
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

HOUR = 3600.0
#: What must be left of a proxy while a job runs.
LEAST_S = HOUR - 1200
NAME = "x509_payload.proxy"


@pytest.fixture(scope="module", params=["v1", "legacy"])
def server(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with Sandbox(folder / "storage", "--dialects", request.param, "--proxy-file", str(folder / "given")) as running:
        running.given = folder / "given"
        yield running


@pytest.fixture
def run(server):
    server.given.unlink(missing_ok=True)
    with PilotRun(as_new(server)) as pilot:
        (pilot.home / "own").write_text(proxy())
        (pilot.home / "own").chmod(0o600)
        (pilot.home / "pilot.cfg").write_text("[Pilot]\nproxy_verification_time = 1\n")
        yield pilot


def start(run, *options, **tuning):
    """Start a pilot with a proxy of its own and a job that runs until `payload_end` is there; return the job's id."""
    show = 'echo proxy "$X509_USER_PROXY"; test -z "$X509_USER_PROXY" || cat "$X509_USER_PROXY"'
    payload = {"until": str(run.payload_end)}
    (job_id,) = run.sandbox.make_jobs(1, outputs=[10], payload=payload, extra_args=f"; rc=$?; {show}; exit $rc")
    run.start(
        "--pilot-user=atlas",
        *options,
        wrap=lambda words: [word for word in words if word != "-t"],
        environment={
            "HOME": str(run.home),
            "X509_USER_PROXY": str(run.home / "own"),
            "HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"),
        },
        **tuning,
    )
    return job_id


def environ_of(pid):
    return dict(pair.split("=", 1) for pair in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in pair)


def requests(run):
    return [entry for entry in run.sandbox.record() if entry["call"] in ("get_proxy", "getProxy") and entry["worked"]]


def log_members(run, job_id):
    (path,) = run.sandbox.storage.rglob(run.sandbox.job(job_id)["definition"]["logFile"])
    with tarfile.open(path) as archive:
        return {
            Path(member.name).name: archive.extractfile(member).read().decode(errors="replace")
            for member in archive.getmembers()
            if member.isfile()
        }


@pytest.mark.parametrize("cleanup", ["yes", "no"])
def test_a_payload_of_a_user_gets_a_proxy_of_its_own(run, cleanup):
    run.sandbox.given.write_text(proxy(50 * HOUR))
    own = (run.home / "own").read_text()
    job_id = start(run, "--cleanup", cleanup)
    run.wait_log("starting -> running")
    (main,) = run.main_dirs()
    file = main / f"PanDA_Pilot-{job_id}" / NAME
    assert environ_of(run.one("payload"))["X509_USER_PROXY"] == str(file)
    assert file.read_text() == run.sandbox.given.read_text() != own
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (asked,) = requests(run)
    assert (asked["body"]["role"], asked["body"]["dn"]) == ("atlas", "atlpilo2")
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    members = log_members(run, job_id)
    assert f"proxy {file}" in members["payload.stdout"]
    assert "BEGIN PRIVATE KEY" in members["payload.stdout"]  # which is the payload's own doing
    assert NAME not in members
    assert (run.home / "own").read_text() == own  # the pilot keeps its own
    assert not list(main.rglob("*.proxy"))
    assert "PRIVATE KEY" not in run.log() + members["pilotlog.txt"]
    run.assert_clean(keep_main=cleanup == "no")


def finishes_without(run, job_id):
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    assert "proxy \n" in log_members(run, job_id)["payload.stdout"]


@pytest.mark.parametrize("given", [None, "no proxy at all"])
def test_a_server_without_a_proxy_to_give_stops_nothing(run, given):
    if given is not None:
        run.sandbox.given.write_text(given)
    job_id = start(run)
    finishes_without(run, job_id)
    assert "payload proxy: the server gave" in run.log()


@pytest.mark.parametrize("kind", ["http_503", "drop_after", "garbage", "wrong_types"])
def test_a_server_in_trouble_is_asked_again(run, kind):
    run.sandbox.given.write_text(proxy())
    for call in ("get_proxy", "getProxy"):
        run.sandbox.fault(call, kind)
    job_id = start(run)
    run.wait_log("starting -> running")
    assert environ_of(run.one("payload"))["X509_USER_PROXY"].endswith(NAME)
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)


@pytest.mark.parametrize("kind", ["http_503", "silence"])
def test_a_server_that_stays_in_trouble_costs_the_proxy_not_the_job(run, kind):
    for call in ("get_proxy", "getProxy"):
        run.sandbox.fault(call, kind, times=None)
    (run.home / "pilot.cfg").write_text("[Pilot]\nhttp_maxtime = 1\n")
    finishes_without(run, start(run))


@pytest.mark.parametrize(
    ("left_s", "attributes_left_s", "code"), [(600, None, 1373), (-60, None, 1373), (HOUR * 9, 600, 1177)]
)
def test_a_proxy_that_will_not_do_fails_the_job_before_its_payload(run, left_s, attributes_left_s, code):
    run.sandbox.given.write_text(proxy(left_s, attributes_left_s))
    job_id = start(run)
    assert run.wait_exit() == 0, run.story()
    job = run.assert_final(job_id, "failed", code)
    assert job["final"]["pilot_error_diag"].startswith("payload proxy:")
    assert "payload.stdout" not in log_members(run, job_id)
    run.assert_clean()


def test_u_leaves_the_check_out_on_a_unified_queue_and_the_proxy_on_others(run):
    run.sandbox.given.write_text(proxy(600))
    job_id = start(run, "-u")
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    assert len(requests(run)) == 1
    run.sandbox.reset()
    run.sandbox.set_queue(type="analysis")
    finishes_without(run, start(run, "-u"))
    assert requests(run) == []


@pytest.mark.parametrize(
    ("left_s", "attributes_left_s", "word"),
    [
        (LEAST_S + 5, None, "1373 the certificate ends"),
        (HOUR * 9, LEAST_S + 5, "1370 the life of the VOMS attributes ends"),
    ],
)
def test_a_proxy_that_gets_short_while_the_payload_runs_is_replaced(run, left_s, attributes_left_s, word):
    run.sandbox.given.write_text(proxy(left_s, attributes_left_s))
    job_id = start(run)
    run.wait_log("starting -> running")
    new = proxy(50 * HOUR, 40 * HOUR)
    run.sandbox.given.write_text(new)
    run.wait_log(word)
    (main,) = run.main_dirs()
    file = main / f"PanDA_Pilot-{job_id}" / NAME
    wait_until(lambda: file.read_text() == new, 5, "the new proxy is there")
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)


@pytest.mark.parametrize(
    ("left_s", "attributes_left_s", "code"), [(LEAST_S + 4, None, 1373), (HOUR * 9, LEAST_S + 4, 1177)]
)
def test_a_proxy_that_gets_short_and_is_not_replaced_fails_the_job(run, left_s, attributes_left_s, code):
    run.sandbox.given.write_text(proxy(left_s, attributes_left_s))
    job_id = start(run)
    run.wait_log("starting -> running")
    run.sandbox.given.unlink()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "failed", code)
    run.assert_clean()


def test_a_proxy_that_vanished_and_cannot_be_had_again_is_1163(run):
    run.sandbox.given.write_text(proxy())
    job_id = start(run)
    run.wait_log("starting -> running")
    run.sandbox.given.unlink()
    (main,) = run.main_dirs()
    (main / f"PanDA_Pilot-{job_id}" / NAME).unlink()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "failed", 1163)


@pytest.mark.parametrize("role", ["reporter", "supervisor"])
def test_the_proxy_outlives_a_death(run, role):
    run.sandbox.given.write_text(proxy())
    job_id = start(run)
    run.wait_log("starting -> running")
    old = run.kill(role)
    run.wait_replaced(role, old)
    (main,) = run.main_dirs()
    assert (main / f"PanDA_Pilot-{job_id}" / NAME).is_file()
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    run.assert_clean()
