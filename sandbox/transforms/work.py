#!/usr/bin/env python3
"""A payload that does what its options say: reads inputs, waits, writes outputs, misbehaves, ends."""

import argparse
import os
import select
import signal
import subprocess
import sys
import zlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_POLL_S = 0.02


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", default="", help="files to read, separated by commas")
    parser.add_argument("--outputs", default="", help="NAME:BYTES of files to write, separated by commas")
    parser.add_argument("--sleep", type=float, default=0.0, help="seconds between reading and writing")
    parser.add_argument("--until", help="wait on until this file exists")
    parser.add_argument("--exit-code", type=int, default=0)
    parser.add_argument("--exit-signal", type=int, default=0, help="end through this signal instead")
    parser.add_argument("--ignore-term", action="store_true", help="take no notice of SIGTERM and SIGINT")
    parser.add_argument("--children", type=int, default=0, help="number of children that sleep --child-sleep")
    parser.add_argument("--child-sleep", type=float, default=3600.0)
    parser.add_argument("--detached", action="store_true", help="children in sessions of their own")
    parser.add_argument("--leave-children", action="store_true", help="end without ending the children")
    parser.add_argument("--memory-mib", type=int, default=0, help="memory to fill and keep")
    parser.add_argument("--stdout-lines", type=int, default=0)
    parser.add_argument("--stderr-text", default="")
    parser.add_argument("--marker", help="file which gets a line with the pid at start and at the end")
    return parser.parse_args()


def _mark(path: str | None, word: str) -> None:
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(f"{word} {os.getpid()}\n")


def _read(name: str) -> None:
    checksum, size = zlib.adler32(b""), 0
    with Path(name).open("rb") as file:
        while data := file.read(_CHUNK_BYTES):
            checksum, size = zlib.adler32(data, checksum), size + len(data)
    print(f"read {name}: {size} bytes, adler32 {checksum:08x}", flush=True)  # noqa: T201 - the payload's own output


def _write(name: str, size: int) -> None:
    block = os.urandom(min(size, _CHUNK_BYTES))
    with Path(name).open("wb") as file:
        file.writelines(block[: size - start] for start in range(0, size, _CHUNK_BYTES))


def _start_children(options: argparse.Namespace) -> list[subprocess.Popen[bytes]]:
    command = ["sleep", str(options.child_sleep)]
    return [subprocess.Popen(command, start_new_session=options.detached) for _ in range(options.children)]


def _wait(seconds: float, until: str | None) -> None:
    if seconds > 0:
        select.select([], [], [], seconds)
    while until and not Path(until).exists():
        select.select([], [], [], _POLL_S)


def main() -> int:
    """Do it and return the exit code."""
    options = _options()
    if options.ignore_term:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    _mark(options.marker, "start")
    for name in filter(None, options.inputs.split(",")):
        _read(name)
    children = _start_children(options)
    memory = bytearray(os.urandom(_CHUNK_BYTES)) * options.memory_mib
    for number in range(options.stdout_lines):
        print(f"line {number}")  # noqa: T201 - the payload's own output
    sys.stdout.flush()
    _wait(options.sleep, options.until)
    if options.stderr_text:
        sys.stderr.write(f"{options.stderr_text}\n")
    for item in filter(None, options.outputs.split(",")):
        name, _, size = item.rpartition(":")
        _write(name, int(size))
    del memory
    for child in children if not options.leave_children else ():
        child.kill()  # SIGTERM may be ignored, and a child inherits that
        child.wait()
    _mark(options.marker, "end")
    if options.exit_signal == signal.SIGKILL:
        os.kill(os.getpid(), signal.SIGKILL)
    if options.exit_signal:
        signal.signal(options.exit_signal, signal.SIG_DFL)
        os.kill(os.getpid(), options.exit_signal)
    return int(options.exit_code)


if __name__ == "__main__":
    sys.exit(main())
