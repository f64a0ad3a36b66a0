"""How many jobs a pilot takes, from where, and over what: with nothing going wrong."""

import itertools
import json
import os
import signal

import pytest
import trustme
from phases import hold
from pilotrun import PilotRun

from sandbox.client import Sandbox

pytestmark = pytest.mark.chaos


def test_a_pilot_without_a_job_ends_well(pilot):
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    assert len(pilot.sandbox.record("acquire_jobs")) == 1
    pilot.assert_clean()


@pytest.mark.parametrize(("options", "requests"), [(("-v", "3", "-x", "9"), 3), (("-v", "9", "-x", "2"), 2)])
def test_how_often_a_job_is_asked_for(pilot, options, requests):
    pilot.start(*options)
    assert pilot.wait_exit() == 0, pilot.story()
    assert len(pilot.sandbox.record("acquire_jobs")) == requests
    pilot.assert_clean()


def test_failed_requests_count_like_empty_ones(pilot):
    pilot.sandbox.fault("acquire_jobs", "http_503", times=None)
    pilot.start("-v", "9", "-x", "3")
    assert pilot.wait_exit() == 0, pilot.story()
    assert len(pilot.sandbox.record("acquire_jobs")) == 3
    pilot.assert_clean()


def test_one_job_where_the_queue_has_no_timefloor(pilot):
    jobs = pilot.sandbox.make_jobs(2, transform="quick.sh", outputs=[1000])
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(jobs[0], "finished", 0)
    assert pilot.sandbox.job(jobs[1])["state"] == "activated"
    pilot.assert_clean()


def test_several_jobs_one_after_the_other(pilot, figure):
    pilot.sandbox.set_queue(timefloor=60)
    jobs = pilot.sandbox.make_jobs(5, transform="quick.sh", inputs=[2000], outputs=[3000])
    failing = pilot.sandbox.make_jobs(1, transform="quick.sh", payload={"exit_code": 3})
    jobs += pilot.sandbox.make_jobs(2, transform="quick.sh", outputs=[3000])
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    for job_id in jobs:
        pilot.assert_final(job_id, "finished", 0)
    pilot.assert_final(failing[0], "failed")
    finals = [pilot.updates(job_id)[-1]["mono"] for job_id in jobs[:5]]
    for earlier, later in itertools.pairwise(finals):
        figure("a further job in the same pilot", later - earlier)
    pilot.assert_clean()


def without_a_place(words):
    """Leave -a away: the pilot lives in the directory in which it is started."""
    place = words.index("-a")
    return words[:place] + words[place + 2 :]


@pytest.mark.parametrize("end", ["finished", "TERM"])
def test_one_pilot_after_another_in_the_same_directory(pilot, end):
    """The second one goes on with nothing of the first: neither with its end nor with its being through."""
    first, second = pilot.sandbox.make_jobs(2, outputs=[3000], payload={"until": str(pilot.payload_end)})
    pilot.start(wrap=without_a_place)
    pilot.wait_call("update_job", job_status="running")
    if end == "TERM":
        os.kill(pilot.process.pid, signal.SIGTERM)
    pilot.payload_end.touch()
    pilot.wait_exit()
    pilot.assert_final(first, "failed" if end == "TERM" else "finished")
    pilot.start(wrap=without_a_place)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(second, "finished", 0)
    pilot.assert_clean()


def test_two_pilots_in_the_same_directory_do_not_share_a_job(pilot):
    first, second = pilot.sandbox.make_jobs(2, outputs=[3000], payload={"until": str(pilot.payload_end)})
    pilot.start(wrap=without_a_place)
    pilot.wait_call("update_job", job_status="running", job_id=first)
    other = pilot.process
    pilot.start(wrap=without_a_place)
    pilot.wait_call("update_job", job_status="running", job_id=second)
    pilot.payload_end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    assert other.wait(30) == 0, pilot.story()
    for job_id in (first, second):
        pilot.assert_final(job_id, "finished", 0, rejected=0)
    pilot.assert_clean()


def test_a_killed_pilots_job_is_finished_by_the_next_one_in_the_same_directory(pilot):
    held = hold(pilot, "stage-out", lambda: pilot.start(wrap=without_a_place))
    pilot.kill_all()
    pilot.process.wait(5)
    second = pilot.sandbox.make_jobs(1, outputs=[3000])[0]
    pilot.start(wrap=without_a_place)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(held.job_id, "finished", 0)
    pilot.assert_final(second, "finished", 0)
    pilot.assert_clean()


def test_a_job_from_a_file_reported_into_a_file(pilot):
    """No PanDA server is asked for anything but the queue's description."""
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    definition = pilot.sandbox.job(job_id)["definition"]
    job_file, report_file = pilot.home / "job.json", pilot.home / "report.json"
    job_file.write_text(json.dumps(definition))
    pilot.start("--job-file", str(job_file), "--report-file", str(report_file))
    assert pilot.wait_exit() == 0, pilot.story()
    report = json.loads(report_file.read_text())
    assert (report["job_status"], report["final"], report["job_id"]) == ("finished", True, job_id)
    calls = {entry["call"] for entry in pilot.sandbox.record()}
    assert calls <= {"queue_data", "storage_data", "transform"}, calls
    pilot.assert_clean()


@pytest.fixture
def tls(tmp_path, _adopts):
    """A pilot of a server that speaks TLS, with an authority of its own."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    options = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with Sandbox(tmp_path / "storage", *options) as sandbox, PilotRun(sandbox) as run:
        yield run, tmp_path / "ca.pem"


def test_a_server_that_speaks_tls(tls):
    run, authority = tls
    job_id = run.sandbox.make_jobs(1, inputs=[2000], outputs=[3000])[0]
    # The option is for the talk with the server, the variable for the tools that bring files.
    run.start("--capath", str(authority))
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    run.assert_clean()


def test_a_server_that_nobody_vouches_for_is_not_talked_to(tls):
    run, _authority = tls
    run.sandbox.make_jobs(1)
    environ = {name: "" for name in ("SSL_CERT_FILE", "X509_CERT_DIR") if name in os.environ}
    run.start(environment=environ)
    assert run.wait_exit(60) != 0, run.story()
    assert run.sandbox.record() == []
    run.assert_clean()
