"""http against a real server on loopback."""

import gzip
import http.server
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
import trustme

from errors.codes import ErrorCode
from movers import http as http_mover
from movers.base import MoverError, partial_name
from tests.movers.orders import adler32, ignore, left_over, order_of

DATA = b"#!/bin/sh\necho a transform\n" * 10_000


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        name = self.path.partition("?")[0].strip("/")
        getattr(self, f"answer_{name}", self.answer_status)()

    def whole(self, announced: int | None = None) -> None:
        self.send_response(200)
        if announced is not None:
            self.send_header("Content-Length", str(announced))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(DATA)
        self.close_connection = True

    def answer_file(self) -> None:
        self.whole(len(DATA))

    def answer_unsized(self) -> None:
        self.whole()

    def answer_short(self) -> None:
        self.whole(len(DATA) + 10)

    def answer_silent(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x" * 10)
        self.wfile.flush()
        self.server.over.wait(20)

    def answer_bomb(self) -> None:
        body = gzip.compress(bytes(1 << 24))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        self.wfile.write(body)

    def answer_here(self) -> None:
        self.redirect("/file")

    def answer_loop(self) -> None:
        self.redirect("/loop")

    def answer_elsewhere(self) -> None:
        self.redirect(f"http://localhost:{self.server.server_port}/file")

    def answer_toafile(self) -> None:
        self.redirect("file:///etc/passwd")

    def redirect(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def answer_status(self) -> None:
        self.send_error(int(self.path.partition("?")[0].strip("/")))

    def log_message(self, *_args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.over = threading.Event()
        self.asked: list[dict[str, str]] = []

    def handle_error(self, *_args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server():
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


def url(server: Server, name: str) -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


def refused(order) -> MoverError:
    with pytest.raises(MoverError) as caught:
        http_mover.move(order, ignore)
    return caught.value


@pytest.mark.parametrize("name", ["file", "unsized", "here"])
def test_gets_a_file(server: Server, tmp_path: Path, name: str) -> None:
    moved = http_mover.move(order_of(url(server, name), tmp_path / "b", mode=0o755), ignore)
    assert (tmp_path / "b").read_bytes() == DATA
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755
    assert moved.checksum == adler32(DATA)
    assert left_over(tmp_path) == []


def test_webdav_is_read_by_plain_http(server: Server, tmp_path: Path) -> None:
    http_mover.move(order_of(url(server, "file").replace("http:", "dav:"), tmp_path / "b"), ignore)
    assert (tmp_path / "b").read_bytes() == DATA


def test_h104_a_good_destination_is_left_alone(server: Server, tmp_path: Path) -> None:
    (tmp_path / "b").write_bytes(DATA)
    order = order_of(url(server, "500"), tmp_path / "b", size_bytes=len(DATA), checksum=adler32(DATA))
    assert http_mover.move(order, ignore).size_bytes == len(DATA)


@pytest.mark.parametrize(
    ("name", "code", "retry"),
    [
        ("404", ErrorCode.MISSINGINPUTFILE, False),
        ("403", ErrorCode.STAGEINAUTHENTICATIONFAILURE, False),
        ("503", ErrorCode.STAGEINFAILED, True),
        ("400", ErrorCode.STAGEINFAILED, False),
        ("short", ErrorCode.GETWRONGSIZE, True),
        ("elsewhere", ErrorCode.STAGEINFAILED, False),
        ("toafile", ErrorCode.STAGEINFAILED, False),
        ("loop", ErrorCode.STAGEINFAILED, False),
    ],
)
def test_what_is_refused(server: Server, tmp_path: Path, name: str, code: int, retry: bool) -> None:
    error = refused(order_of(url(server, f"{name}?X-Amz-Signature=canary"), tmp_path / "b"))
    assert (error.code, error.retry) == (code, retry), error.text
    assert error.missing == (name == "404")
    assert "canary" not in error.text
    assert list(tmp_path.iterdir()) == []


def test_sizes_and_checksums_are_compared(server: Server, tmp_path: Path) -> None:
    wrong = order_of(url(server, "file"), tmp_path / "b", checksum="adler32:00000001")
    assert refused(wrong).code == ErrorCode.GETADMISMATCH
    assert refused(wrong._replace(checksum="", size_bytes=7)).code == ErrorCode.GETWRONGSIZE
    unsized = order_of(url(server, "unsized"), tmp_path / "b", size_bytes=7)
    assert refused(unsized).code == ErrorCode.SIZETOOLARGE
    assert list(tmp_path.iterdir()) == []


def test_h106_nothing_is_unpacked(server: Server, tmp_path: Path) -> None:
    moved = http_mover.move(order_of(url(server, "bomb"), tmp_path / "b"), ignore)
    assert moved.size_bytes == (tmp_path / "b").stat().st_size < 1 << 16


def test_h108_no_part_of_a_file_is_asked_for(server: Server, tmp_path: Path) -> None:
    """What a dead attempt left is thrown away, so a server that ignores ranges can do no harm."""
    order = order_of(url(server, "short"), tmp_path / "b")
    refused(order)
    (tmp_path / partial_name("b", order.token)).write_bytes(b"old" * 10)
    moved = http_mover.move(order._replace(source=url(server, "file")), ignore)
    assert (tmp_path / "b").read_bytes() == DATA
    assert moved.checksum == adler32(DATA)
    assert not any("Range" in headers for headers in server.asked)
    assert left_over(tmp_path) == []


def test_the_size_is_bounded(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_mover, "MAX_BYTES", 1000)
    for name in ("file", "unsized"):
        assert refused(order_of(url(server, name), tmp_path / "b")).code == ErrorCode.SIZETOOLARGE


def test_a_silent_server_costs_no_more_than_the_time_limit(server: Server, tmp_path: Path) -> None:
    started = time.monotonic()
    error = refused(order_of(url(server, "silent"), tmp_path / "b", time_limit_s=0.3))
    assert (error.code, error.retry) == (ErrorCode.STAGEINTIMEOUT, True)
    assert time.monotonic() - started < 2
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_even_answer(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"http://127.0.0.1:{listener.getsockname()[1]}/x"
        assert refused(order_of(place, tmp_path / "b", time_limit_s=0.2)).code == ErrorCode.STAGEINTIMEOUT
    error = refused(order_of(place, tmp_path / "b"))
    assert (error.code, error.retry) == (ErrorCode.UNREACHABLENETWORK, True)


def test_uploads_and_other_schemes_are_refused(tmp_path: Path) -> None:
    assert refused(order_of(tmp_path / "a", "http://127.0.0.1/x", "out")).code == ErrorCode.STAGEOUTFAILED
    for source in ("ftp://127.0.0.1/x", "file:///etc/passwd", "http:///x"):
        assert refused(order_of(source, tmp_path / "b")).code == ErrorCode.STAGEINFAILED


def test_certificates_and_host_names_are_verified(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    good = f"https://localhost:{server.server_port}/file"
    error = refused(order_of(good, tmp_path / "b"))
    assert (error.code, error.retry) == (ErrorCode.STAGEINFAILED, False)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    http_mover.move(order_of(good, tmp_path / "b"), ignore)
    assert (tmp_path / "b").read_bytes() == DATA
    wrong_name = f"https://127.0.0.1:{server.server_port}/file"
    assert refused(order_of(wrong_name, tmp_path / "c")).code == ErrorCode.STAGEINFAILED
