"""Servers that misbehave on the wire (H044-H062): a clear failure, within the deadline, and the loop never blocks."""

import gzip
import ssl
import threading
import time
import zlib
from pathlib import Path

import pytest
import trustme
from reporter_rig import ACQUIRE, COMMUNICATION, RawServer, answer, says, update

from host.clock import now
from ipc.results import NoJob, QueueFetched, UpdateAnswered
from ipc.tasks import FetchQueue
from tests.waiting import wait_until
from workers.reporter.courier import CourierStuckError

NO_JOBS = {"success": False, "message": "No jobs in PanDA", "data": None}
STORED = {"success": True, "message": "", "data": {"StatusCode": 0, "command": "NULL"}}
MIB = 1024 * 1024


def silence(_connection, _request, stopped):
    stopped.wait(30)


def drip(connection, _request, stopped):
    for byte in answer(STORED):
        connection.sendall(bytes([byte]))
        if stopped.wait(0.1):
            return


def drip_the_body(connection, _request, stopped):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not stopped.wait(0.05):
        connection.sendall(b" ")


def endless(connection, _request, stopped):
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not stopped.is_set():
        connection.sendall(b" " * MIB)


def endless_chunks(connection, _request, stopped):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not stopped.is_set():
        connection.sendall(b"100000\r\n" + b" " * MIB + b"\r\n")


def cut(connection, _request, _stopped):
    connection.sendall(answer(b'{"success": true', length=1000))
    connection.close()


def open_descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def in_turn(scripts):
    """A script that is another one for each request."""

    def script(connection, request, stopped):
        scripts.pop(0)(connection, request, stopped)

    return script


def bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(b" " * MIB) for _ in range(200)]) + packer.flush()


@pytest.mark.parametrize(
    ("script", "named"),
    [
        pytest.param(says(answer("<html>Bad gateway</html>")), "HTML", id="H044-html"),
        pytest.param(says(answer("")), "empty", id="H045-empty"),
        pytest.param(cut, "", id="H046-cut"),
        pytest.param(endless, "larger than 67108864", id="H047-endless"),
        pytest.param(endless_chunks, "larger than 67108864", id="H047-endless-chunks"),
        pytest.param(says(answer(b"", length=10**11)), "100000000000 bytes is announced", id="H047-announced"),
        pytest.param(says(answer(bomb(), "200 OK", "Content-Encoding: gzip")), "larger than 67108864", id="H048-bomb"),
        pytest.param(says(answer(b"no gzip", "200 OK", "Content-Encoding: gzip")), "", id="H048-no-gzip"),
        pytest.param(
            says(answer(gzip.compress(b"{}")[:-12], "200 OK", "Content-Encoding: gzip")), "cut", id="H048-cut-gzip"
        ),
        pytest.param(says(answer(b"x", "200 OK", "Content-Encoding: br")), "encoded as br", id="H048-brotli"),
        pytest.param(
            says(answer("é".encode("latin-1"), "200 OK", "Content-Type: text/plain; charset=x-odd")), "JSON", id="H049"
        ),
        pytest.param(says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * MIB + b"\r\n\r\n"), "", id="H057-huge-header"),
        pytest.param(says(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500 + b"\r\n"), "headers", id="H057-many-headers"),
        pytest.param(says(b"\x00\xff\xfe nonsense\r\n\r\n"), "", id="not-http"),
        pytest.param(
            says(answer("", "302 Found", "Location: http://127.0.0.1:1/?token=canary")), "not followed", id="H054-302"
        ),
        pytest.param(says(answer("", "307 Temporary", "Location: ftp://other/")), "not followed", id="H054-307"),
        pytest.param(says(answer("busy", "503 Busy", "Retry-After: 1000000000")), "HTTP 503: busy", id="H060"),
        pytest.param(says(answer(b"[" * 200_000)), "deep", id="too-deep"),
    ],
)
def test_answer_is_refused_in_time(rig_for, script, named):
    with RawServer(script) as server:
        rig = rig_for(server.url, http_timeout_s=10.0)
        code, text, retry = rig.ask("u/1/1", update())
        assert (code, retry) == (COMMUNICATION, True)
        assert named in text
        assert "canary" not in text
        assert len(server.requests) == 1
        assert rig.longest_turn_s < 1.0


@pytest.mark.parametrize("script", [silence, drip, drip_the_body], ids=["silence", "H058-drip", "H058-drip-body"])
def test_total_deadline_holds_and_the_next_call_has_a_new_connection(rig_for, script):
    scripts = [script, says(answer(STORED))]
    with RawServer(in_turn(scripts)) as server:
        rig = rig_for(server.url, http_timeout_s=0.5)
        began = time.monotonic()
        code, text, retry = rig.ask("u/1/1", update())
        assert (code, retry) == (COMMUNICATION, True)
        assert 0.4 < time.monotonic() - began < 3.0
        assert rig.ask("u/2/1", update()) == UpdateAnswered(stored=True)
        assert server.connections == 2
        assert rig.longest_turn_s < 0.3
        assert text


def test_h056_tls_that_hangs_in_the_handshake(rig_for):
    with RawServer(silence) as server:
        rig = rig_for(server.url.replace("http:", "https:"), http_timeout_s=0.5)
        code, _, retry = rig.ask("u/1/1", update())
        assert (code, retry) == (COMMUNICATION, True)


def test_h061_date_header_of_another_decade_does_not_matter(rig_for):
    with RawServer(says(answer(STORED, "200 OK", "Date: Tue, 01 Jan 2036 00:00:00 GMT"))) as server:
        assert rig_for(server.url).ask("u/1/1", update()) == UpdateAnswered(stored=True)


def test_compressed_answer_is_read(rig_for):
    with RawServer(
        says(answer(gzip.compress(answer(STORED).split(b"\r\n\r\n")[1]), "200 OK", "Content-Encoding: gzip"))
    ) as server:
        assert rig_for(server.url).ask("u/1/1", update()) == UpdateAnswered(stored=True)


def test_interim_answer_100_is_skipped(rig_for):
    with RawServer(says(b"HTTP/1.1 100 Continue\r\n\r\n", answer(STORED))) as server:
        assert rig_for(server.url).ask("u/1/1", update()) == UpdateAnswered(stored=True)


def test_connection_is_used_again_and_a_closed_one_is_noticed(rig_for):
    close = threading.Event()

    def script(connection, _request, _stopped):
        connection.sendall(answer(NO_JOBS))
        if close.is_set():
            connection.close()

    with RawServer(script) as server:
        rig = rig_for(server.url)
        for number in range(3):
            assert isinstance(rig.ask(f"a{number}", ACQUIRE), NoJob)
        assert server.connections == 1
        close.set()
        rig.ask("a3", ACQUIRE)
        assert isinstance(rig.ask("a4", ACQUIRE), NoJob)
        assert server.connections == 2


def test_cancel_abandons_the_call_and_nothing_is_answered(rig_for):
    scripts = [silence, says(answer(STORED))]
    with RawServer(in_turn(scripts)) as server:
        rig = rig_for(server.url)
        rig.assign("u1/1/1", update(1))
        rig.until(lambda: server.requests)
        rig.assign("u2/1/1", update(2))
        rig.duty.cancel("u1/1/1", now())
        rig.until(lambda: "u2/1/1" in rig.desk.results)
        assert list(rig.desk.results) == ["u2/1/1"]
        assert rig.desk.failures == {}


def test_late_answer_of_an_abandoned_call_changes_nothing(rig_for):
    go = threading.Event()

    def late(connection, _request, _stopped):
        go.wait(10)
        connection.sendall(answer({**STORED, "data": {"StatusCode": 0, "command": "tobekilled"}}))

    scripts = [late, says(answer(STORED))]
    with RawServer(in_turn(scripts)) as server:
        rig = rig_for(server.url)
        rig.assign("u/1/1", update())
        rig.until(lambda: server.requests)
        old = rig.duty._lanes["jobs"].open()._thread
        rig.duty.cancel("u/1/1", now())
        go.set()
        wait_until(lambda: not old.is_alive(), 5, "the abandoned thread ends")
        assert rig.ask("u/2/1", update()) == UpdateAnswered(stored=True)
        assert list(rig.desk.results) == ["u/2/1"]


def test_eight_hanging_calls_restart_the_worker(rig_for):
    with RawServer(silence) as server:
        rig = rig_for(server.url, http_timeout_s=60.0)

        def one(number):
            rig.assign(f"u{number}", update())
            rig.until(lambda: len(server.requests) > number)
            rig.duty.cancel(f"u{number}", now())

        for number in range(7):
            one(number)
        with pytest.raises(CourierStuckError):
            one(7)


def test_duty_leaves_no_descriptor_behind(rig_for):
    with RawServer(says(answer(NO_JOBS))) as server:
        rig_for(server.url).ask("a", ACQUIRE)
        before = open_descriptors()
        rig = rig_for(server.url)
        rig.ask("a", ACQUIRE)
        thread = rig.duty._lanes["jobs"].open()._thread
        rig.stop()
        assert rig.desk.callbacks == {}
        wait_until(lambda: not thread.is_alive(), 5, "the sender thread ends")
        wait_until(lambda: open_descriptors() <= before + 1, 5, "only the server's end is left")


def test_stop_does_not_wait_for_a_call(rig_for):
    with RawServer(silence) as server:
        rig = rig_for(server.url)
        rig.assign("u", update())
        rig.until(lambda: server.requests)
        began = time.monotonic()
        rig.stop()
        assert time.monotonic() - began < 0.5


def test_case_5_no_request_leaves_without_the_token(rig_for, tmp_path):
    environ = {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "atlas:production"}
    with RawServer(says(answer(NO_JOBS))) as server:
        rig = rig_for(server.url, environ)
        code, text, retry = rig.ask("a/1/1", ACQUIRE)
        assert (code, retry) == (1163, True)
        assert server.connections == 0
        (tmp_path / "token").write_text("canary\n")
        assert isinstance(rig.ask("a/2/1", ACQUIRE), NoJob)
        assert b"\r\nAuthorization: Bearer canary\r\n" in server.requests[0]
        assert b"\r\nOrigin: atlas:production\r\n" in server.requests[0]
        assert "canary" not in text


def test_queue_source_that_is_silent_gives_way_to_the_next(rig_for, tmp_path):
    path = tmp_path / "queue.json"
    path.write_text('{"nickname": "SANDBOX"}')
    with RawServer(silence) as server:
        rig = rig_for(server.url, http_timeout_s=0.3)
        task = FetchQueue(queue="SANDBOX", queue_sources=(server.url, str(path)), storage_sources=())
        assert rig.ask("q", task) == QueueFetched(queue_text='{"nickname": "SANDBOX"}', storage_text="{}")


def test_token_is_not_shown_to_queue_sources(rig_for, tmp_path):
    (tmp_path / "token").write_text("canary")
    with RawServer(says(answer({"nickname": "SANDBOX"}))) as server:
        rig = rig_for(server.url, {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "a:b"})
        rig.ask("q", FetchQueue(queue="SANDBOX", queue_sources=(server.url,), storage_sources=()))
        assert b"canary" not in server.requests[0]


class Tls:
    """An authority, a server of it, and certificates for clients."""

    def __init__(self, directory):
        self.directory = directory
        self.ca = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.ca.cert_pem.write_to_path(self.ca_file)

    def server(self, name="127.0.0.1"):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(name).configure_cert(context)
        self.ca.configure_trust(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def client(self, name):
        path = self.directory / f"{name}.pem"
        self.ca.issue_cert(f"{name}.example.org").private_key_and_cert_chain_pem.write_to_path(path)
        return path


@pytest.fixture
def tls(tmp_path):
    return Tls(tmp_path)


def test_case_7_unknown_authority_is_refused(rig_for, tls, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    with RawServer(says(answer(STORED)), tls.server()) as server:
        code, text, retry = rig_for(server.url, ca_path=str(other)).ask("u", update())
        assert (code, retry) == (COMMUNICATION, True)
        assert "CERTIFICATE_VERIFY_FAILED" in text
        assert server.requests == []


def test_h055_wrong_host_name_is_refused(rig_for, tls):
    with RawServer(says(answer(STORED)), tls.server("other.example.org")) as server:
        code, text, _ = rig_for(server.url, ca_path=str(tls.ca_file)).ask("u", update())
        assert code == COMMUNICATION
        assert "127.0.0.1" in text
        assert server.requests == []


def test_proxy_file_is_never_taken_as_authority(rig_for, tls):
    proxy = tls.client("pilot")
    with RawServer(says(answer(STORED)), tls.server()) as server:
        rig = rig_for(server.url, {"X509_USER_PROXY": str(proxy)}, ca_path=str(proxy))
        assert rig.ask("u", update())[0] == COMMUNICATION


def test_authority_that_is_not_there(rig_for, tls):
    with RawServer(says(answer(STORED)), tls.server()) as server:
        code, text, _ = rig_for(server.url, ca_path=str(tls.directory / "none")).ask("u", update())
        assert code == COMMUNICATION
        assert "CA certificate" in text


def test_case_6_changed_proxy_is_shown_to_the_next_request(rig_for, tls):
    first, second = tls.client("first"), tls.client("second")
    proxy = tls.directory / "proxy"
    first.rename(proxy)
    with RawServer(says(answer(STORED)), tls.server()) as server:
        rig = rig_for(server.url, {"X509_USER_PROXY": str(proxy)}, ca_path=str(tls.ca_file))
        assert rig.ask("u1", update()).stored
        assert rig.ask("u2", update()).stored
        assert server.connections == 1
        second.rename(proxy)
        assert rig.ask("u3", update()).stored
        assert server.connections == 2
        assert server.certificates[0] != server.certificates[1]
        assert None not in server.certificates


def test_case_4_no_certificate_is_presented_with_a_token(rig_for, tls):
    (tls.directory / "token").write_text("abc\n")
    environ = {
        "X509_USER_PROXY": str(tls.client("pilot")),
        "PANDA_AUTH_TOKEN": "token",
        "PANDA_AUTH_ORIGIN": "atlas.production",
    }
    with RawServer(says(answer(STORED)), tls.server()) as server:
        assert rig_for(server.url, environ, ca_path=str(tls.ca_file)).ask("u", update()).stored
        assert server.certificates == [None]
        assert b"Authorization: Bearer abc\r\n" in server.requests[0]
