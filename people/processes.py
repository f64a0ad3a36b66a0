"""The processes of a pilot as psutil shows them: guardian, supervisor, workers, movers, shims, payloads."""

import os
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from host.processes import is_alive
from people.reader import Facts

#: How our processes name themselves: a shim has it as an argument.
_NAMED = re.compile(r"bulkhead: (\w+)")
_TITLE_CHARS = 400
_ORDER = ("guardian", "supervisor", "reporter", "stager", "runner", "monitor", "mover", "shim", "payload")
_ENDED = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})
#: The kernel's letters, which people know from `ps`.
_LETTERS = {
    psutil.STATUS_RUNNING: "R",
    psutil.STATUS_SLEEPING: "S",
    psutil.STATUS_DISK_SLEEP: "D",
    psutil.STATUS_STOPPED: "T",
    psutil.STATUS_TRACING_STOP: "t",
    psutil.STATUS_ZOMBIE: "Z",
    psutil.STATUS_IDLE: "I",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process: what it is, whose child, kernel state letter, and what it has used."""

    pid: int
    ppid: int
    role: str
    title: str
    state: str
    cpu_s: float
    rss_bytes: int
    age_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadUse:
    """What a payload's processes use at this moment; the processor time is that of the living ones."""

    processes: int
    cpu_s: float
    rss_bytes: int


def payload_use(pid: int) -> PayloadUse | None:
    """Measure the payload that began as process `pid`, in a session of its own; None when nothing of it runs."""
    found = [facts for facts in map(_measure, _session_and_tree(pid)) if facts is not None] if pid else []
    if not found:
        return None
    return PayloadUse(
        processes=len(found),
        cpu_s=sum(facts.cpu_s for facts in found),
        rss_bytes=sum(facts.rss_bytes for facts in found),
    )


def pilot_is_alive(facts: Facts) -> bool:
    """Tell whether the guardian that the journal names, or its supervisor, still runs."""
    if facts.guardian is not None and is_alive(facts.guardian):
        return True
    supervisor = _measure_pid(facts.supervisor_pid)
    return supervisor is not None and supervisor.title.startswith("bulkhead: supervisor")


def processes_of(facts: Facts) -> tuple[ProcessFacts, ...]:
    """Return the pilot's processes, from the guardian down; empty when it has ended."""
    roots = [facts.supervisor_pid] if pilot_is_alive(facts) else []
    guardian_pid = facts.guardian.pid if facts.guardian is not None and is_alive(facts.guardian) else 0
    tree = {process.pid: process for pid in (guardian_pid, *roots) for process in _tree(pid)}
    payloads = {job.payload_pid for job in facts.jobs if job.payload_pid}
    found = []
    for process in tree.values():
        measured = _measure(process, guardian_pid, facts.supervisor_pid, payloads)
        if measured is not None:
            found.append(measured)
    return tuple(sorted(found, key=lambda entry: (_rank(entry.role), entry.pid)))


def _tree(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; none for pid 0 or one that is gone."""
    if not pid:
        return []
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _session_and_tree(pid: int) -> Iterable[psutil.Process]:
    """Return a payload's processes: descendants, and members of its session whose parents have ended."""
    found = {process.pid: process for process in _tree(pid)}
    for process in psutil.process_iter():
        if process.pid not in found and _session_of(process.pid) == pid:
            found[process.pid] = process
    return found.values()


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return 0


def _measure_pid(pid: int) -> ProcessFacts | None:
    tree = _tree(pid)
    return _measure(tree[0]) if tree else None


def _measure(
    process: psutil.Process, guardian_pid: int = 0, supervisor_pid: int = 0, payloads: Iterable[int] = ()
) -> ProcessFacts | None:
    """Return what a process is and uses; None when it has ended meanwhile."""
    try:
        with process.oneshot():
            status = process.status()
            if status in _ENDED:
                return None
            title = " ".join(process.cmdline()).strip() or f"[{process.name()}]"
            times = process.cpu_times()
            return ProcessFacts(
                pid=process.pid,
                ppid=process.ppid(),
                role=_role(process.pid, title, guardian_pid, supervisor_pid, payloads),
                title=title[:_TITLE_CHARS],
                state=_LETTERS.get(status, "?"),
                cpu_s=times.user + times.system,
                rss_bytes=process.memory_info().rss,
                age_s=max(0.0, time.time() - process.create_time()),
            )
    except psutil.Error:
        return None


def _rank(role: str) -> int:
    return _ORDER.index(role) if role in _ORDER else len(_ORDER)


def _role(pid: int, title: str, guardian_pid: int, supervisor_pid: int, payloads: Iterable[int]) -> str:
    if pid and pid == guardian_pid:
        return "guardian"
    if pid and pid == supervisor_pid:
        return "supervisor"
    if pid in payloads or _session_of(pid) in payloads:
        return "payload"
    named = _NAMED.search(title)
    if named:
        return named[1]
    return "mover" if "movers" in title or "workers.stager.child" in title else "child"
