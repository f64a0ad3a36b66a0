"""Log servers that keep what they are sent, or refuse it, or are slow: HTTP(S), and fluentd's forward protocol."""

import json
import socketserver
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class LogServer:
    """Listens on loopback while it is a context; with a TLS context (`tls`) it speaks HTTPS.

    Attributes:
        pushes: (path, headers, decoded body) of each request that was taken.
        status: what is answered.
        drip: answer byte by byte, for ever, until it is set.
    """

    def __init__(self, tls=None):
        self.pushes = []
        self.refused = 0
        self.status = 204
        self.drip = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if outer.drip is not None:
                    outer.refused += 1
                    outer._dribble(self.wfile)
                    return
                if outer.status < 300:
                    outer.pushes.append((self.path, dict(self.headers), body))
                else:
                    outer.refused += 1
                self.send_response(outer.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_arguments):
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_arguments):
                """A client that does not believe the certificate leaves in the middle of the handshake."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        if self.drip is not None:
            self.drip.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def _dribble(self, stream):
        try:
            stream.write(b"HTTP/1.1 ")
            while not self.drip.wait(0.02):
                stream.write(b"x")
        except OSError:
            pass

    def lines(self):
        """Return all lines that were taken, in order."""
        found = []
        for _, _, body in self.pushes:
            if isinstance(body, list):
                found += [record["message"] for record in body]
            else:
                found += [value for stream in body["streams"] for _, value in stream["values"]]
        return found


class ForwardServer:
    """A server of fluentd's forward protocol; `messages` are (tag, entries, option) as they came."""

    def __init__(self, tls=None):
        self.messages = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                data = self.rfile.read()
                while data:
                    message, data = unpack(data)
                    outer.messages.append(message)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

            def handle_error(self, *_arguments):
                """A client that breaks off is no concern of the others."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def lines(self):
        """Return all lines that came, in order."""
        return [record["message"] for _, entries, _ in self.messages for _, record in entries]


def unpack(data):
    """Return the first MessagePack value of some bytes, and the rest."""
    kind, rest = data[0], data[1:]
    if kind == 0xCF:
        return struct.unpack(">Q", rest[:8])[0], rest[8:]
    size, rest = struct.unpack(">I", rest[:4])[0], rest[4:]
    if kind == 0xDB:
        return rest[:size].decode(), rest[size:]
    values = []
    for _ in range(size * (2 if kind == 0xDF else 1)):
        value, rest = unpack(rest)
        values.append(value)
    assert kind in (0xDD, 0xDF), f"{kind:x}"
    return (dict(zip(values[::2], values[1::2], strict=True)) if kind == 0xDF else values), rest
