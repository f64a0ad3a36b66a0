"""Host names of a pilot's own: it runs in a mount namespace with another /etc/hosts and /etc/resolv.conf.

A name is found in the hosts file or not at all; what follows then is the answer of a name server of the test.
"""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

from sandbox.client import Sandbox

NAME = "panda.bulkhead.test"
_PORT = 53
_RCODES = {"servfail": 2, "nxdomain": 3}
_RESOLVER = "nameserver {address}\noptions timeout:{seconds} attempts:2\n"
_MOUNT = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'


@functools.cache
def how_to_unshare() -> tuple[str, ...]:
    """Return the command that gives a process a mount namespace of its own, () where that is not allowed."""
    if shutil.which("unshare") is None:
        return ()
    for options in (("-m",), ("-U", "-r", "-m")):
        command = ("unshare", *options)
        test = [*command, "sh", "-c", _MOUNT, "/etc/hosts", "/etc/resolv.conf", "true"]
        if subprocess.run(test, capture_output=True, check=False).returncode == 0:
            return command
    return ()


class PrivateNames:
    """The names of one pilot; use it as a context manager.

    Attributes:
        kinds: How a name can fail to resolve here: "refused" (nobody listens at the name server's address), and where
            its port can be had also "nxdomain", "servfail" and "silent".
        asked: How many questions the name server got.
    """

    def __init__(self, folder: Path, sandbox: Sandbox, *, patience_s: int = 1) -> None:
        """Let the name resolve; a silent name server costs twice `patience_s` (the system's default is 5)."""
        self._hosts, self._resolver = folder / "hosts", folder / "resolv.conf"
        self._sandbox = sandbox
        # All of 127/8 is loopback: an address of one's own is nobody else's name server.
        self._address = f"127.53.{os.getpid() % 250 + 1}.{threading.get_native_id() % 250 + 1}"
        self._resolver.write_text(_RESOLVER.format(address=self._address, seconds=patience_s))
        self._socket: socket.socket | None = None
        self._kind = ""
        self.asked = 0
        self._write(resolves=True)
        self.kinds = ("refused", "nxdomain", "silent", "servfail") if self._can_serve() else ("refused",)

    def __enter__(self) -> "PrivateNames":
        return self

    def __exit__(self, *_error: object) -> None:
        self._close()

    def wrap(self, command: list[str]) -> list[str]:
        """Return the command line that runs a program with these names."""
        return [*how_to_unshare(), "sh", "-c", _MOUNT, str(self._hosts), str(self._resolver), *command]

    def begin(self, kind: str) -> None:
        """Let the name fail; open connections are cut, as a kept one needs no name."""
        self._kind = kind
        if kind != "refused":
            self._open()
            threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()
        self._write(resolves=False)
        self._sandbox.down()
        self._sandbox.up()

    def end(self) -> None:
        """Let the name resolve again."""
        self._write(resolves=True)
        self._close()

    def _write(self, *, resolves: bool) -> None:
        line = f"127.0.0.1 {NAME}\n" if resolves else ""
        self._hosts.write_text(f"127.0.0.1 localhost\n{line}")  # the same inode, which is what is mounted

    def _can_serve(self) -> bool:
        try:
            self._open()
        except OSError:
            return False
        self._close()
        return True

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((self._address, _PORT))

    def _close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None

    def _serve(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while question := listener.recvfrom(4096):
                body, sender = question
                if len(body) < 12:
                    return  # the socket was shut down
                self.asked += 1
                if self._kind in _RCODES:
                    flags = (0x8180 | _RCODES[self._kind]).to_bytes(2, "big")
                    # The question comes back without the client's additional records.
                    end = body.index(b"\0", 12) + 5
                    listener.sendto(body[:2] + flags + b"\0\1\0\0\0\0\0\0" + body[12:end], sender)
