"""Starts a pilot with an audit hook that writes when things begin: usage: traced_pilot.py TRACE SUPERVISOR OPTIONS...

The hook lives on through forks, so one file tells of the guardian, the supervisor and the workers, without a line of
the pilot changed. Each line: wall time, pid, event, detail.
"""

import os
import runpy
import sys
import time
from pathlib import Path

_SEEN = frozenset({"os.fork", "sqlite3.connect", "socket.connect"})
_IMPORTS = ("supervision.", "workers.", "requests", "zmq", "psutil", "multiprocess", "sqlite3")


def main() -> None:
    """Set the hook and become the pilot."""
    path = sys.argv[1]

    def write(event: str, detail: str) -> None:
        # Opened each time: workers close what they inherit, and the number would be another file's then.
        trace = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(trace, f"{time.time():.6f} {os.getpid()} {event} {detail}\n".encode())
        os.close(trace)

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "import" and str(arguments[0]).startswith(_IMPORTS):
            write("import", str(arguments[0]))
        elif event in _SEEN:
            write(event, "")

    write("begin", "interpreter")
    sys.addaudithook(hook)
    sys.argv = sys.argv[2:]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")


main()
