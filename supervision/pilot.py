"""One supervisor from its first line to its last: settings, place, journal, bus, crew, loop."""

import logging
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import zmq

from core.state import Pilot
from host import kernel
from host.processes import Identity, identify
from host.secret_files import remove_renewed
from ipc.bus import Bus
from jobs.journal import Journal, JournalError
from jobs.ledger import Ledger, inherited, reopened
from settings.build import build
from settings.errors import SettingsError
from settings.settings import Settings
from slot.life import begin, end, show_log
from supervision.bulletin import Bulletin
from supervision.crew import Crew, ProcessCrew, ThreadCrew
from supervision.guardian import CRASHED, Watchman
from supervision.launcher import title_setter
from supervision.logs import also_log, begin_log
from supervision.loop import GUARDIAN_GONE, Hull, Loop
from supervision.place import (
    Place,
    PlaceError,
    drop_ballast,
    elsewhere,
    keep_ballast,
    make_place,
    name_run_dir,
    occupy,
    place_of,
    remove_run_dir,
    vacate,
)
from supervision.recovery import take_over_others

USAGE_EXIT = 2
_PLACE_EXIT = 66


def run_supervisor(argv: list[str], watchman: Watchman) -> int:
    """Be the supervisor; return the pilot's exit code, or CRASHED for one that ended by an error of its own."""
    guardian_pid = os.getppid()
    kernel.block((*kernel.TRAPPED, signal.SIGCHLD, GUARDIAN_GONE))
    signal_fd = kernel.open_signalfd((*kernel.TRAPPED, signal.SIGCHLD, GUARDIAN_GONE))
    kernel.die_with_parent(GUARDIAN_GONE)
    kernel.become_subreaper()
    try:
        settings = build(argv, dict(os.environ), str(Path.cwd()))
        place = _place(settings, watchman)
    except SettingsError as error:
        print(f"bulkhead: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return USAGE_EXIT
    except PlaceError as error:
        print(f"bulkhead: {error}", file=sys.stderr)  # noqa: T201
        return _PLACE_EXIT
    watchman.tell(f"silence {settings.tuning.silence_s * 2}")
    log_path = None if settings.no_pilot_log else place.log
    begin_log(log_path, debug=settings.debug, to_stdout=not settings.redirect_stdout)
    if log_path is not None and not show_log(log_path, Path(settings.launch_dir)):
        also_log(Path(settings.launch_dir) / log_path.name)
    return _sail(settings, place, watchman, identify(guardian_pid), signal_fd)


def _place(settings: Settings, watchman: Watchman) -> Place:
    """Return where this pilot lives, with its lock held; below the usual place where another pilot lives already.

    Raises:
        PlaceError: the directories cannot be made.
    """
    if watchman.place:
        place = place_of(watchman.place)
        occupy(place, wait=True)
        return place
    place = make_place(settings.workdir, settings.launch_dir, os.getppid(), time.time())
    if not occupy(place, wait=False):
        place = make_place(str(place.main_dir), settings.launch_dir, os.getppid(), time.time())
        occupy(place, wait=True)
    return place


def _open_journal(place: Place) -> tuple[Place, Journal]:
    """Return the journal, and the place with its room elsewhere when the main directory cannot hold one."""
    try:
        return place, Journal(place.journal)
    except JournalError as error:
        if place.journal.exists() and place.journal.stat().st_size:
            raise
        other = elsewhere(place)
        logging.getLogger("supervisor").warning("%s; the journal is kept in %s instead", error, other.room)
        return other, Journal(other.journal)


def _sail(settings: Settings, place: Place, watchman: Watchman, guardian: Identity | None, signal_fd: int) -> int:
    log = logging.getLogger("supervisor")
    if guardian is None:
        return CRASHED
    title_setter("supervisor")("starting")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        place, journal = _open_journal(place)
        ledger = journal.load()
    except JournalError as error:
        log.critical("%s", error)
        return _PLACE_EXIT
    watchman.tell(f"place {place.line()}")
    threads = settings.isolation == "thread"
    _remove_last_run_dir(journal)
    run_dir = name_run_dir()
    journal.note(run_dir=str(run_dir))
    run_dir.mkdir(mode=0o700)
    me = [guardian.pid, guardian.start_ticks, guardian.boot_id]
    resumed = ledger is not None and journal.noted("guardian") == me
    began = reopened(ledger or Ledger()) if resumed else inherited(ledger or Ledger())
    journal.commit(ledger or Ledger(), began, time.time())
    # Only now the journal is this pilot's: a kill before this line must not make its next incarnation believe so.
    facts: dict[str, object] = {"guardian": me, "node": os.uname().nodename, "supervisor": os.getpid()}
    journal.note(**facts)
    began = take_over_others(began, place, settings, journal)
    settings = replace(settings, home=str(place.main_dir))
    if not resumed:
        begin(settings, time.time())
    keep_ballast(place, settings.tuning.ballast_bytes)
    kernel.hide_memory()
    bus = Bus(context, None if threads else run_dir)
    bulletin = Bulletin(context, run_dir)
    log_path = None if settings.no_pilot_log else place.log
    crew: Crew = (
        ThreadCrew(bus, settings, context, guardian) if threads else ProcessCrew(bus, settings, log_path, guardian)
    )
    log.info("bulkhead %s in %s, %s", settings.pilot_id, place.main_dir, "resumed" if resumed else "new")
    for warning in () if resumed else settings.warnings:
        log.warning("%s", warning)
    hull = Hull(
        place=place,
        journal=journal,
        facts={**facts, "run_dir": str(run_dir)},
        bus=bus,
        bulletin=bulletin,
        crew=crew,
        watchman=watchman,
        guardian=guardian,
        signal_fd=signal_fd,
        beat_s=settings.tuning.beat_s,
        crash_at=settings.tuning.crash_at if watchman.incarnation == 1 else "",
    )
    title_setter("supervisor")(f"queue {settings.queue}")
    loop = Loop(hull, Pilot(settings=settings, main_dir=str(place.main_dir), ledger=began))
    try:
        code = loop.run()
    except Exception:
        log.critical("the supervisor ends by an error of its own and is started again", exc_info=True)
        return CRASHED
    else:
        if not loop.has_jobs():
            vacate(place.room)
        loop.settle()
        remove_renewed(place.main_dir)
        loop.remove_secrets()
        end(settings, code, time.time(), jobs_left=loop.has_jobs())
        return code
    finally:
        bus.close()
        bulletin.close()
        hull.journal.close()
        drop_ballast(place)
        remove_run_dir(run_dir)


def _remove_last_run_dir(journal: Journal) -> None:
    """Remove the runtime directory of the supervisor before this one, which was killed without a chance to do it."""
    last = journal.noted("run_dir")
    if isinstance(last, str):
        remove_run_dir(Path(last))
