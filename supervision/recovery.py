"""Taking over the jobs of pilots that died in the same place with everything (power, SIGKILL of all; DESIGN 2).

A dead pilot's main directory lies beside ours below -a (or is ours, when the pilot lives in the start directory). Its
jobs, tasks and updates are first written to our journal and then removed from its own: a crash in between can only
have a job in both, and every step of a job can be done twice.
"""

import contextlib
import fcntl
import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from host.processes import Identity, boot_id, is_alive
from host.secret_files import remove_renewed
from jobs.journal import NAME, Journal, JournalError
from jobs.ledger import Ledger, inherited
from settings.settings import Settings
from supervision.place import LOCK, ROOM, Place, drop_ballast, remove_run_dir, vacate

_LOG = logging.getLogger("recovery")


def take_over_others(ours: Ledger, place: Place, settings: Settings, journal: Journal) -> Ledger:
    """Return our ledger with the jobs that dead pilots left below the same directory; it is committed already."""
    if not settings.workdir:
        return ours
    for lock in sorted(Path(settings.workdir).absolute().glob(f"PanDA_Pilot3_*/{ROOM}/{LOCK}")):
        if lock.parent != place.room and (lock.parent / NAME).is_file():
            with _locked(lock) as locked:
                if locked:
                    ours = _take(ours, lock.parent, journal)
    return ours


def _take(ours: Ledger, room: Path, journal: Journal) -> Ledger:
    try:
        if _in_use(room):
            return ours
        drop_ballast(Place(room.parent))
        theirs = Journal(room / NAME)
        left = theirs.load()
    except (JournalError, sqlite3.Error) as error:
        _LOG.error("the journal in %s was left alone: %s", room, error)
        return ours
    remove_renewed(room.parent)
    with contextlib.closing(theirs):
        if left is None or not left.jobs:
            vacate(room)
            return ours
        merged = _merged(ours, inherited(left))
        journal.commit(ours, merged, time.time(), (f"took {len(left.jobs)} jobs over from {room}",))
        theirs.commit(left, replace(left, jobs={}, dossiers={}, tasks={}, outbox={}), time.time(), ("taken over",))
    vacate(room)
    _LOG.warning("took %d jobs and %d updates over from %s", len(left.jobs), len(left.outbox), room)
    return merged


def _merged(ours: Ledger, theirs: Ledger) -> Ledger:
    """Return both, ours winning where a job is in both; their updates keep their order behind ours."""
    new_jobs = {key: job for key, job in theirs.jobs.items() if key not in ours.jobs}
    rows = [row for row in theirs.outbox.values() if row.job_key in new_jobs]
    sequences = {row.sequence: ours.sequence + 1 + number for number, row in enumerate(rows)}
    return replace(
        ours,
        sequence=ours.sequence + len(rows),
        hunt=replace(ours.hunt, settled=(*theirs.hunt.settled, *ours.hunt.settled)),
        jobs={**ours.jobs, **new_jobs},
        dossiers={**ours.dossiers, **{key: theirs.dossiers[key] for key in new_jobs if key in theirs.dossiers}},
        tasks={**ours.tasks, **{key: task for key, task in theirs.tasks.items() if task.job_key in new_jobs}},
        outbox={**ours.outbox, **{sequences[r.sequence]: replace(r, sequence=sequences[r.sequence]) for r in rows}},
    )


def _in_use(room: Path) -> bool:
    """Tell whether the guardian that the journal names may be alive; clear a dead one's runtime directory away.

    The lock of the room was free, but on a shared file system that may say nothing of a pilot on another machine.
    """
    base = sqlite3.connect(f"file:{room / NAME}?mode=ro", uri=True, timeout=2.0)
    try:
        facts = dict(base.execute("SELECT name, value FROM meta WHERE name IN ('guardian', 'run_dir', 'node')"))
    finally:
        base.close()
    if "guardian" in facts:
        pid, start_ticks, boot = json.loads(facts["guardian"])
        if is_alive(Identity(pid=pid, start_ticks=start_ticks, boot_id=boot)):
            return True
        if boot != boot_id() and json.loads(facts.get("node", '""')) != os.uname().nodename:
            _LOG.info("the jobs in %s are another machine's", room)
            return True
    if "run_dir" in facts:
        remove_run_dir(Path(json.loads(facts["run_dir"])))
    return False


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[bool]:
    """Hold the lock of a room, or tell that another pilot holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
