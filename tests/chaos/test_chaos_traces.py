"""Traces of real pilots' transfers: what they say (case 69), and that nothing follows from their server (case 70)."""

import os
import signal
import socket
import time
from collections import Counter

import pytest
from pilotrun import report_of

from sandbox.client import Sandbox

pytestmark = pytest.mark.chaos


@pytest.fixture(scope="module")
def rucio(tmp_path_factory):
    """A server of its own for the traces, so that it can be broken alone."""
    with Sandbox(tmp_path_factory.mktemp("rucio")) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_new(rucio):
    rucio.reset()


def start(pilot, host: str, *options: str, **more):
    return pilot.start("--use-rucio-traces", "yes", "--rucio-host", host, *options, **more)


def traces(rucio) -> list[dict]:
    return [entry["body"] for entry in rucio.record("traces")]


def refused(rucio) -> list[object]:
    return [entry["answer"] for entry in rucio.record("traces") if entry["status"] != 201]


@pytest.mark.parametrize(("transform", "suffix"), [("quick.sh", "_a"), ("true", "")], ids=["user job", "production"])
def test_case_69_traces_of_a_whole_job(pilot, rucio, transform, suffix):
    outputs = [2000] if transform == "quick.sh" else []
    recipe = {"payload": {}, "extra_args": ""} if outputs else {}
    job_id = pilot.sandbox.make_jobs(1, transform=transform, inputs=[1000, 1500], outputs=outputs, **recipe)[0]
    began = time.time()
    start(pilot, rucio.url)
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "finished", 0, rejected=0)
    definition = job["definition"]
    assert refused(rucio) == []
    found = {trace["filename"]: trace for trace in traces(rucio)}
    assert set(found) == {*definition["inFiles"].split(","), *definition["outFiles"].split(",")}
    assert len(traces(rucio)) == len(found)
    for name, trace in found.items():
        inward = name in definition["inFiles"]
        assert trace["eventType"] == ("get_sm" if inward else "put_sm") + suffix
        assert (trace["clientState"], trace["stateReason"]) == ("DONE", "OK")
        assert not {"ipv", "workdir"} & set(trace)
        assert "-" not in trace["guid"]
        assert len(trace["guid"]) == 32
        assert (trace["appid"], trace["taskid"], trace["usrdn"]) == (str(job_id), 41_000_001, "sandbox")
        assert trace["localSite"] == trace["remoteSite"] == definition["ddmEndPointOut"].split(",")[0]
        assert began <= trace["timeStart"] <= trace["transferStart"] <= trace["timeEnd"] <= time.time()
        assert len(trace["uuid"]) == 32
    sizes = {name: entry["fsize"] for name, entry in report_of(job).items()}
    sizes.update(zip(definition["inFiles"].split(","), map(int, definition["fsize"].split(",")), strict=True))
    assert {name: trace["filesize"] for name, trace in found.items()} == sizes
    assert "rucioTraceError" not in job["final"].get("job_metrics", "")
    pilot.assert_clean()


def test_no_traces_when_they_are_switched_off(pilot, rucio):
    pilot.sandbox.make_jobs(1, transform="quick.sh", inputs=[1000])
    pilot.start("--rucio-host", rucio.url)
    assert pilot.wait_exit() == 0, pilot.story()
    assert traces(rucio) == []


def test_no_traces_without_a_server_of_the_experiment(pilot, rucio):
    job_id = pilot.sandbox.make_jobs(1, transform="quick.sh", inputs=[1000])[0]
    pilot.start("--use-rucio-traces", "yes")
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert (traces(rucio), pilot.sandbox.record("traces")) == ([], [])


def test_the_configuration_file_names_the_server(pilot, rucio):
    pilot.sandbox.make_jobs(1, transform="quick.sh", inputs=[1000])
    config = pilot.home / "pilot.cfg"
    config.write_text(f"[Rucio]\nurl: {rucio.url}/traces/\n")
    environment = {"HARVESTER_PILOT_CONFIG": str(config), "RUCIO_LOCAL_SITE_ID": "HERE"}
    start(pilot, "http://127.0.0.1:9", environment=environment)
    assert pilot.wait_exit() == 0, pilot.story()
    assert {trace["localSite"] for trace in traces(rucio)} == {"HERE"}


def test_failed_attempts_have_their_state(pilot, rucio):
    job_id = pilot.sandbox.make_jobs(1, transform="quick.sh", inputs=[1000])[0]
    definition = pilot.sandbox.job(job_id)["definition"]
    pilot.sandbox.stored_path(definition["scopeIn"], definition["inFiles"]).write_bytes(b"x" * 1000)
    start(pilot, rucio.url, transfer_attempts=2)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed", 1171)
    assert refused(rucio) == []
    states = Counter((trace["eventType"], trace["clientState"]) for trace in traces(rucio))
    assert states["get_sm_a", "AD_MISMATCH"] == 2
    assert states["put_sm_a", "DONE"] == 1
    # Other places were tried that do not have the file.
    assert set(states) <= {("get_sm_a", "AD_MISMATCH"), ("get_sm_a", "MISSING_INPUT"), ("put_sm_a", "DONE")}
    assert all("\\" not in trace["stateReason"] and trace["stateReason"] for trace in traces(rucio))


def test_an_output_that_is_missing(pilot, rucio):
    fields = {"jobPars": "--inputs="}
    job_id = pilot.sandbox.make_jobs(1, transform="quick.sh", outputs=[1000], fields=fields)[0]
    start(pilot, rucio.url)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed")
    states = {trace["filename"]: trace["clientState"] for trace in traces(rucio)}
    assert set(states.values()) == {"MISSINGOUTPUTFILE", "DONE"}


# ---------------------------------------------------------------- a server that is down (case 70)
def whole_job(pilot, host: str, limit_s: float) -> dict:
    job_id = pilot.sandbox.make_jobs(1, transform="quick.sh", inputs=[1000, 1000], outputs=[1000])[0]
    start(pilot, host)
    began = time.monotonic()
    job = pilot.sandbox.wait_final(job_id, 20)
    took_s = time.monotonic() - began
    assert took_s < limit_s, f"the job took {took_s} s"
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0, rejected=0)
    assert "traces" in pilot.log()
    assert "dropped" in pilot.log()
    pilot.assert_clean()
    return job


@pytest.fixture
def plain_s(pilot) -> float:
    """A limit for the time of a job: far below that of a trace call."""
    return 8.0


def test_case_70_a_trace_server_that_refuses_connections(pilot, plain_s):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    whole_job(pilot, f"http://127.0.0.1:{port}", plain_s)
    final = pilot.sandbox.jobs()[0]["final"]
    assert "rucioTraceError=7" in final["job_metrics"]


@pytest.mark.parametrize(
    ("kind", "more"),
    [("silence", {"seconds": 60}), ("drop_before", {}), ("drop_after", {}), ("http_500", {}), ("http_403", {})],
)
def test_case_70_a_trace_server_that_misbehaves(pilot, rucio, plain_s, kind, more):
    rucio.fault("traces", kind, times=None, **more)
    whole_job(pilot, rucio.url, plain_s)


def test_case_70_a_trace_server_that_takes_no_connection(pilot, plain_s):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fill = [socket.socket() for _ in range(4)]
        for end in fill:
            end.setblocking(False)
            end.connect_ex(listener.getsockname())
        whole_job(pilot, f"http://127.0.0.1:{listener.getsockname()[1]}", plain_s)
        for end in fill:
            end.close()


def test_case_70_a_failed_trace_is_not_the_end_of_all(pilot, rucio):
    rucio.fault("traces", "http_500", times=1)
    job_id = pilot.sandbox.make_jobs(1, transform="quick.sh", inputs=[1000, 1000], outputs=[1000])[0]
    start(pilot, rucio.url)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert len({trace["filename"] for trace in traces(rucio)}) == 4


@pytest.mark.parametrize("role", ["reporter", "supervisor", "stager"])
def test_traces_survive_a_death(pilot, rucio, role):
    rucio.fault("traces", "silence", seconds=60)
    end = pilot.home / "end"
    payload = {"until": str(end)}
    job_id = pilot.sandbox.make_jobs(1, transform="work.py", inputs=[1000, 1000], payload=payload)[0]
    start(pilot, rucio.url)
    rucio.wait_for(lambda entry: entry["call"] == "traces", 15)
    old = pilot.kill(role)
    pilot.wait_replaced(role, old)
    end.touch()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "finished", 0)
    definition = job["definition"]
    wanted = {*definition["inFiles"].split(","), definition["logFile"]}
    if role != "stager":  # which takes no part in it: the call hangs on until its time is over
        taken = {entry["body"]["filename"] for entry in rucio.record("traces") if entry["status"] == 201}
        assert taken == wanted
    assert {trace["filename"] for trace in traces(rucio)} <= wanted


def test_a_signal_is_not_held_up_by_traces(pilot, rucio):
    rucio.fault("traces", "silence", seconds=60, times=None)
    payload = {"until": str(pilot.payload_end)}
    job_id = pilot.sandbox.make_jobs(1, transform="work.py", inputs=[1000], payload=payload)[0]
    start(pilot, rucio.url)
    pilot.one("payload")
    began = time.monotonic()
    assert pilot.process is not None
    os.kill(pilot.process.pid, signal.SIGTERM)
    assert pilot.wait_exit() == 143, pilot.story()
    assert time.monotonic() - began < 8
    pilot.assert_final(job_id, "failed", 1201)
