"""The meter counts all bytes of both directions and changes none."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.request import urlopen

from benchmarks.meter import Meter
from tests.waiting import wait_until

BODY = b"x" * 300_000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + BODY)

    def log_message(self, *_arguments):
        pass


def test_bytes_are_counted_and_passed_on():
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        with Meter(f"http://127.0.0.1:{server.server_port}") as meter:
            for number in (1, 2):
                with urlopen(f"{meter.url}/a") as answer:
                    assert answer.read() == BODY
                wait_until(lambda n=number: meter.received_bytes >= n * len(BODY), 5, "counted")
                assert meter.connections == number
            assert meter.received_bytes == 2 * (len(BODY) + len(b"HTTP/1.0 200 OK\r\n\r\n"))
            assert 0 < meter.sent_bytes < 2000
            meter.reset()
            assert (meter.connections, meter.sent_bytes, meter.received_bytes) == (0, 0, 0)
        server.shutdown()
