"""Traces: their fields, and the lane in which they are sent, against servers on the wire."""

import json
import socket
import threading
from dataclasses import replace

import pytest
from reporter_rig import RawServer, answer, says, update

from errors.codes import ErrorCode
from host.clock import now
from ipc.parts import Attempt, TraceBasis, TracedFile
from ipc.results import TracesSent, UpdateAnswered
from ipc.tasks import SendTraces
from sandbox.traces import trace_problem
from workers.reporter.exchange import Answer, Lost
from workers.reporter.trace_delivery import TraceDelivery, curl_code, find_sender, write_code
from workers.reporter.traces import FIELDS, Sender, client_state, compose

BASIS = TraceBasis(
    url="http://127.0.0.1:9/traces/",
    job_id=6700000001,
    task_id=41,
    definition_id=12,
    user="Jane Doe/CN=nickname:jdoe",
    queue="QUEUE",
    node="127.0.0.1",
    is_analysis=True,
    event_version="0.1.0+none",
    files=(
        TracedFile(
            lfn="in.root", kind="input", scope="mc", dataset="mc:ds", guid="0A1B2C3D-0003-4AAA-8BBB-0000000000C1"
        ),
        TracedFile(lfn="out.root", kind="output", scope="mc"),
        TracedFile(lfn="job.log.tgz", kind="log", scope="mc"),
    ),
)
MOVED = Attempt(
    lfn="in.root",
    kind="input",
    copytool="http",
    endpoint="SITE_DISK",
    url="davs://se.example.org/f",
    size_bytes=7,
    began_wall=10.5,
    started_wall=11.5,
    ended_wall=12.5,
)
OUT = replace(MOVED, lfn="out.root", kind="output")
SENDER = Sender(hostname="node1.example.org", ip="192.0.2.7", uuid="aa" * 16)


def trace(attempt=MOVED, basis=BASIS, sender=SENDER) -> dict:
    return json.loads(compose(basis, attempt, sender))


# ---------------------------------------------------------------- the fields
def test_case_69_every_field_of_a_user_jobs_stage_in():
    assert trace() == {
        "eventType": "get_sm_a",
        "eventVersion": "0.1.0+none",
        "protocol": "http",
        "clientState": "DONE",
        "stateReason": "OK",
        "localSite": "SITE_DISK",
        "remoteSite": "SITE_DISK",
        "timeStart": 10.5,
        "catStart": None,
        "relativeStart": 11.5,
        "transferStart": 11.5,
        "validateStart": None,
        "timeEnd": 12.5,
        "dataset": "mc:ds",
        "scope": "mc",
        "filename": "in.root",
        "guid": "0A1B2C3D00034AAA8BBB0000000000C1",
        "filesize": 7,
        "url": "davs://se.example.org/f",
        "version": None,
        "duid": None,
        "usr": "5a75b9aae3ea49f2598b5cae9e6d806f",
        "usrdn": "Jane Doe/CN=nickname:jdoe",
        "appid": "6700000001",
        "taskid": 41,
        "hostname": "node1.example.org",
        "ip": "192.0.2.7",
        "suspicious": "0",
        "uuid": "f8c3853836e36727fe659da74d80f5e1",
        "pq": "QUEUE",
    }


@pytest.mark.parametrize(
    ("attempt", "analysis", "event_type"),
    [(MOVED, True, "get_sm_a"), (MOVED, False, "get_sm"), (OUT, True, "put_sm_a"), (OUT, False, "put_sm")],
)
def test_event_types(attempt, analysis, event_type):
    assert trace(attempt, replace(BASIS, is_analysis=analysis))["eventType"] == event_type


@pytest.mark.parametrize(
    ("attempt", "code", "state"),
    [
        (MOVED, 0, "DONE"),
        (MOVED, 1099, "STAGEIN_ATTEMPT_FAILED"),
        (OUT, 1137, "STAGEOUT_ATTEMPT_FAILED"),
        (MOVED, 1151, "CP_TIMEOUT"),
        (OUT, 1152, "CP_TIMEOUT"),
        (MOVED, 1171, "AD_MISMATCH"),
        (OUT, 1172, "AD_MISMATCH"),
        (MOVED, 1145, "MD5_MISMATCH"),
        (OUT, ErrorCode.MISSINGOUTPUTFILE, "MISSINGOUTPUTFILE"),
        (MOVED, ErrorCode.NOREPLICAS, "NO_REPLICA"),
        (MOVED, ErrorCode.UNKNOWNCOPYTOOL, "BAD_COPYTOOL"),
        (OUT, 1333, "NO_SPACE"),
        (MOVED, 9999, "STAGEIN_ATTEMPT_FAILED"),
    ],
)
def test_client_states(attempt, code, state):
    assert client_state(replace(attempt, code=int(code))) == state


def test_a_failure_says_why_without_backslashes_and_secrets():
    failed = replace(MOVED, code=1099, text="it\\said Authorization: Bearer abcdefghijklmnop " + "x" * 900)
    found = trace(failed)
    assert "\\" not in found["stateReason"]
    assert "abcdefghijklmnop" not in found["stateReason"]
    assert len(found["stateReason"]) <= 500
    assert trace(replace(MOVED, code=1099))["stateReason"] == "error 1099"


def test_a_url_is_told_without_its_keys():
    secret = replace(MOVED, url="https://user:word@se.example.org:443/a/b?X-Amz-Signature=key#x")
    assert trace(secret)["url"] == "https://se.example.org:443/a/b"
    assert trace(replace(MOVED, url="/data/in@here.root"))["url"] == "/data/in@here.root"
    assert trace(replace(MOVED, url=""))["url"] is None


def test_unknown_sizes_and_tools():
    assert trace(replace(MOVED, size_bytes=-1))["filesize"] is None
    assert trace(replace(MOVED, copytool=""))["protocol"] == "davs"


def test_a_site_of_its_own_and_a_uuid_of_its_own():
    found = trace(basis=replace(BASIS, local_site="HERE", definition_id=0))
    assert (found["localSite"], found["remoteSite"], found["uuid"]) == ("HERE", "SITE_DISK", "aa" * 16)


@pytest.mark.parametrize(
    "attempt",
    [replace(MOVED, endpoint=""), replace(MOVED, lfn="runHPO", kind="transform"), replace(MOVED, kind="output")],
    ids=["no site", "transform", "another kind"],
)
def test_what_is_not_traced(attempt):
    assert compose(BASIS, attempt, SENDER) is None


@pytest.mark.parametrize(
    "attempt", [MOVED, OUT, replace(OUT, lfn="job.log.tgz", kind="log"), replace(MOVED, code=1099)]
)
def test_the_strict_server_takes_each_of_them(attempt):
    assert trace_problem(trace(attempt)) == ""


@pytest.mark.parametrize("name", FIELDS)
def test_the_strict_server_refuses_a_trace_that_lacks_a_field_or_has_another_type(name):
    whole = trace()
    assert trace_problem({key: value for key, value in whole.items() if key != name})
    assert trace_problem({**whole, name: ["odd"]})
    assert trace_problem({**whole, "ipv": "IPv6"})


# ---------------------------------------------------------------- the lane
def task(url: str, *attempts: Attempt, **basis) -> SendTraces:
    return SendTraces(job_key="1.1", basis=replace(BASIS, url=url, **basis), attempts=attempts or (MOVED, OUT))


def bodies(server) -> list[dict]:
    return [json.loads(request.partition(b"\r\n\r\n")[2]) for request in server.requests]


def test_traces_are_sent_plain_one_by_one_and_without_identity(rig_for):
    with RawServer(says(answer("Created", "201 Created"))) as server:
        rig = rig_for("http://127.0.0.1:9")
        assert rig.ask("traces", task(f"{server.url}/traces/")) == TracesSent(sent=2)
        head = server.requests[0].partition(b"\r\n\r\n")[0].lower()
    assert [body["filename"] for body in bodies(server)] == ["in.root", "out.root"]
    assert {body["ip"] for body in bodies(server)} == {"127.0.0.1"}
    assert b"post /traces/ http/1.1" in head
    assert b"content-type: application/json" in head
    assert b"user-agent: pilot/" in head
    assert b"content-encoding" not in head
    assert b"authorization" not in head


def test_a_refused_trace_is_dropped_alone(rig_for, tmp_path):
    def script(connection, request, _stopped):
        refused = b"in.root" in request
        connection.sendall(answer("no such field", "400 Bad Request") if refused else answer("Created", "201 Created"))

    with RawServer(script) as server:
        file = tmp_path / "rucio_trace_error.txt"
        found = rig_for("http://127.0.0.1:9").ask("traces", task(server.url, error_file=str(file)))
    assert (found.sent, found.dropped, found.curl_code) == (1, 1, 22)
    assert "in.root: HTTP status 400: no such field" in found.note
    assert file.read_text() == "22"


def test_a_server_that_hangs_up_is_asked_twice_and_the_rest_is_dropped(rig_for):
    with RawServer(lambda connection, _request, _stopped: connection.close()) as server:
        found = rig_for("http://127.0.0.1:9").ask("traces", task(server.url, MOVED, OUT, OUT))
    assert (found.sent, found.dropped, found.curl_code != 0) == (0, 3, True)
    assert len(server.requests) == 2


def test_a_server_error_once_costs_nothing(rig_for):
    answers = iter([answer("oops", "500 Internal Server Error")])

    def script(connection, _request, _stopped):
        connection.sendall(next(answers, answer("Created", "201 Created")))

    with RawServer(script) as server:
        found = rig_for("http://127.0.0.1:9").ask("traces", task(server.url))
    assert (found.sent, found.dropped, found.curl_code) == (2, 0, 0)


def test_an_update_never_waits_for_a_trace(rig_for, monkeypatch):
    monkeypatch.setattr(TraceDelivery, "limit_s", 1.0)
    good = answer({"success": True, "data": {"command": "NULL", "StatusCode": 0}, "message": ""})
    hang = RawServer(lambda _connection, _request, stopped: stopped.wait(30))
    with RawServer(says(good)) as panda, hang as rucio:
        rig = rig_for(panda.url)
        rig.assign("traces", task(rucio.url))
        rig.until(lambda: rucio.requests)
        for number in range(5):
            assert isinstance(rig.ask(f"update{number}", update(number)), UpdateAnswered)
        assert "traces" not in rig.desk.results
        rig.until(lambda: "traces" in rig.desk.results)
        found = rig.desk.results["traces"]
        assert (found.sent, found.dropped, found.curl_code) == (0, 2, 28)
        assert rig.longest_turn_s < 0.5


def test_a_cancelled_lease_is_answered_no_more(rig_for):
    hang = RawServer(lambda _connection, _request, stopped: stopped.wait(30))
    with hang as rucio, RawServer(says(answer("Created", "201 Created"))) as good:
        rig = rig_for("http://127.0.0.1:9")
        rig.assign("traces", task(rucio.url))
        rig.until(lambda: rucio.requests)
        rig.duty.cancel("traces", now())
        assert rig.ask("next", task(good.url)) == TracesSent(sent=2)
        assert "traces" not in rig.desk.results


def test_calls_that_hang_for_good_end_the_lane_and_not_the_worker(rig_for, monkeypatch):
    monkeypatch.setattr("workers.reporter.courier.MAX_ABANDONED", 1)
    monkeypatch.setattr(TraceDelivery, "limit_s", 0.3)
    over = threading.Event()
    # A name service that never answers, which no time-out of a library ends.
    monkeypatch.setattr(socket, "gethostbyname", lambda _name: over.wait(30) or "127.0.0.1")
    good = answer({"success": True, "data": {"command": "NULL", "StatusCode": 0}, "message": ""})
    with RawServer(says(good)) as panda:
        rig = rig_for(panda.url)
        assert rig.ask("traces", task("http://127.0.0.1:9/")).dropped == 2
        assert rig.ask("more", task("http://127.0.0.1:9/")).note == "calls hang"
        assert isinstance(rig.ask("update", update()), UpdateAnswered)
    over.set()


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (Answer(status=503), 22),
        (Lost(text="http://h: ConnectionRefusedError: [Errno 111] Connection refused"), 7),
        (Lost(text="http://h: gaierror: Name or service not known"), 6),
        (Lost(text="traces: no complete answer within 10 s"), 28),
        (Lost(text="http://h: ConnectTimeoutError: timed out"), 28),
        (Lost(text="https://h: SSLCertVerificationError: certificate verify failed"), 60),
        (Lost(text="http://h: RemoteDisconnected: Remote end closed connection without response"), 52),
        (Lost(text="http://h: ConnectionResetError: Connection reset by peer"), 56),
        (Lost(text="something else"), 1),
    ],
)
def test_curls_codes(reply, code):
    assert curl_code(reply) == code


def test_the_code_is_not_written_through_a_link(tmp_path):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_code(tmp_path / "link", 7)
    write_code(tmp_path / "absent" / "x", 7)
    write_code(tmp_path / "new", 7)
    assert ((tmp_path / "target").read_text(), (tmp_path / "new").read_text()) == ("mine", "7")


def test_a_node_that_nobody_knows_keeps_its_name():
    found = json.loads(find_sender("no-such-node.invalid"))
    assert (found["hostname"], found.get("ip"), len(found["uuid"])) == ("no-such-node.invalid", None, 32)
    assert json.loads(find_sender(""))["hostname"]
