"""The launcher that holds a payload's exit status: `python -I -S shim.py "<title>"`, the order on stdin (DESIGN 2).

It outlives the runner, the supervisor and, for a grace period, the guardian; so it uses the standard library only and
loads all it needs before it settles down to wait. What it promises, by files in the control directory:

* `claim` (made once, with the shim's identity in it) stands before anything is started: a second shim that finds it
  leaves with CLAIM_TAKEN, so a payload is started at most once, ever;
* `shim.json` and `payload.json` stand before the payload's program runs: whoever wants to end it can find it;
* a file `end` (made by whoever ends the job) keeps the payload from being started from then on; one of several
  processes of a job looks for it in the job's own control directory too;
* `exit.json` is written, whole and synced, when the payload's first process has ended; then what is left of its tree is
  ended (TERM, grace, KILL), and the shim leaves.

All signals that can be are blocked, so that a kill of a whole group or session does not lose the status.
"""
# One file although it is long: started by its path, without a search path, it cannot import a neighbour.
# No pathlib, it costs 5 ms of a start that has 20:
# ruff: noqa: PTH110, PTH118, PTH208

import contextlib
import ctypes
import errno
import os
import select
import signal
import stat
import time

# typing costs 4 ms; type checkers take this for its constant.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CLAIM_TAKEN = 75
DONE = 0

_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_SHELLS = ("/bin/bash", "/bin/sh")
_GUARDIAN_CHECK_S = 1.0
_STRIKE_S = 0.1
_LONG_COMMAND_BYTES = 100_000  # the kernel takes 128 KiB in one argument
_UNKILLABLE_S = 30.0
_ROOM_BYTES = 4096
_COMMAND_FILE = "command.sh"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Order:
    """What is to be run: NUL-separated pairs of key and value on stdin; `env` is repeated (NAME=VALUE)."""

    def __init__(self, raw: bytes) -> None:
        """Take the pairs apart.

        Raises:
            KeyError, ValueError: an order that is not whole.
        """
        parts = raw.split(b"\0")
        self.environment: dict[bytes, bytes] = {}
        fields: dict[bytes, bytes] = {}
        for key, value in zip(parts[0:-1:2], parts[1::2], strict=True):
            if key == b"env":
                name, _, text = value.partition(b"=")
                self.environment[name] = text
            else:
                fields[key] = value
        if fields.get(b"whole") != b"yes":
            raise ValueError("the order is cut short")
        self.job_dir = fields[b"job_dir"]
        self.control_dir = fields[b"control_dir"]
        self.command = fields[b"command"]
        self.stdout = fields[b"stdout"]
        self.stderr = fields[b"stderr"]
        self.append = fields[b"append"] == b"yes"
        self.end_file = fields[b"end_file"]
        self.guardian_pid = int(fields[b"guardian_pid"])
        self.guardian_ticks = int(fields[b"guardian_ticks"])
        self.orphan_grace_s = float(fields[b"orphan_grace_s"])
        self.term_grace_s = float(fields[b"term_grace_s"])

    def shell_arguments(self) -> list[bytes]:
        """Return what the shell is given: the line itself, or the file that holds one too long for an argument."""
        if len(self.command) <= _LONG_COMMAND_BYTES:
            return [b"-c", self.command]
        return [os.path.join(self.control_dir, _COMMAND_FILE.encode())]


# ---------------------------------------------------------------- small readers
def _read(path: str) -> str:
    """Return a small file's text, "" when it cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 65536).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _status(pid: int) -> tuple[str, int, int] | None:
    """Return (state, parent, start ticks) of a process, None when it is gone."""
    text = _read(f"/proc/{pid}/stat")
    if not text:
        return None
    fields = text[text.rfind(")") + 2 :].split()
    # A first thread that ended before the others looks like a zombie, but the process lives.
    state = "S" if fields[0] == "Z" and int(fields[17]) > 1 else fields[0]
    return state, int(fields[1]), int(fields[19])


def _proc_hides() -> bool:
    """Tell whether /proc shows a process only to those who may trace it (hidepid)."""
    for line in _read("/proc/self/mountinfo").splitlines():
        mount, _, source = line.partition(" - ")
        if mount.split()[4] == "/proc" and "hidepid=" in source:
            return "hidepid=0" not in source and "hidepid=off" not in source
    return False


def _oom_kills() -> int:
    """Return how often the kernel killed in this memory cgroup (v2, else v1); -1 where it does not say."""
    places = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        places[controllers] = path
    for controllers, pattern in (
        ("", "/sys/fs/cgroup{}/memory.events"),
        ("memory", "/sys/fs/cgroup/memory{}/memory.oom_control"),
    ):
        for line in _read(pattern.format(places.get(controllers, ""))).splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return -1


# ---------------------------------------------------------------- the process tree below this one
def _tree() -> list[tuple[int, int]]:
    """Return (pid, start ticks) of every living descendant: as a subreaper, none can leave."""
    rows: dict[int, tuple[str, int]] = {}
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        row = _status(int(name)) if name.isdigit() else None
        if row is not None:
            rows[int(name)] = (row[0], row[2])
            children.setdefault(row[1], []).append(int(name))
    stack = list(children.get(os.getpid(), ()))
    found = []
    while stack:
        pid = stack.pop()
        stack += children.get(pid, ())
        if rows[pid][0] not in "ZX":
            found.append((pid, rows[pid][1]))
    return found


def _signal(processes: list[tuple[int, int]], number: int) -> None:
    """Send `number` to each process that is still the one that was seen."""
    for pid, ticks in processes:
        row = _status(pid)
        if row is None or row[2] != ticks:
            continue
        try:
            os.kill(pid, number)
        except OSError:  # gone, or another user's (setuid): nothing that can be done
            continue


def _ask_to_end() -> None:
    """TERM to the whole tree; those that are stopped are continued, or they would not see it."""
    processes = _tree()
    _signal(processes, signal.SIGTERM)
    _signal(processes, signal.SIGCONT)


def _strike() -> None:
    """KILL the whole tree; it is stopped first, so that it cannot fork past the walk."""
    stopped: list[tuple[int, int]] = []
    while True:
        new = [process for process in _tree() if process not in stopped]
        if not new:
            break
        _signal(new, signal.SIGSTOP)
        stopped += new
    _signal(stopped, signal.SIGKILL)


# ---------------------------------------------------------------- the control directory
class Control:
    """The control directory, held open: renaming what lies above it changes nothing."""

    def __init__(self, path: bytes) -> None:
        """Open it.

        Raises:
            OSError: it is not there.
        """
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        row = _status(os.getpid())
        self.boot_id = _read("/proc/sys/kernel/random/boot_id").strip()
        self.identity = self._identity(os.getpid(), row[2] if row is not None else 0)

    def _identity(self, pid: int, ticks: int) -> str:
        return f'"pid": {pid}, "start_ticks": {ticks}, "boot_id": "{self.boot_id}"'

    def take_claim(self) -> bool:
        """Make `claim`, which holds this shim's identity from its first moment on; False when it is taken."""
        temporary = f".claim.{os.getpid()}"
        self._put(temporary, f"{{{self.identity}}}", durable=True)
        try:
            os.link(temporary, "claim", src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except FileExistsError:
            return False
        except OSError:  # a file system without hard links
            try:
                os.close(os.open("claim", _NEW_FILE, 0o600, dir_fd=self.descriptor))
            except FileExistsError:
                return False
        finally:
            os.unlink(temporary, dir_fd=self.descriptor)
        self._sync()
        return True

    def write(self, name: str, text: str) -> None:
        """Replace a file atomically; identities are not synced, since no process outlives the machine."""
        temporary = f".{name}.{os.getpid()}"
        self._put(temporary, text, durable=False)
        os.rename(temporary, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def write_bytes(self, name: str, data: bytes) -> None:
        """Replace a file by data of any length."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self.descriptor)
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=self.descriptor)
        try:
            while data:
                data = data[os.write(descriptor, data) :]
        finally:
            os.close(descriptor)

    def _put(self, name: str, text: str, *, durable: bool) -> None:
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=self.descriptor)
        try:
            os.write(descriptor, text.encode())
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def reserve(self, name: str) -> None:
        """Put room aside for a file that must be written when the disk is full."""
        descriptor = os.open(f".{name}.part", _NEW_FILE, 0o600, dir_fd=self.descriptor)
        try:
            os.posix_fallocate(descriptor, 0, _ROOM_BYTES)
        except OSError as error:  # a file system that cannot; a disk that is full already must be told now
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
        finally:
            os.close(descriptor)

    def write_reserved(self, name: str, text: str) -> None:
        """Write a file, synced and atomically, into the room that was put aside for it."""
        descriptor = os.open(f".{name}.part", os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            os.pwrite(descriptor, text.encode(), 0)
            os.ftruncate(descriptor, len(text.encode()))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(f".{name}.part", name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        self._sync()

    def _sync(self) -> None:
        with contextlib.suppress(OSError):  # some file systems cannot sync a directory
            os.fsync(self.descriptor)

    def write_payload(self, pid: int, started: float) -> None:
        """Write `payload.json`; the payload waits at its gate, so its start ticks can be read for sure."""
        row = _status(pid)
        self.write("payload.json", f'{{{self._identity(pid, row[2] if row else 0)}, "started": {started:.3f}}}')

    def job_is_over(self, end_file: bytes) -> bool:
        """Tell whether whoever ends the job has been here, or in the directory that holds `end_file`."""
        for name, directory in ((b"end", self.descriptor), (end_file, None)):
            try:
                os.stat(name, dir_fd=directory)
            except FileNotFoundError:
                continue
            return True
        return False


# ---------------------------------------------------------------- the payload's first process
def _open_output(name: bytes, job_dir: int, *, append: bool) -> int:
    """Open an output file of the payload: a link or a FIFO that someone put there is removed, not followed.

    It is new, but where a payload that runs once more appends to what it wrote before.
    """
    if append:
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=job_dir)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=job_dir)
    return os.open(name, _NEW_FILE | os.O_APPEND, 0o644, dir_fd=job_dir)


def _become_payload(order: Order, gate: int, report: int, descriptors: tuple[int, int, int, int]) -> "NoReturn":
    """Turn this (forked) process into the payload, once the gate says so; never returns."""
    job_dir, stdin, stdout, stderr = descriptors
    try:
        os.setsid()
        os.fchdir(job_dir)
        os.umask(0o022)
        for number in signal.valid_signals():
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_DFL)
        if os.read(gate, 1) == b"g":
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            os.dup2(stderr, 2)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            for shell in _SHELLS:
                if os.path.exists(shell):
                    os.execve(shell, [os.fsencode(shell), *order.shell_arguments()], order.environment)  # noqa: S606
            raise FileNotFoundError(f"none of {' '.join(_SHELLS)}")  # noqa: TRY301
    except BaseException as error:  # noqa: BLE001  (this process must not run the shim's code a second time)
        os.write(report, f"{type(error).__name__}: {error}".encode()[:1000])
    os._exit(127)  # noqa: TID251  (the forked half of the shim)


class Payload:
    """The payload's first process and what the shim knows about its end."""

    def __init__(self) -> None:
        """Nothing is started yet."""
        self.pid = 0
        self.status: int | None = None
        self.started = time.time()
        self.error = ""
        self.orphaned = False
        self.user_s = 0.0
        self.system_s = 0.0
        self.max_rss_kb = 0
        self._began = time.monotonic()
        self._oom_kills = _oom_kills()

    def start(self, order: Order, control: Control) -> None:
        """Start it, unless the job is over; `error` tells why it did not start."""
        try:
            job_dir = os.open(order.job_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stdin = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
            stdout = _open_output(order.stdout, job_dir, append=order.append)
            stderr = _open_output(order.stderr, job_dir, append=order.append)
            if len(order.command) > _LONG_COMMAND_BYTES:
                control.write_bytes(_COMMAND_FILE, order.command)
        except OSError as error:
            self.error = f"{type(error).__name__}: {error}"
            return
        gate, opener = os.pipe()
        report, reporter = os.pipe()
        self.pid = os.fork()  # noqa: TID251  (a program with one thread; its child waits at the gate)
        if self.pid == 0:
            os.close(opener)
            _become_payload(order, gate, reporter, (job_dir, stdin, stdout, stderr))
        for descriptor in (gate, reporter, job_dir, stdin, stdout, stderr):
            os.close(descriptor)
        # Whoever ends the job makes `end` first and reads `payload.json` then; here it is the other way round.
        # So one of the two sees the other, and nothing runs on unseen.
        control.write_payload(self.pid, self.started)
        if control.job_is_over(order.end_file):
            self.error = "the job was ended before its payload started"
        else:
            os.write(opener, b"g")
        os.close(opener)
        self.error = self.error or os.read(report, 4096).decode("utf-8", "replace")
        os.close(report)

    def reap(self) -> bool:
        """Take the status of every child that has ended (the only place that does); False when none is left."""
        while True:
            try:
                pid, status, used = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.user_s += used.ru_utime
            self.system_s += used.ru_stime
            self.max_rss_kb = max(self.max_rss_kb, used.ru_maxrss)
            if pid == self.pid:
                self.status = status

    def record(self) -> dict[str, object]:
        """Return what `exit.json` says: times in seconds, `started` and `ended` since the epoch; -1 for unknown."""
        status = self.status
        known = status is not None and not self.error
        after = _oom_kills()
        return {
            "exit_code": os.WEXITSTATUS(status) if known and status is not None and os.WIFEXITED(status) else None,
            "signal": os.WTERMSIG(status) if known and status is not None and os.WIFSIGNALED(status) else 0,
            "core_dumped": known and status is not None and os.WIFSIGNALED(status) and os.WCOREDUMP(status),
            "started": self.started,
            "ended": time.time(),
            "duration_s": time.monotonic() - self._began,
            "user_s": self.user_s,
            "system_s": self.system_s,
            "max_rss_kb": self.max_rss_kb,
            "oom_kills": after - self._oom_kills if min(after, self._oom_kills) >= 0 else -1,
            "orphaned": self.orphaned,
            "error": self.error,
        }


# ---------------------------------------------------------------- the wait
class Wait:
    """One poll for: a child has ended, the guardian has ended, a deadline."""

    def __init__(self, order: Order, wake: int) -> None:
        """Watch the descriptor `wake`, which becomes readable on SIGCHLD, and the guardian."""
        self._wake = wake
        self._guardian = (order.guardian_pid, order.guardian_ticks)
        self._poller = select.poll()
        self._poller.register(wake, select.POLLIN)
        self._pidfd = -1
        if order.guardian_pid and hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(order.guardian_pid)
                self._poller.register(self._pidfd, select.POLLIN)
            except OSError:  # gone, or an old kernel: guardian_is_gone looks for itself
                self._pidfd = -1

    def guardian_is_gone(self) -> bool:
        """Tell whether the guardian has ended; a shim without one never sees that."""
        pid, ticks = self._guardian
        if pid == 0:
            return False
        row = _status(pid)
        if row is not None:
            return row[2] != ticks or row[0] in "ZX"
        # Gone, or hidden from us since it closed its memory.
        try:
            os.kill(pid, 0)
        except OSError:
            return True
        return self._pidfd >= 0 and any(descriptor == self._pidfd for descriptor, _ in self._poller.poll(0))

    def forget_guardian(self) -> None:
        """Stop looking for it: its descriptor stays readable for ever."""
        self._guardian = (0, 0)
        if self._pidfd >= 0:
            self._poller.unregister(self._pidfd)
            self._pidfd = -1

    def until(self, deadline: float | None) -> None:
        """Return when something has happened, at `deadline` (monotonic) at the latest."""
        now = time.monotonic()
        if self._guardian[0] and self._pidfd < 0:
            deadline = min(deadline or now + _GUARDIAN_CHECK_S, now + _GUARDIAN_CHECK_S)
        self._poller.poll(None if deadline is None else max(0, int((deadline - now) * 1000) + 1))
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return


def _hold(order: Order, payload: Payload, wait: Wait) -> None:
    """Wait for the payload's end; when the guardian goes first, end the payload after the grace period."""
    end_at: float | None = None
    payload.reap()
    while payload.status is None:
        if end_at is None and wait.guardian_is_gone():
            wait.forget_guardian()
            end_at = time.monotonic() + order.orphan_grace_s
        if end_at is not None and time.monotonic() >= end_at:
            payload.orphaned = True
            _end_tree(payload, wait, order.term_grace_s, first_only=True)
            if payload.status is None:
                payload.error = "the payload outlived SIGKILL"
            return
        wait.until(end_at)
        payload.reap()


def _end_tree(payload: Payload, wait: Wait, grace_s: float, *, first_only: bool) -> None:
    """End all descendants (TERM, `grace_s`, KILL); return when the first process or, else, all of them are gone.

    Those that outlive SIGKILL (D state) are given up after 30 s.
    """
    _ask_to_end()
    strike_at = time.monotonic() + grace_s
    give_up_at = strike_at + _UNKILLABLE_S
    while payload.reap() and not (first_only and payload.status is not None):
        now = time.monotonic()
        if now >= give_up_at:
            return
        if now >= strike_at:
            _strike()
            strike_at = now + _STRIKE_S
        wait.until(strike_at)


# ---------------------------------------------------------------- the program
def _settle_down() -> int:
    """Block the signals, set what the kernel must know; return a descriptor that is readable after a SIGCHLD."""
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals() - {signal.SIGCHLD})
    wake, waker = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    if not _proc_hides():  # else nobody could see that this shim lives, and would take its payload for lost
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.prctl(_PR_SET_NAME, b"bulkhead: shim", 0, 0, 0)
    return wake


def _read_order() -> Order:
    parts = []
    while part := os.read(0, 1 << 20):
        parts.append(part)
    null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    return Order(b"".join(parts))


def _say(word: str) -> None:
    """Tell the runner that there is something to look at; one that is gone is no reason to fail."""
    try:
        os.write(1, f"{word}\n".encode())
    except OSError:
        return


def _write_exit(control: Control, payload: Payload, wait: Wait) -> None:
    """Write `exit.json`; a full disk may become free again, so it is tried for a minute; nothing else gets better.

    Raises:
        OSError: it could not be written.
    """
    import json  # noqa: PLC0415  (loaded by main already, after the payload's start)

    text = json.dumps(payload.record())
    give_up_at = time.monotonic() + 60.0
    while True:
        try:
            control.write_reserved("exit.json", text)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT) or time.monotonic() >= give_up_at:
                raise
            wait.until(time.monotonic() + 1.0)
        else:
            return


def main() -> int:
    """Run one payload as the order says; return DONE, or CLAIM_TAKEN when another shim was first."""
    wake = _settle_down()
    order = _read_order()
    control = Control(order.control_dir)
    if not control.take_claim():
        return CLAIM_TAKEN
    control.write("shim.json", f"{{{control.identity}}}")
    control.reserve("exit.json")
    payload = Payload()
    payload.start(order, control)
    _say("started")
    # From here on nothing is loaded any more: the pilot's installation may go away before the payload does.
    import json  # noqa: F401, PLC0415  (7 ms that the payload need not wait for)

    wait = Wait(order, wake)
    if payload.pid:
        _hold(order, payload, wait)
    try:
        _write_exit(control, payload, wait)
        _say("ended")
    finally:
        if payload.pid:
            _end_tree(payload, wait, order.term_grace_s, first_only=False)
    return DONE


if __name__ == "__main__":
    # Nothing is left to clean up, and the runner waits: the interpreter's own end costs 3 ms.
    os._exit(main())  # noqa: TID251
