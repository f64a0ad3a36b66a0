"""Looking again and again: at each picture that the pilot publishes, and at the latest after an interval."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import zmq

from host.processes import open_pidfd
from people.bulletin_reader import Listener, Picture, is_published
from people.processes import pilot_is_alive
from people.reader import Facts, read_journal
from people.snapshot import Snapshot, put_together

#: Looks are at least this far apart, however fast pictures come.
_PAUSE_S = 0.2


def snapshots(main_dir: Path, trail_lines: int, interval_s: float) -> Iterator[Snapshot]:
    """Give snapshots until the pilot has ended; the last one shows its end.

    Raises:
        NoJournalError: the journal cannot be read.
    """
    picture: Picture | None = None
    listener: Listener | None = None
    run_dir: Path | None = None
    try:
        while True:
            facts = read_journal(main_dir, trail_lines)
            alive = pilot_is_alive(facts)
            if facts.run_dir != run_dir or listener is None:
                # A supervisor that was started again publishes in another place.
                if listener is not None:
                    listener.close()
                picture, run_dir = None, facts.run_dir
                listener = Listener(run_dir) if run_dir is not None and is_published(run_dir) else None
                picture = listener.wait(interval_s) if listener is not None and alive else None
            yield put_together(facts, picture if alive else None)
            if not alive:
                return
            picture = _wait(facts, listener, interval_s) or picture
    finally:
        if listener is not None:
            listener.close()


def _wait(facts: Facts, listener: Listener | None, interval_s: float) -> Picture | None:
    """Wait for a picture, the pilot's end or the interval; return the newest picture if one came."""
    guardian = open_pidfd(facts.guardian) if facts.guardian is not None else None
    poller = zmq.Poller()
    if guardian is not None:
        poller.register(guardian, zmq.POLLIN)
    began = time.monotonic()
    try:
        poller.poll(int(min(_PAUSE_S, interval_s) * 1000))
        if listener is not None:
            poller.register(listener.socket, zmq.POLLIN)
        poller.poll(max(0, int((began + interval_s - time.monotonic()) * 1000)))
    finally:
        if guardian is not None:
            os.close(guardian)
    found = listener.pictures() if listener is not None else []
    return found[-1] if found else None
