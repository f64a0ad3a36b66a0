"""The journal: the ledger in SQLite, one transaction for each step, synchronous=FULL (DESIGN 4).

A row is written only when it changed, and what never changes of a job or task (its dossier, its message) is written
once. The trail keeps the last events for people. WAL is used where the file system can share memory, so that
`bulkhead status` may read while the pilot writes; elsewhere the classic rollback journal.
"""

import contextlib
import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipc.codec import MessageError, decode, encode
from ipc.tasks import Task
from jobs.ledger import Ending, Hunt, Ledger, Row, TaskRecord
from jobs.record import Dossier, JobRecord

SCHEMA_VERSION = 1
NETWORK_FILE_SYSTEMS = frozenset({"nfs", "nfs4", "lustre", "gpfs", "beegfs", "cifs", "smb3", "afs", "ceph", "9p"})
TRAIL_ROWS = 5000
NAME = "journal.sqlite"

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS jobs (key TEXT PRIMARY KEY, state TEXT NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dossiers (key TEXT PRIMARY KEY, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (key TEXT PRIMARY KEY, role TEXT NOT NULL, job_key TEXT NOT NULL,
  message TEXT NOT NULL, attempt INTEGER NOT NULL, failures INTEGER NOT NULL, deaths INTEGER NOT NULL,
  issued INTEGER NOT NULL, not_before_at REAL NOT NULL, issued_at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox (sequence INTEGER PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS history (key TEXT PRIMARY KEY, wall REAL NOT NULL, doc TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trail (id INTEGER PRIMARY KEY, wall REAL NOT NULL, text TEXT NOT NULL);
"""
_PUT_TASK = "INSERT INTO tasks VALUES (?,?,?,?,?,?,?,?,?,?)"
_TURN_TASK = "UPDATE tasks SET attempt=?, failures=?, deaths=?, issued=?, not_before_at=?, issued_at=? WHERE key=?"


class JournalError(RuntimeError):
    """The journal cannot be used here; the text says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The ledger's single values, kept as one row."""

    generation: int
    sequence: int
    began_wall: float
    ending: Ending | None
    hunt: Hunt


class Journal:
    """One pilot's journal; the supervisor is its only writer."""

    def __init__(self, path: Path) -> None:
        """Open or create the journal at `path` with mode 0600.

        Raises:
            JournalError: when the file system cannot lock or sync, or the file is of a newer version or broken.
        """
        self.path = path
        self.commits = 0
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            self._base = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            wanted = "TRUNCATE" if on_network(path) else "WAL"
            mode = self._base.execute(f"PRAGMA journal_mode={wanted}").fetchone()[0]
            if mode not in ("wal", "truncate"):
                self._base.execute("PRAGMA journal_mode=TRUNCATE")
            self._base.execute("PRAGMA synchronous=FULL")
            # Definitions hold secrets of users: what is deleted must be gone.
            self._base.execute("PRAGMA secure_delete=ON")
            self._base.executescript(_TABLES)
            self._check_version()
        except (OSError, sqlite3.Error) as error:
            text = f"the journal {path} cannot be used ({error}); give another directory with -a"
            raise JournalError(text) from error

    def _check_version(self) -> None:
        row = self._base.execute("SELECT value FROM meta WHERE name='schema'").fetchone()
        if row is None:
            self._base.execute("INSERT INTO meta VALUES ('schema', ?)", (str(SCHEMA_VERSION),))
        elif row[0] != str(SCHEMA_VERSION):
            self._base.close()
            raise JournalError(f"the journal {self.path} has schema {row[0]}, this pilot knows {SCHEMA_VERSION}")

    def load(self) -> Ledger | None:
        """Return the ledger as last committed, None for a new journal.

        Raises:
            JournalError: when a row is not what it should be; the text names it.
        """
        try:
            return _load(self._base)
        except (MessageError, sqlite3.Error, ValueError) as error:
            raise JournalError(f"the journal {self.path} is damaged: {error}") from error

    def commit(self, old: Ledger, new: Ledger, wall: float, texts: tuple[str, ...] = ()) -> None:
        """Write what changed from `old` to `new` and the trail's `texts` in one durable transaction.

        Raises:
            sqlite3.Error: when it could not be written (disk full); nothing of it is then stored.
        """
        base = self._base
        base.execute("BEGIN IMMEDIATE")
        try:
            _write_head(base, old, new)
            _write_docs(base, "dossiers", old.dossiers, new.dossiers)
            _write_jobs(base, old, new, wall)
            _write_tasks(base, old.tasks, new.tasks)
            _write_outbox(base, old.outbox, new.outbox)
            base.executemany("INSERT INTO trail (wall, text) VALUES (?, ?)", [(wall, text[:500]) for text in texts])
            if texts:
                base.execute("DELETE FROM trail WHERE id <= (SELECT MAX(id) FROM trail) - ?", (TRAIL_ROWS,))
            base.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                base.execute("ROLLBACK")
            raise
        self.commits += 1

    def note(self, **facts: object) -> None:
        """Keep small facts for people and for later pilots (process ids, paths), in one transaction."""
        rows = [(name, json.dumps(value)) for name, value in facts.items()]
        self._base.execute("BEGIN IMMEDIATE")
        self._base.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        self._base.execute("COMMIT")

    def noted(self, name: str) -> Any:
        """Return a fact that was kept with `note`, None when there is none."""
        row = self._base.execute("SELECT value FROM meta WHERE name=?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def close(self) -> None:
        """Close the file."""
        self._base.close()


def _load(base: sqlite3.Connection) -> Ledger | None:
    row = base.execute("SELECT value FROM meta WHERE name='head'").fetchone()
    if row is None:
        return None
    head: Head = decode(row[0], Head)
    return Ledger(
        generation=head.generation,
        sequence=head.sequence,
        began_wall=head.began_wall,
        ending=head.ending,
        hunt=head.hunt,
        jobs={key: decode(doc, JobRecord) for key, doc in base.execute("SELECT key, doc FROM jobs ORDER BY key")},
        dossiers={key: decode(doc, Dossier) for key, doc in base.execute("SELECT key, doc FROM dossiers")},
        tasks={record.key: record for record in map(_task, base.execute("SELECT * FROM tasks"))},
        outbox={sequence: decode(doc, Row) for sequence, doc in base.execute("SELECT * FROM outbox ORDER BY sequence")},
    )


def _task(row: tuple[Any, ...]) -> TaskRecord:
    key, role, job_key, message, attempt, failures, deaths, issued, not_before_at, issued_at = row
    return TaskRecord(
        key=key,
        role=role,
        job_key=job_key,
        task=decode(message, Task),
        attempt=attempt,
        failures=failures,
        deaths=deaths,
        issued=issued,
        not_before_at=not_before_at,
        issued_at=issued_at,
    )


def _write_head(base: sqlite3.Connection, old: Ledger, new: Ledger) -> None:
    def head(ledger: Ledger) -> Head:
        return Head(
            generation=ledger.generation,
            sequence=ledger.sequence,
            began_wall=ledger.began_wall,
            ending=ledger.ending,
            hunt=ledger.hunt,
        )

    if old is not new and head(old) != head(new):
        base.execute("INSERT OR REPLACE INTO meta VALUES ('head', ?)", (encode(head(new)).decode(),))


def _write_docs(base: sqlite3.Connection, table: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    for key in old.keys() - new.keys():
        base.execute(f"DELETE FROM {table} WHERE key=?", (key,))  # noqa: S608 - the table's name is ours
    for key, value in new.items():
        if old.get(key) is not value:
            base.execute(f"INSERT OR REPLACE INTO {table} VALUES (?, ?)", (key, encode(value).decode()))  # noqa: S608


def _write_jobs(base: sqlite3.Connection, old: Ledger, new: Ledger, wall: float) -> None:
    for key in old.jobs.keys() - new.jobs.keys():
        base.execute("DELETE FROM jobs WHERE key=?", (key,))
    for key, job in new.jobs.items():
        if old.jobs.get(key) is not job:
            doc = encode(job).decode()
            base.execute("INSERT OR REPLACE INTO jobs VALUES (?, ?, ?)", (key, job.state.value, doc))
            base.execute("INSERT OR REPLACE INTO history VALUES (?, ?, ?)", (key, wall, doc))


def _write_tasks(base: sqlite3.Connection, old: dict[str, TaskRecord], new: dict[str, TaskRecord]) -> None:
    for key in old.keys() - new.keys():
        base.execute("DELETE FROM tasks WHERE key=?", (key,))
    for key, task in new.items():
        before = old.get(key)
        if before is task:
            continue
        turn = (task.attempt, task.failures, task.deaths, task.issued, task.not_before_at, task.issued_at)
        if before is not None and before.task is task.task:
            base.execute(_TURN_TASK, (*turn, key))
        else:
            base.execute("DELETE FROM tasks WHERE key=?", (key,))
            base.execute(_PUT_TASK, (key, task.role, task.job_key, encode(task.task).decode(), *turn))


def _write_outbox(base: sqlite3.Connection, old: dict[int, Row], new: dict[int, Row]) -> None:
    for sequence in old.keys() - new.keys():
        base.execute("DELETE FROM outbox WHERE sequence=?", (sequence,))
    for sequence, row in new.items():
        if old.get(sequence) is not row:
            base.execute("INSERT OR REPLACE INTO outbox VALUES (?, ?)", (sequence, encode(row).decode()))


def on_network(path: Path) -> bool:
    """Tell whether `path` lies on a file system where processes of several nodes meet: WAL needs shared memory."""
    best, kind = "", ""
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    whole = str(path.absolute())
    for line in lines:
        _, mount, file_system, *_ = line.split(" ")
        inside = whole == mount or whole.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, file_system
    return kind in NETWORK_FILE_SYSTEMS or kind.startswith("fuse.")
