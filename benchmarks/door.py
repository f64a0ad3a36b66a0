"""Serves the benchmarks' payload by HTTP, as the script of a user job comes from a cache."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPT = "payload.sh"
_BYTES = (Path(__file__).parent / SCRIPT).read_bytes()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(_BYTES)))
        self.end_headers()
        self.wfile.write(_BYTES)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class Door:
    """The server, in a thread of its own."""

    def __init__(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self.base = f"http://127.0.0.1:{self._server.server_port}/scripts"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
