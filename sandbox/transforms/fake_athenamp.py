#!/usr/bin/env python3
"""A payload that is fed with events, and misbehaves as it is told (event-service 13); it needs nothing but pyzmq.

Settings come from the environment (FAKE_MODE) or as options (--fake-mode=...); all other options are ignored:

mode         ok, err:K, fatal:K, die:K, exit:K:CODE, hang:K, noout:K, multi:M, late, noid, garbage, ignoreterm, dup,
             nozmq; K counts ranges of all workers: each K-th (err, noout), from the K-th on (fatal), after K
event_time   seconds for each event (0.05)
out_bytes    size of an output file (1024)
init_time    seconds before the first word (0)
socket       DEALER or REQ
channel_from "command": the environment's channel is not looked at
until        file that must exist before the first word, if given
hold         file that must exist before the payload dies, exits or hangs, if given
marker       file that is made when the payload starts, if given
"""

import hashlib
import json
import os
import re
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import zmq

_CHANNEL = re.compile(r"""(?:EventRangeChannel=|--mtes-channel=)\\?"([^"\\]+)""")
_KEYS = ("eventRangeID", "startEvent", "lastEvent", "LFN", "GUID")
_PATIENCE_MS = 1000
_SETTLE_S = 0.3
_POLL_S = 0.02


def setting(name: str, default: str) -> str:
    """Return a setting from the options or the environment."""
    option = f"--fake-{name.replace('_', '-')}="
    given = [word.removeprefix(option) for word in sys.argv[1:] if word.startswith(option)]
    return given[-1] if given else os.environ.get(f"FAKE_{name.upper()}", default)


def channel() -> str:
    """Return the endpoint, from the environment or from where a command has it (alone, with channel_from=command)."""
    told = _CHANNEL.search(" ".join(sys.argv[1:]))
    given = os.environ.get("PILOT_EVENTRANGECHANNEL", "") if setting("channel_from", "") != "command" else ""
    return given or (told[1] if told else "")


def pause(seconds: float) -> None:
    """Let time go by."""
    threading.Event().wait(seconds)


def wait_for(name: str) -> None:
    """Wait until a file exists; a name that is not given is not waited for."""
    while name and not Path(name).exists():
        pause(_POLL_S)


class Payload:
    """What the workers share."""

    def __init__(self) -> None:
        """Read the settings."""
        self.mode, *numbers = setting("mode", "ok").split(":")
        self.numbers = [int(number) for number in numbers] or [0]
        self.event_s = float(setting("event_time", "0.05"))
        self.out_bytes = int(setting("out_bytes", "1024"))
        self.lock = threading.Lock()
        self.ranges = 0
        self.processed = 0

    def next_number(self) -> int:
        """Count a range, return which it is."""
        with self.lock:
            self.ranges += 1
            return self.ranges

    def every(self, mode: str, number: int) -> bool:
        """Tell whether a mode hits this range."""
        return self.mode == mode and number % self.numbers[0] == 0

    def at(self, mode: str, number: int) -> bool:
        """Tell whether a mode's moment has come."""
        return self.mode == mode and number >= self.numbers[0]


class Worker(threading.Thread):
    """One worker with a socket of its own."""

    def __init__(self, payload: Payload, number: int) -> None:
        """Connect."""
        super().__init__(daemon=True)
        self.payload = payload
        self.directory = Path.cwd() / "athenaMP-workers" / f"worker_{number}"
        self.directory.mkdir(parents=True, exist_ok=True)
        self.asks = setting("socket", "DEALER") == "REQ"
        self.late: list[str] = []
        self.socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.REQ if self.asks else zmq.DEALER)
        if self.asks:
            self.socket.setsockopt(zmq.REQ_RELAXED, 1)
            self.socket.setsockopt(zmq.REQ_CORRELATE, 0)
        self.socket.setsockopt(zmq.IDENTITY, f"worker-{os.getpid()}-{number}".encode())
        self.socket.connect(channel())

    def run(self) -> None:
        """Ask, work, tell, until there is no more."""
        while True:
            self.socket.send_string("Ready for events")
            text = self.hear()
            if text == "No more events":
                break
            for event_range in self.read(text):
                self.work(event_range)
        for line in self.late:
            self.tell(line)
        self.socket.close(5000)

    def hear(self) -> str:
        """Return the next message; ask again while there is none."""
        while not self.socket.poll(_PATIENCE_MS):
            self.socket.send_string("Ready for events")
        return str(self.socket.recv_string())

    def tell(self, line: str | bytes) -> None:
        """Send a line; a REQ socket hears the answer to it."""
        self.socket.send(line if isinstance(line, bytes) else line.encode())
        if self.asks:
            while not self.socket.poll(_PATIENCE_MS):
                self.socket.send(line if isinstance(line, bytes) else line.encode())
            print("answer:", self.socket.recv_string(), flush=True)  # noqa: T201 - the payload's own output

    def read(self, text: str) -> list[dict[str, Any]]:
        """Return the ranges of a message, which must be one."""
        print("got:", text, flush=True)  # noqa: T201
        found: list[dict[str, Any]] = json.loads(text)
        if isinstance(found, list) and len(found) == 1 and all(key in found[0] for key in _KEYS):
            return found
        self.tell(f'ERR_ATHENAMP_PARSE "{text}": Wrong format')
        return []

    def work(self, event_range: dict[str, Any]) -> None:
        """Process one range, in the way that the mode has it."""
        payload, name = self.payload, event_range["eventRangeID"]
        number = payload.next_number()
        self.misbehave(number)
        pause((event_range["lastEvent"] - event_range["startEvent"] + 1) * payload.event_s)
        if payload.every("err", number):
            self.tell(f"ERR_ATHENAMP_PROCESS {name}: Failed to process event range")
        elif payload.at("fatal", number):
            self.tell(f"ERR_TE_FATAL {name}: fake")
        else:
            self.output(event_range, number)
        payload.processed += 1

    def output(self, event_range: dict[str, Any], number: int) -> None:
        """Write the files of a range and tell of them."""
        payload, name = self.payload, event_range["eventRangeID"]
        count = payload.numbers[0] if payload.mode == "multi" else 1
        paths = [self.directory / f"out{part or ''}.{name}" for part in range(count)]
        for path in paths:
            if not payload.every("noout", number):
                block = hashlib.sha256(path.name.encode()).digest()
                path.write_bytes((block * (payload.out_bytes // len(block) + 1))[: payload.out_bytes])
        keyed = name if payload.mode == "noid" else f"ID:{name}"
        line = f"{','.join(map(str, paths))},{keyed},CPU:1,WALL:1"
        if payload.mode == "late":
            self.late.append(line)
            return
        if payload.mode == "garbage":
            self.tell(b"\xff\xfe\x00")
            self.tell("something else altogether, of no use")
            self.tell(f"/nowhere/at/all,ID:1-2-3-4-{number}")
        for _ in range(2 if payload.mode == "dup" else 1):
            self.tell(line)

    def misbehave(self, number: int) -> None:
        """End or hang with a range in hand, after K others."""
        payload = self.payload
        if payload.mode not in ("die", "exit", "hang") or number <= payload.numbers[0]:
            return
        wait_for(setting("hold", ""))
        pause(_SETTLE_S)
        if payload.mode == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if payload.mode == "exit":
            os._exit(payload.numbers[1])  # noqa: TID251 - from a thread, as a crash would be
        threading.Event().wait()


def main() -> int:
    """Run all workers to their end."""
    payload = Payload()
    if payload.mode == "ignoreterm":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if setting("marker", ""):
        Path(setting("marker", "")).touch()
    wait_for(setting("until", ""))
    pause(float(setting("init_time", "0")))
    if payload.mode == "nozmq":
        return 0
    workers = [Worker(payload, number) for number in range(int(os.environ.get("ATHENA_PROC_NUMBER", "1")))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    zmq.Context.instance().term()
    report = {"exitCode": 0, "resource": {"transform": {"processedEvents": payload.processed}}}
    Path("jobReport.json").write_text(json.dumps(report), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
