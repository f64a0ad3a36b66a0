"""Reading a pilot's journal without disturbing the pilot: read-only, one short transaction, nothing kept open.

It works while the pilot runs, after it has ended and after it was killed; what is told is what was last committed.
"""

import contextlib
import json
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from host.processes import Identity
from ipc.codec import MessageError, decode
from jobs.journal import NAME, SCHEMA_VERSION, Head
from jobs.ledger import Row
from jobs.record import JobRecord
from supervision.place import ROOM

_BUSY_S = 2.0
_MAIN_DIR = re.compile(r"PanDA_Pilot3_(\d+)_(\d+)")
#: Where below a given directory pilots' main directories are looked for: -a itself, and what `bulkhead run` makes.
_BASES = (".", "pilot", "bulkhead-run/pilot")


class NoJournalError(RuntimeError):
    """There is nothing to read; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenTask:
    """A task under way as the journal knows it; `issued` is False while no worker holds it."""

    key: str
    role: str
    attempt: int
    failures: int
    deaths: int
    issued: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PastJob:
    """The last that is known of a job, and when that was written."""

    wall: float
    job: JobRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One look at a journal. `history` has every job of the pilot, those under way too, in the order of their keys."""

    main_dir: Path
    guardian: Identity | None
    supervisor_pid: int
    run_dir: Path | None
    head: Head | None
    jobs: tuple[JobRecord, ...]
    history: tuple[PastJob, ...]
    tasks: tuple[OpenTask, ...]
    outbox: tuple[Row, ...]
    trail: tuple[tuple[float, str], ...]

    @property
    def queue(self) -> str:
        """Return the queue's name, "" before its description was fetched."""
        text = self.head.hunt.queue_text if self.head else ""
        return str(_json_object(text).get("nickname", ""))


def find_main_dir(given: Path) -> Path:
    """Return the main directory of the pilot that `given` means: itself, or the newest PanDA_Pilot3_* below it.

    Raises:
        NoJournalError: no pilot has lived there.
    """
    for place in (given, given.parent if given.name == ROOM else given):
        if (place / ROOM / NAME).exists():
            return place
    for base in _BASES:
        found = [path.parent.parent for path in (given / base).glob(f"PanDA_Pilot3_*/{ROOM}/{NAME}")]
        if found:
            return max(found, key=_age_key)
    raise NoJournalError(
        f"no journal of a pilot in {given}: name a pilot's main directory (the one with pilotlog.txt), or the "
        "directory that was given to it with -a; other users' pilots are closed to you"
    )


def _age_key(main_dir: Path) -> tuple[int, int]:
    match = _MAIN_DIR.fullmatch(main_dir.name)
    return (int(match[2]), int(match[1])) if match else (0, 0)


def read_journal(main_dir: Path, trail_lines: int = 12) -> Facts:
    """Return what the journal below `main_dir` holds, with the last lines of its trail.

    Raises:
        NoJournalError: it cannot be read, or is of another version.
    """
    path = main_dir / ROOM / NAME
    try:
        with contextlib.closing(_opened(path)) as base:
            base.execute("BEGIN")
            return _read(base, main_dir, trail_lines)
    except (sqlite3.Error, MessageError, ValueError) as error:
        raise NoJournalError(f"the journal {path} cannot be read: {error}") from error


def where_it_lives(main_dir: Path) -> tuple[int, Path | None]:
    """Return the supervisor's pid (0 when unknown) and the runtime directory; cheap, to wait for a new supervisor."""
    path = main_dir / ROOM / NAME
    try:
        with contextlib.closing(_opened(path)) as base:
            meta = _meta(base)
    except (sqlite3.Error, ValueError):
        return 0, None
    return _supervisor(meta), _run_dir(meta)


def _opened(path: Path) -> sqlite3.Connection:
    base = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)
    base.execute("PRAGMA query_only=ON")
    return base


def _read(base: sqlite3.Connection, main_dir: Path, trail_lines: int) -> Facts:
    version = base.execute("SELECT value FROM meta WHERE name='schema'").fetchone()
    if version is None or version[0] != str(SCHEMA_VERSION):
        raise ValueError(f"it has schema {version[0] if version else 'none'}, this version knows {SCHEMA_VERSION}")
    meta = _meta(base)
    guardian = meta.get("guardian")
    head = base.execute("SELECT value FROM meta WHERE name='head'").fetchone()
    trail = base.execute("SELECT wall, text FROM trail ORDER BY id DESC LIMIT ?", (trail_lines,)).fetchall()
    return Facts(
        main_dir=main_dir,
        guardian=_identity(guardian),
        supervisor_pid=_supervisor(meta),
        run_dir=_run_dir(meta),
        head=decode(head[0], Head) if head else None,
        jobs=tuple(decode(doc, JobRecord) for (doc,) in base.execute("SELECT doc FROM jobs ORDER BY key")),
        history=tuple(
            PastJob(wall=wall, job=decode(doc, JobRecord))
            for wall, doc in base.execute("SELECT wall, doc FROM history ORDER BY key")
        ),
        tasks=tuple(
            OpenTask(key=key, role=role, attempt=attempt, failures=failures, deaths=deaths, issued=bool(issued))
            for key, role, attempt, failures, deaths, issued in base.execute(
                "SELECT key, role, attempt, failures, deaths, issued FROM tasks ORDER BY key"
            )
        ),
        outbox=tuple(decode(doc, Row) for (doc,) in base.execute("SELECT doc FROM outbox ORDER BY sequence")),
        trail=tuple(reversed(trail)),
    )


def _meta(base: sqlite3.Connection) -> dict[str, Any]:
    names = ("guardian", "supervisor", "run_dir")
    rows = base.execute("SELECT name, value FROM meta WHERE name IN (?, ?, ?)", names)
    return {name: json.loads(value) for name, value in rows}


def _supervisor(meta: dict[str, Any]) -> int:
    pid = meta.get("supervisor")
    return pid if isinstance(pid, int) else 0


def _run_dir(meta: dict[str, Any]) -> Path | None:
    path = meta.get("run_dir")
    return Path(path) if isinstance(path, str) and path else None


def _identity(value: object) -> Identity | None:
    if not isinstance(value, list) or len(value) != 3:
        return None
    pid, start_ticks, boot = value
    return Identity(pid=int(pid), start_ticks=int(start_ticks), boot_id=str(boot))


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
