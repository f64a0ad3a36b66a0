"""The few system calls that Python does not wrap: signalfd, prctl (through the C library)."""

import ctypes
import errno
import os
import signal
import struct
from typing import NamedTuple

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_CHILD_SUBREAPER = 36
_SFD_FLAGS = os.O_CLOEXEC | os.O_NONBLOCK
_RECORD = struct.Struct("=IiiII108x")  # struct signalfd_siginfo: signo, errno, code, pid, uid; 128 bytes in all

#: The signals that the supervisor and the guardian read (DESIGN 5); KILL and STOP cannot be.
TRAPPED = tuple(
    number
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGSEGV,
        signal.SIGBUS,
        signal.SIGXCPU,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
        signal.SIGABRT,
        signal.SIGFPE,
        signal.SIGILL,
        signal.SIGTRAP,
        signal.SIGSYS,
        signal.SIGXFSZ,
        signal.SIGVTALRM,
        signal.SIGPROF,
        signal.SIGPWR,
        signal.SIGIO,
        signal.SIGSTKFLT,
    )
)


class SignalRecord(NamedTuple):
    """One signal read: its number, the sender's pid (0 for the kernel) and uid."""

    number: int
    sender_pid: int
    sender_uid: int


def open_standard_descriptors() -> None:
    """Put /dev/null where one of the descriptors 0 to 2 is closed, so that no file or socket can get its number."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)


def _check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def default_dispositions() -> None:
    """Give every signal its default disposition: one inherited as ignored would never reach a signalfd."""
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP) or signal.getsignal(number) is None:
            continue
        try:
            signal.signal(number, signal.SIG_DFL)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)


def block(numbers: tuple[int, ...]) -> None:
    """Block `numbers` in this thread (and in every child forked from it until it clears its mask)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)


def clear_mask() -> None:
    """Unblock every signal: what a child does first (pitfall P06)."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def open_signalfd(numbers: tuple[int, ...]) -> int:
    """Return a non-blocking, close-on-exec descriptor that delivers the (blocked) signals `numbers`."""
    # glibc's sigset_t: 1024 bits, signal n is bit n-1.
    bits = 0
    for number in numbers:
        bits |= 1 << (number - 1)
    mask = ctypes.create_string_buffer(bits.to_bytes(128, "little"), 128)
    return _check(_LIBC.signalfd(-1, mask, _SFD_FLAGS), "signalfd")


def read_signals(descriptor: int) -> list[SignalRecord]:
    """Return all records waiting on a signalfd, possibly none."""
    records: list[SignalRecord] = []
    while True:
        try:
            data = os.read(descriptor, 128 * 16)
        except BlockingIOError:
            return records
        for start in range(0, len(data), 128):
            number, _errno, _code, pid, uid = _RECORD.unpack(data[start : start + 128])
            records.append(SignalRecord(number, pid, uid))


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send `number` to this process when the thread that created it ends (P18: re-check the parent)."""
    _check(_LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def become_subreaper() -> None:
    """Make orphans among this process's descendants its children (P16)."""
    _check(_LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def proc_hides() -> bool:
    """Tell whether /proc shows a process only to those who may trace it (hidepid)."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - for the guardian
            lines = file.read().splitlines()
    except OSError:
        return False
    for line in lines:
        mount, _, source = line.partition(" - ")
        if mount.split()[4] == "/proc" and "hidepid=" in source:
            return "hidepid=0" not in source and "hidepid=off" not in source
    return False


def hide_memory() -> None:
    """Close this process's memory and environment to other processes of the same user (P109)."""
    _check(_LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl(PR_SET_DUMPABLE)")
