"""A payload that does what no payload should: `hostile_payload.py MISDEED [ARGUMENT ...]`, run in its job directory.

What it starts ends by itself after a minute, whatever the pilot does.
"""

import contextlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

_LIFE_S = 60
_GIB = 1 << 30


def _parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def _launcher() -> int:
    """Return the process that holds this payload: the parent of the leader of its session."""
    return _parent_of(os.getsid(0))


def _sleep() -> None:
    signal.alarm(_LIFE_S)
    while True:
        signal.pause()


def _daemon(mark: str, *, hidden: bool, deaf: bool = True) -> None:
    """Leave a daemon behind: a session of its own, no parent; `hidden`: no output and no directory of the job."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        os.read(reader, 1)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    signal.alarm(_LIFE_S)
    if deaf:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
    Path(mark).write_text(f"{os.getpid()}")
    if hidden:
        os.chdir("/")
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
    os.write(writer, b"x")
    _sleep()


def kill_group() -> None:
    os.kill(0, signal.SIGKILL)


def kill_parent() -> None:
    os.kill(_launcher(), signal.SIGKILL)
    _sleep()


def kill_parent_and_hide(mark: str) -> None:
    _daemon(mark, hidden=True)
    os.kill(_launcher(), signal.SIGKILL)
    _sleep()


def kill_everybody(mark: str) -> None:
    Path(mark).touch()
    os.kill(-1, signal.SIGKILL)
    _sleep()


def stay(mark: str) -> None:
    _daemon(mark, hidden=True)


def hold_pipes(mark: str) -> None:
    """Leave a child with all descriptors of this process, pipes among them."""
    os.pipe()
    _daemon(mark, hidden=False, deaf=False)


def fork_without_end(mark: str) -> None:
    """Processes that are always ending and starting others; never more than 2 ** 7 at a time, none after a minute."""
    Path(mark).write_text(f"{os.getpid()}")
    give_up = time.monotonic() + _LIFE_S
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(7):
        os.fork()
    if os.getpid() == os.getsid(0) or _parent_of(os.getpid()) == os.getsid(0):
        os._exit(0)
    while time.monotonic() < give_up:
        with contextlib.suppress(OSError):
            if os.fork():
                os._exit(0)
        time.sleep(0.01)


def take_all_processes(full: str, end: str) -> None:
    """Take all the processes that there are, each time that one more can be had; give them back when `end` exists."""
    children = []
    while not Path(end).exists():
        try:
            child = os.fork()
        except OSError:
            Path(full).touch()
            time.sleep(0.01)
            continue
        if child == 0:
            _sleep()
        children.append(child)
    for child in children:
        os.kill(child, signal.SIGKILL)


def print_a_long_line() -> None:
    """One line that has no end, but the test's disk has: 64 MiB of it."""
    for _ in range(64):
        os.write(1, b"x" * (1 << 20))
    _sleep()


def allocate() -> None:
    """Memory without end; 400 MiB are enough for a test."""
    resource.setrlimit(resource.RLIMIT_AS, (_GIB, _GIB))
    kept = []
    for _ in range(40):
        kept.append(b"x" * (10 << 20))
        time.sleep(0.01)
    _sleep()


def print_strange_things() -> None:
    fake = "2026-01-01 00:00:00 | CRITICAL | supervisor | a line that the pilot never wrote"
    text = f"\0\0\x1b[2J\x1b]0;owned\a\x1b[31mred\x1b[0m\r{fake}\n{fake}\n\x9b2J\u202e\n".encode() + b"\xff\xfe\0\n"
    os.write(1, text)
    os.write(2, text)
    sys.exit(1)


def stop_and_ask_for_the_end(kill_file: str) -> None:
    """Ignore all that can be ignored, ask for the end by the pilot's own control file, and stop."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, 32, 33}:
        signal.signal(number, signal.SIG_IGN)
    Path(kill_file).touch()
    while True:
        os.kill(os.getpid(), signal.SIGSTOP)


def break_control_files(main: str) -> None:
    """Write nonsense over every small file that the pilot keeps about this job, and its other control files."""
    room = Path(main) / ".bulkhead"
    for path in [*room.glob("control/*/*"), *room.glob("acquired*"), Path(main) / "pilot_heartbeat.json"]:
        # Those of the job before are being removed meanwhile.
        with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError):
            path.unlink()
            path.write_text('{"pid": 1, "start_ticks": "x", "exit_code": [], "boot_id": null')
    (Path(main) / "pilot_drain.x").touch()
    (Path(main) / "pilot_drain.x").unlink()


def spoil_journal(main: str, how: str) -> None:
    """Do to the pilot's memory what a broken disk does."""
    room = Path(main) / ".bulkhead"
    journals = sorted(room.glob("journal.sqlite*"))
    for path in journals:
        size = path.stat().st_size
        if how == "removed":
            path.unlink()
        else:
            with path.open("r+b") as file:
                file.truncate(0 if how == "empty" else size)
                file.write(b"\0" * size if how == "zeros" else b"")
    if how == "removed":
        shutil.rmtree(room / "control")


def report(kind: str, secret: str) -> None:
    """Write a job report of a kind that nobody should believe."""
    path = Path("jobReport.json")
    if kind == "huge":
        with path.open("wb") as file:
            file.truncate(1 << 26)
    elif kind == "link":
        path.symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "deep":
        path.write_text("[" * 200_000)
    elif kind == "types":
        wrong = {
            "exitCode": ["7"],
            "exitMsg": {"a": 1},
            "files": 3,
            "resource": [None],
            "executor": "x",
            "\0": "\ud800",
        }
        path.write_text(json.dumps({**wrong, "exeErrorCode": 1e400, "exeErrorDiag": True}))
    else:
        path.write_text('{"exitCode": NaN, "exeErrorCode": -Infinity, "resource": {"transform": {"cpuTime": NaN}}}')


def output(kind: str, name: str, secret: str = "") -> None:
    """Leave something that is no output under an output's name."""
    path = Path(name)
    if kind == "link":
        path.symlink_to(secret)
    elif kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(name)
    elif kind == "sparse":
        with path.open("wb") as file:
            file.truncate(1024 * _GIB)
        _sleep()
    elif kind == "closed":
        path.write_text("content")
        path.chmod(0)


def write_on(name: str) -> None:
    """Exit, and let a child that nobody sees go on writing the output."""
    _daemon("writer", hidden=False)
    Path(name).write_text("as it should be")


def spoil_inputs(name: str, victim: str) -> None:
    """Put links in the place of an input, and of the partial names that a transfer might use."""
    Path(name).unlink(missing_ok=True)
    Path(name).symlink_to(victim)
    for other in (f".{name}.part", f"{name}.part", f".{name}.0.part"):
        Path(other).symlink_to(victim)


def work_dir(what: str, elsewhere: str) -> None:
    """Take the work directory away, or put something else in its place."""
    here = Path.cwd()
    if what == "removed":
        shutil.rmtree(here)
    elif what == "renamed":
        here.rename(f"{here}.moved")
    elif what == "a file":
        shutil.rmtree(here)
        here.write_text("")
    elif what == "a link":
        here.rename(Path(elsewhere) / here.name)
        here.symlink_to(elsewhere)
    else:
        here.chmod(0)


def many_files() -> None:
    """Leave names that no tool likes, and more files than anybody wants to see."""
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b"$(id)", b"\x1b[2J", b"a" * 255, b" ", b"*", "\u202e".encode()):
        Path(os.fsdecode(name)).write_text("x")
    Path("many").mkdir()
    for number in range(5000):
        os.close(os.open(f"many/{number}", os.O_CREAT | os.O_WRONLY))


def peep(found: str) -> None:
    """Look into every process of the pilot: environment, memory, descriptors."""
    seen = []
    pid = os.getpid()
    while (pid := _parent_of(pid)) > 1:
        seen += [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    texts = []
    for name in sorted(set(seen)):
        for inner in ("environ", "maps"):
            with contextlib.suppress(OSError):
                texts.append(f"{name} {inner} {Path(f'/proc/{name}/{inner}').read_bytes()!r}")
        with contextlib.suppress(OSError):
            os.close(os.open(f"/proc/{name}/mem", os.O_RDONLY))
            texts.append(f"memory of {Path(f'/proc/{name}/cmdline').read_bytes()!r}")
        with contextlib.suppress(OSError):
            texts += [f"{name} fd {path.readlink()}" for path in Path(f"/proc/{name}/fd").iterdir()]
    Path(found).write_text("\n".join(texts))


MISDEEDS: dict[str, Callable[..., None]] = {
    function.__name__: function
    for function in (
        kill_group, kill_parent, kill_parent_and_hide, kill_everybody, stay, hold_pipes, fork_without_end,
        take_all_processes, print_a_long_line, allocate, print_strange_things, stop_and_ask_for_the_end,
        break_control_files, spoil_journal, report, output, write_on, spoil_inputs, work_dir, many_files, peep,
    )
}  # fmt: skip


if __name__ == "__main__":
    MISDEEDS[sys.argv[1]](*sys.argv[2:])
