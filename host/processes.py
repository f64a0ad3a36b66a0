"""Who a process is, and how a whole tree of them is ended.

A pid alone is no identity: (pid, start time, boot) is (pitfall P13). Trees are found through /proc by parentage and by
session, frozen, then killed, until nothing is left (P17, P20).
"""

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A process for ever: pid, start time in clock ticks since boot, and the boot's id."""

    pid: int
    start_ticks: int
    boot_id: str


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """One line of the process table; `ticks` is user + system time with that of reaped children."""

    pid: int
    ppid: int
    session: int
    state: str
    start_ticks: int
    ticks: int
    name: str


def boot_id() -> str:
    """Return the kernel's id of this boot, "" where it is hidden."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def read_row(pid: int) -> ProcessRow | None:
    """Return the process's line, None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes().decode("utf-8", "replace")
    except OSError:
        return None
    name_end = text.rfind(")")
    fields = text[name_end + 2 :].split()
    return ProcessRow(
        pid=pid,
        # A first thread that ended before the others looks like a zombie, but the process lives.
        state="S" if fields[0] == "Z" and int(fields[17]) > 1 else fields[0],
        ppid=int(fields[1]),
        session=int(fields[3]),
        ticks=sum(int(field) for field in fields[11:15]),
        start_ticks=int(fields[19]),
        name=text[text.find("(") + 1 : name_end],
    )


def identify(pid: int) -> Identity | None:
    """Return the identity of the process that now has `pid`, None when there is none."""
    row = read_row(pid)
    return None if row is None else Identity(pid=pid, start_ticks=row.start_ticks, boot_id=boot_id())


def is_alive(identity: Identity) -> bool:
    """Tell whether that very process still runs (a zombie does not).

    Where /proc hides processes (hidepid), those of this pilot that closed their memory (P109) cannot be read by others
    of the same user: one that takes a signal but shows no line counts as the one that is meant.
    """
    row = read_row(identity.pid)
    if row is None:
        return _takes_signals(identity.pid) and read_row(identity.pid) is None and identity.boot_id == boot_id()
    return row.start_ticks == identity.start_ticks and row.state not in "ZX" and identity.boot_id == boot_id()


def _takes_signals(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def process_table() -> dict[int, ProcessRow]:
    """Return all processes that can be seen."""
    table = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            row = read_row(int(entry.name))
            if row is not None:
                table[row.pid] = row
    return table


def tree_of(roots: Iterable[int], table: dict[int, ProcessRow], sessions: Iterable[int] = ()) -> list[ProcessRow]:
    """Return the rows of `roots`, all their descendants, and all members of `sessions` with their descendants."""
    children: dict[int, list[int]] = {}
    for row in table.values():
        children.setdefault(row.ppid, []).append(row.pid)
    wanted_sessions = set(sessions)
    stack = [pid for pid in roots if pid in table]
    stack += [row.pid for row in table.values() if row.session in wanted_sessions]
    seen: dict[int, ProcessRow] = {}
    while stack:
        pid = stack.pop()
        if pid in seen or pid not in table:
            continue
        seen[pid] = table[pid]
        stack += children.get(pid, ())
    return list(seen.values())


def open_pidfd(identity: Identity) -> int | None:
    """Return a descriptor that becomes readable when that process ends; None when it is gone or without pidfds."""
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:
        return None
    if is_alive(identity):
        return descriptor
    os.close(descriptor)
    return None


def send_signal(identity: Identity, number: int) -> bool:
    """Send `number` to that very process; False when it is gone."""
    if not is_alive(identity):
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(identity.pid, number)
        return True
    return False


def signal_rows(rows: Iterable[ProcessRow], number: int) -> None:
    """Send `number` to each process of `rows` that is still the one that was seen."""
    for row in rows:
        current = read_row(row.pid)
        if current is None or current.start_ticks != row.start_ticks or current.state in "ZX":
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(row.pid, number)


def freeze_and_kill(roots: Iterable[int], sessions: Iterable[int] = (), spare: Iterable[int] = ()) -> list[ProcessRow]:
    """SIGKILL the whole tree; return the rows that were alive (call again until it returns nothing).

    The tree is stopped first, so that it cannot fork past the walk; `spare` are pids never touched.
    """
    wanted = list(roots)
    spared = set(spare)
    stopped: dict[int, ProcessRow] = {}
    while True:
        rows = [
            row
            for row in tree_of(wanted, process_table(), sessions)
            if row.pid not in spared and row.state not in "ZX" and row.pid not in stopped
        ]
        if not rows:
            break
        signal_rows(rows, signal.SIGSTOP)
        stopped.update((row.pid, row) for row in rows)
    signal_rows(stopped.values(), signal.SIGKILL)
    return list(stopped.values())
