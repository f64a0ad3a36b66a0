"""A log server that keeps what it is sent, or refuses it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LogServer:
    """Listens on loopback while it is a context.

    Attributes:
        pushes: (path, headers, decoded body) of each request that was taken.
        status: what is answered.
    """

    def __init__(self):
        self.pushes = []
        self.refused = 0
        self.status = 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.status < 300:
                    outer.pushes.append((self.path, dict(self.headers), body))
                else:
                    outer.refused += 1
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def lines(self):
        """Return all lines that were taken, in order."""
        found = []
        for _, _, body in self.pushes:
            if isinstance(body, list):
                found += [record["message"] for record in body]
            else:
                found += [value for stream in body["streams"] for _, value in stream["values"]]
        return found
