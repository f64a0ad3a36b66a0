"""Reading journals made by the real Journal class."""

import os
import sqlite3
from dataclasses import replace

import pytest

from jobs.states import JobState
from people.reader import NoJournalError, find_main_dir, read_journal, where_it_lives
from supervision.place import ROOM


def test_all_that_a_journal_holds_is_read(sample):
    main_dir, _, _ = sample()
    facts = read_journal(main_dir, trail_lines=2)
    assert [job.job_id for job in facts.jobs] == [7]
    assert [(past.job.job_id, past.job.state) for past in facts.history] == [(6, JobState.DONE), (7, JobState.RUNNING)]
    assert [row.final for row in facts.outbox] == [True]
    assert [text for _, text in facts.trail] == ["second line", "third line"]
    assert facts.queue == "A_QUEUE"
    assert facts.supervisor_pid == 999_999_998
    assert where_it_lives(main_dir) == (999_999_998, facts.run_dir)


def test_the_pilot_goes_on_writing_while_it_is_read(sample):
    main_dir, journal, ledger = sample()
    for number in range(20):
        changed = replace(ledger, sequence=ledger.sequence + 1)
        journal.commit(ledger, changed, 1.0, (f"turn {number}",))
        ledger = changed
        assert read_journal(main_dir).trail[-1][1] == f"turn {number}"


def test_reading_writes_nothing_into_the_journal(sample):
    main_dir, journal, _ = sample()
    room = main_dir / ROOM
    names = ("journal.sqlite", "journal.sqlite-wal")
    before = [(room / name).read_bytes() for name in names if (room / name).exists()]
    read_journal(main_dir)
    assert [(room / name).read_bytes() for name in names if (room / name).exists()] == before
    journal.close()


def test_a_journal_left_behind_by_a_killed_pilot_is_read(sample, tmp_path):
    """What lies on disk while the writer holds it open is what a SIGKILL would leave."""
    main_dir, _, _ = sample()
    copy = tmp_path / "copy" / ROOM
    copy.mkdir(parents=True)
    for path in (main_dir / ROOM).iterdir():
        if not path.name.endswith("-shm"):
            (copy / path.name).write_bytes(path.read_bytes())
    assert [job.job_id for job in read_journal(copy.parent).jobs] == [7]


def test_names_with_special_characters_are_no_uri_options(sample, tmp_path):
    main_dir, journal, _ = sample()
    journal.close()
    odd = tmp_path / "a?mode=rwc#%41 b"
    main_dir.rename(odd)
    assert read_journal(odd).queue == "A_QUEUE"


def test_the_newest_pilot_below_a_directory_is_found(sample, tmp_path):
    sample("PanDA_Pilot3_99_1700000000")
    newest, _, _ = sample("PanDA_Pilot3_5_1700000100")
    sample("PanDA_Pilot3_77_1700000001")
    assert find_main_dir(tmp_path) == newest
    assert find_main_dir(newest) == newest
    assert find_main_dir(newest / ROOM) == newest


@pytest.mark.parametrize("base", ["pilot", "bulkhead-run/pilot"])
def test_what_run_made_is_found_from_above(sample, tmp_path, base):
    main_dir, journal, _ = sample()
    journal.close()
    (tmp_path / base).mkdir(parents=True)
    moved = tmp_path / base / main_dir.name
    main_dir.rename(moved)
    assert find_main_dir(tmp_path).samefile(moved)


def test_a_place_without_a_journal_says_what_to_do(tmp_path):
    with pytest.raises(NoJournalError, match="given to it with -a"):
        find_main_dir(tmp_path)


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("UPDATE meta SET value='2' WHERE name='schema'", "schema 2, this version knows 1"),
        ("""UPDATE jobs SET doc='["Nonsense",{}]'""", "cannot be read"),
        ("DROP TABLE outbox", "no such table"),
    ],
)
def test_a_foreign_or_damaged_journal_is_told(sample, statement, told):
    main_dir, journal, _ = sample()
    journal.close()
    base = sqlite3.connect(main_dir / ROOM / "journal.sqlite")
    base.execute(statement)
    base.commit()
    base.close()
    with pytest.raises(NoJournalError, match=told):
        read_journal(main_dir)


def test_a_file_that_is_no_journal_is_told(tmp_path):
    (tmp_path / ROOM).mkdir()
    (tmp_path / ROOM / "journal.sqlite").write_bytes(os.urandom(5000))
    with pytest.raises(NoJournalError, match="cannot be read"):
        read_journal(tmp_path)
    assert where_it_lives(tmp_path) == (0, None)
