"""Something else lies where the pilot keeps its files (pitfalls 9, H070-H072)."""

import os
import sqlite3

import pytest

from jobs.journal import Journal
from tests.pilot.hostile_rig import in_start_directory, one_job

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "directory", "read by somebody"])
def test_h070_h071_something_else_has_the_logs_name(run, kind):
    victim, log = run.home / "victim", run.home / "pilotlog.txt"
    victim.write_text("precious")
    reader = -1
    if kind == "link":
        log.symlink_to(victim)
    elif kind == "dangling link":
        log.symlink_to(run.home / "in" / "new")
    elif kind == "directory":
        log.mkdir()
    else:
        os.mkfifo(log)
        reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK) if kind == "read by somebody" else -1
    job_id = one_job(run)
    run.start(wrap=in_start_directory)
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    assert victim.read_text() == "precious"
    assert not (run.home / "in" / "new").exists()
    if reader >= 0:
        os.close(reader)
    if kind != "directory":
        assert "the pilot leaves" in log.read_text()
        assert log.is_file()
        assert not log.is_symlink()
    run.assert_clean(keep_main=True)


@pytest.mark.parametrize("name", [".bulkhead", ".bulkhead/journal.sqlite", ".bulkhead/takeover.lock"])
def test_h070_a_link_in_the_place_of_the_pilots_own_files(run, name):
    target = run.home / "elsewhere"
    if name == ".bulkhead":
        target.mkdir()
    else:
        (run.home / ".bulkhead").mkdir()
        target.write_text("precious")
    (run.home / name).symlink_to(target)
    job_id = one_job(run)
    run.start(wrap=in_start_directory)
    code = run.wait_exit()
    if name.endswith("lock"):
        assert code == 0
        run.assert_final(job_id, "finished", 0)
    else:
        assert code == 66, run.story()
        assert name in run.out.read_text(errors="replace")
        assert not run.sandbox.record("acquire_jobs")
    assert list(target.iterdir()) == [] if target.is_dir() else target.read_text() == "precious"
    assert "Traceback" not in run.out.read_text(errors="replace")


def _spoil(path, kind):
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "zeros":
        path.write_bytes(bytes(8192))
    elif kind == "torn":
        path.write_bytes(path.read_bytes()[:5000])
    elif kind == "garbage":
        path.write_bytes(os.urandom(9000))
    elif kind == "newer":
        with sqlite3.connect(path) as base:
            base.execute("UPDATE meta SET value='999' WHERE name='schema'")
        base.close()
    elif kind == "read-only":
        path.chmod(0o400)
    elif kind == "another's" and os.geteuid() == 0:
        os.chown(path, 65534, 65534)
    elif kind == "fifo":
        path.unlink()
        os.mkfifo(path)
    elif kind == "directory":
        path.unlink()
        path.mkdir()


SPOILED = ("empty", "zeros", "torn", "garbage", "newer", "read-only", "another's", "fifo", "directory")


def test_h072_journals_of_dead_pilots_that_cannot_be_read(run):
    """Each lies below the same -a; the pilot leaves them alone and does its own work."""
    rooms = []
    for number, kind in enumerate(SPOILED):
        room = run.workdir / f"PanDA_Pilot3_{number}_1" / ".bulkhead"
        room.mkdir(parents=True)
        (room / "takeover.lock").touch()
        Journal(room / "journal.sqlite").close()
        _spoil(room / "journal.sqlite", kind)
        rooms.append(room)
    job_id = one_job(run)
    run.start()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    log = run.log()
    assert "Traceback" not in log
    for kind, room in zip(SPOILED, rooms, strict=True):
        if kind in ("zeros", "torn", "garbage", "newer"):
            assert f"the journal in {room} was left alone" in log, kind


@pytest.mark.parametrize("kind", ["zeros", "torn", "newer"])
def test_h072_the_pilots_own_journal_cannot_be_read(run, kind):
    (run.home / ".bulkhead").mkdir()
    Journal(run.home / ".bulkhead" / "journal.sqlite").close()
    _spoil(run.home / ".bulkhead" / "journal.sqlite", kind)
    one_job(run)
    run.start(wrap=in_start_directory)
    assert run.wait_exit() == 66, run.story()
    assert (
        "give another directory with -a" in run.out.read_text(errors="replace") or "schema 999" in run.out.read_text()
    )
    assert not run.sandbox.record("acquire_jobs")
