"""The processes of a pilot as the kernel shows them: guardian, supervisor, workers, movers, shims, payloads."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from host.processes import ProcessRow, is_alive, process_table, read_row, tree_of
from people.reader import Facts

#: How our processes name themselves: a shim has it as an argument.
_NAMED = re.compile(r"bulkhead: (\w+)")
_TITLE_CHARS = 400
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_ORDER = ("guardian", "supervisor", "reporter", "stager", "runner", "monitor", "mover", "shim", "payload")


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
    rows = [row for row in tree_of([pid], process_table(), sessions=[pid]) if row.state not in "ZX"] if pid else []
    if not rows:
        return None
    return PayloadUse(
        processes=len(rows),
        cpu_s=sum(_own_ticks(row.pid) for row in rows) / _TICKS_PER_S,
        rss_bytes=sum(_rss_bytes(row.pid) for row in rows),
    )


def pilot_is_alive(facts: Facts) -> bool:
    """Tell whether the guardian that the journal names, or its supervisor, still runs."""
    if facts.guardian is not None and is_alive(facts.guardian):
        return True
    row = read_row(facts.supervisor_pid) if facts.supervisor_pid else None
    return row is not None and row.state not in "ZX" and _title(row).startswith("bulkhead: supervisor")


def processes_of(facts: Facts) -> tuple[ProcessFacts, ...]:
    """Return the pilot's processes, from the guardian down; empty when it has ended."""
    table = process_table()
    roots = [facts.supervisor_pid] if pilot_is_alive(facts) else []
    if facts.guardian is not None and is_alive(facts.guardian):
        roots.append(facts.guardian.pid)
    payloads = {job.payload_pid for job in facts.jobs if job.payload_pid}
    guardian_pid = facts.guardian.pid if facts.guardian else 0
    uptime_s = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    found = []
    for row in tree_of(roots, table):
        title = _title(row)
        role = _role(row, title, guardian_pid, facts.supervisor_pid, payloads)
        found.append(
            ProcessFacts(
                pid=row.pid,
                ppid=row.ppid,
                role=role,
                title=title[:_TITLE_CHARS],
                state=row.state,
                cpu_s=_own_ticks(row.pid) / _TICKS_PER_S,
                rss_bytes=_rss_bytes(row.pid),
                age_s=max(0.0, uptime_s - row.start_ticks / _TICKS_PER_S),
            )
        )
    return tuple(sorted(found, key=lambda entry: (_rank(entry.role), entry.pid)))


def _rank(role: str) -> int:
    return _ORDER.index(role) if role in _ORDER else len(_ORDER)


def _role(row: ProcessRow, title: str, guardian_pid: int, supervisor_pid: int, payloads: set[int]) -> str:
    if row.pid == guardian_pid:
        return "guardian"
    if row.pid == supervisor_pid:
        return "supervisor"
    if row.pid in payloads or row.session in payloads:
        return "payload"
    named = _NAMED.search(title)
    if named:
        return named[1]
    return "mover" if "movers" in title else "child"


def _title(row: ProcessRow) -> str:
    try:
        raw = Path(f"/proc/{row.pid}/cmdline").read_bytes()
    except OSError:
        raw = b""
    return raw.replace(b"\0", b" ").decode("utf-8", "replace").strip() or f"[{row.name}]"


def _own_ticks(pid: int) -> int:
    """Return the process's own time, without that of its children that have ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    return sum(int(field) for field in text[text.rfind(")") + 2 :].split()[11:13])


def _rss_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    except (OSError, IndexError):
        return 0
