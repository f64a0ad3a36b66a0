"""Where a pilot lives on disk: its main directory, the hidden room for its own files, the runtime directory.

<main>/                       PILOT_HOME: -a DIR/PanDA_Pilot3_<pid>_<epoch>, or the start directory
<main>/pilotlog.txt
<main>/PanDA_Pilot-<PandaID>/ one per job
<main>/.bulkhead/             0700: journal.sqlite, control/<job>/, ballast
<tmp>/bulkhead-XXXXXX/        0700: the sockets of the bus; short, as ipc paths are limited (P53, P112)
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOM = ".bulkhead"
#: Held by the pilot that lives there, and by one that takes a dead pilot's jobs over. A room without it has no jobs.
LOCK = "takeover.lock"
#: Definitions between the server's answer and the journal (workflows.request.kept_at). They may hold secrets: by this
#: ending they are not among the files that Harvester packs into a log of its own when a worker was killed.
KEPT = "acquired-*.job"
LOG_NAME = "pilotlog.txt"


class PlaceError(RuntimeError):
    """The pilot cannot live here; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """A pilot's main directory; all other paths follow from it.

    `elsewhere` replaces the room below it where that cannot hold a journal (some network file systems).
    """

    main_dir: Path
    elsewhere: Path | None = None

    @property
    def room(self) -> Path:
        """Return the hidden directory for the pilot's own files."""
        return self.elsewhere or self.main_dir / ROOM

    def line(self) -> str:
        """Return the place as one line for the guardian to keep."""
        return f"{self.main_dir}\t{self.elsewhere or ''}"

    @property
    def journal(self) -> Path:
        """Return the journal's path."""
        return self.room / "journal.sqlite"

    @property
    def log(self) -> Path:
        """Return the path of pilotlog.txt."""
        return self.main_dir / LOG_NAME

    @property
    def ballast(self) -> Path:
        """Return the path of the space kept in reserve for the journal and the log."""
        return self.room / "ballast"


def place_of(line: str) -> Place:
    """Return the place that `Place.line` described."""
    main, _, elsewhere = line.partition("\t")
    return Place(Path(main), Path(elsewhere) if elsewhere else None)


def elsewhere(place: Place) -> Place:
    """Return the same main directory with a new room on the local disk."""
    return Place(place.main_dir, Path(tempfile.mkdtemp(prefix="bulkhead-room-")))


def make_place(workdir: str, launch_dir: str, pid: int, wall: float) -> Place:
    """Make a new main directory (mode 0770) below `workdir`, or use `launch_dir` when that is empty.

    Raises:
        PlaceError: when the directories cannot be made.
    """
    main = Path(workdir).absolute() / f"PanDA_Pilot3_{pid}_{int(wall)}" if workdir else Path(launch_dir).absolute()
    place = Place(main)
    try:
        main.mkdir(mode=0o770, parents=True, exist_ok=True)
        place.room.mkdir(mode=0o700, exist_ok=True)
        status = place.room.lstat()
    except OSError as error:
        raise PlaceError(f"the directory {main} cannot be made: {error.strerror}; give another one with -a") from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
        raise PlaceError(f"{place.room} is not a directory of this user; give another one with -a")
    place.room.chmod(0o700)
    return place


def occupy(place: Place, *, wait: bool) -> bool:
    """Hold the lock of the room for as long as this process lives; False when another pilot lives there.

    With `wait`, the end of the incarnation before this one is waited for: its last children may hold the lock for a
    moment. Where the file system has no locks there is none.
    """
    try:
        descriptor = os.open(place.room / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:  # what cannot be written is told by whoever needs to write
        return True
    try:
        # The descriptor is never closed: the kernel gives the lock back with the process.
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    except OSError:
        os.close(descriptor)
    return True


def vacate(room: Path) -> None:
    """Tell later pilots that nothing is left to be taken over here; they then need not look into the journal."""
    # With what was being written when its writer was killed.
    for path in (*room.glob(KEPT), *room.glob(f".{KEPT}.*.part"), room / LOCK):
        with contextlib.suppress(OSError):  # gone, or on a disk that became read-only
            path.unlink()


def name_run_dir() -> Path:
    """Return a new, short path for the sockets' directory: it is noted before it is made, so that it is never lost."""
    # Not tempfile.gettempdir(): a kill while that tries the directory would leave its file there.
    base = os.environ.get("XDG_RUNTIME_DIR") or os.environ.get("TMPDIR") or "/tmp"  # noqa: S108
    if not os.access(base, os.W_OK | os.X_OK) or len(base) > 60:
        base = "/tmp"  # noqa: S108 - the name cannot be guessed, and a directory that is there already is an error
    return Path(base) / f"bulkhead-{secrets.token_hex(6)}"


def remove_run_dir(path: Path) -> None:
    """Remove a runtime directory named by name_run_dir; any other path is left alone."""
    if path.name.startswith("bulkhead-") and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)


def keep_ballast(place: Place, size_bytes: int) -> None:
    """Keep `size_bytes` of disk in reserve; without room for it the pilot goes on."""
    try:
        if place.ballast.exists() and place.ballast.stat().st_size >= size_bytes:
            return
        with place.ballast.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, size_bytes)
    except OSError:
        place.ballast.unlink(missing_ok=True)


def drop_ballast(place: Place) -> bool:
    """Give the reserve back to the file system; False when there was none."""
    try:
        place.ballast.unlink()
    except OSError:
        return False
    return True
