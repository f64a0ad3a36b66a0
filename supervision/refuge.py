"""A journal that can be written no more is left for a new one on the local disk (pitfalls P62, P72).

What is remembered is in memory as a whole, so nothing is lost by that: broken pages, a file system that became
read-only, a disk that stays full. The new place is found again by the guardian, not by a later pilot: what is left at
the end is written into the usual place again, if that can be.
"""

import contextlib
import logging
import shutil
import sqlite3

from jobs.journal import Journal, JournalError
from jobs.ledger import Ledger
from supervision.place import Place, elsewhere

_LOG = logging.getLogger("supervisor")


def is_damaged(error: sqlite3.Error) -> bool:
    """Tell whether writing again cannot help: the file is no journal any more."""
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def new_journal(place: Place, facts: dict[str, object], ledger: Ledger, wall: float) -> tuple[Place, Journal] | None:
    """Return a place with a room elsewhere and a journal that holds `ledger` and `facts`; None when that fails too."""
    try:
        other = elsewhere(place)
    except OSError as error:
        _LOG.error("there is no other place for the journal: %s", error)
        return None
    try:
        journal = Journal(other.journal)
        journal.note(**facts)
        journal.commit(Ledger(), ledger, wall, (f"the journal goes on in {other.room}",))
    except (JournalError, sqlite3.Error) as error:
        _LOG.error("no journal can be kept in %s either: %s", other.room, error)
        shutil.rmtree(other.room, ignore_errors=True)
        return None
    _LOG.warning("the journal goes on in %s", other.room)
    return other, journal


def bring_back(place: Place, ledger: Ledger, wall: float) -> bool:
    """Write the ledger into the journal of the usual place, where a later pilot looks; True when it is there."""
    usual = Place(place.main_dir)
    try:
        with contextlib.closing(Journal(usual.journal)) as journal:
            journal.commit(journal.load() or Ledger(), ledger, wall, ("the journal is back",))
    except (JournalError, sqlite3.Error) as error:
        _LOG.error("the jobs that are left stay in %s, where no later pilot looks: %s", place.room, error)
        return False
    return True


def leave_room(place: Place) -> None:
    """Remove a room on the local disk that is needed no more; the usual one stays, for people."""
    if place.elsewhere is not None:
        with contextlib.suppress(OSError):
            shutil.rmtree(place.elsewhere)
