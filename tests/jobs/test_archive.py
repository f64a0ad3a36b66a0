"""The log archive: what is in it, what is not, and that nothing in a job directory can break it."""

import errno
import os
import tarfile
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from errors.exceptions import JobError
from jobs import archive
from jobs.archive import ENTRY_BYTES, NOTES_NAME, make_archive
from tests.movers.small_disk import small_disk_at

TOP = "tarball_PandaJob_1_TEST"


@pytest.fixture
def job_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "job"
    folder.mkdir()
    (folder / "payload.stdout").write_text("hello")
    return folder


@pytest.fixture
def small_disk(tmp_path: Path):
    with small_disk_at(tmp_path / "disk") as path:
        yield path


def pack(job_dir: Path, **options) -> tuple[dict[str, tarfile.TarInfo], archive.ArchiveMade]:
    path = job_dir.parent / "log.tgz"
    made = make_archive(str(job_dir), str(path), TOP, **options)
    assert made.size_bytes == path.stat().st_size
    with tarfile.open(path, "r:gz") as tar:
        names = {info.name.removeprefix(f"{TOP}/"): info for info in tar}
    assert names.pop(TOP).isdir()
    assert [entry.name for entry in job_dir.parent.glob(".*.part")] == []
    return names, made


def text_of(job_dir: Path, name: str) -> bytes:
    with tarfile.open(job_dir.parent / "log.tgz", "r:gz") as tar:
        return tar.extractfile(f"{TOP}/{name}").read()


def test_everything_lies_below_one_directory_with_its_content(job_dir: Path) -> None:
    (job_dir / "sub").mkdir()
    (job_dir / "sub" / "log.txt").write_text("inner")
    names, _ = pack(job_dir)
    assert set(names) == {"payload.stdout", "sub", "sub/log.txt"}
    assert text_of(job_dir, "sub/log.txt") == b"inner"


def test_what_is_excluded_stays_out(job_dir: Path) -> None:
    for name in ("in.root", "out.root", "core", "core.123", "panda_secrets.json", "x509up_u0", "my.pyc", ".a.12.part"):
        (job_dir / name).write_text("x")
    for name in ("control/claim", "deep/er/in.txt", "deep/er/keep.txt", "src/a.py"):
        (job_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (job_dir / name).write_text("x")
    names, made = pack(job_dir, exclude=("in.root", str(job_dir / "out.root"), "control", "deep/er/in.txt", "*.py"))
    assert set(names) == {"payload.stdout", "deep", "deep/er", "deep/er/keep.txt", "src"}
    assert made.notes == ()


def test_the_archive_itself_is_left_out_when_it_lies_in_the_directory(job_dir: Path) -> None:
    path = job_dir / "log.tgz"
    for _ in range(2):
        make_archive(str(job_dir), str(path), TOP)
    with tarfile.open(path, "r:gz") as tar:
        assert tar.getnames() == [TOP, f"{TOP}/payload.stdout"]


def test_extras_win_over_members_of_their_name(job_dir: Path, tmp_path: Path) -> None:
    (job_dir / "pilotlog.txt").symlink_to("../pilotlog.txt")
    (tmp_path / "pilotlog.txt").write_text("the pilot's")
    names, made = pack(job_dir, extras=(str(tmp_path / "pilotlog.txt"), str(tmp_path / "absent.txt")))
    assert names["pilotlog.txt"].isreg()
    assert text_of(job_dir, "pilotlog.txt") == b"the pilot's"
    assert any(line.startswith("absent.txt: cannot be read") for line in made.notes)


def test_links_are_never_followed_out_of_the_directory(job_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("secret")
    (job_dir / "a").symlink_to("../secret")
    (job_dir / "b").symlink_to(tmp_path / "secret")
    (job_dir / "c").symlink_to("../outside")
    (job_dir / "inner").symlink_to("payload.stdout")
    (job_dir / "loop").symlink_to("loop")
    names, _ = pack(job_dir)
    assert set(names) == {"payload.stdout", "inner", "loop", NOTES_NAME}
    assert names["inner"].issym()
    notes = text_of(job_dir, NOTES_NAME).decode()
    assert notes.count("a link that leads out of the job directory") == 3


def test_a_directory_that_becomes_a_link_while_packing_is_not_followed(job_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "log").write_text("secret")
    (job_dir / "sub").mkdir()
    (job_dir / "sub" / "log").write_text("mine")

    def swap(_total: int) -> None:
        (job_dir / "sub").rename(job_dir / "gone")
        (job_dir / "sub").symlink_to("../outside")

    names, made = pack(job_dir, announce=swap)
    assert "sub/log" not in names
    assert any(line.startswith("sub/log: cannot be read") for line in made.notes)


def test_h093_special_files_are_left_out_and_do_not_block(job_dir: Path) -> None:
    os.mkfifo(job_dir / "fifo")
    names, made = pack(job_dir, extras=(str(job_dir / "fifo"),))
    assert "fifo" not in names
    assert sum("not a regular file" in line for line in made.notes) == 2


def test_h100_hostile_names_survive(job_dir: Path) -> None:
    hostile = [b"new\nline", b"bad\xff\xfeutf8", b"-rf", b"..hidden", "é漢".encode(), b"\x1b[31mred", b"n" * 255]
    for name in hostile:
        (job_dir / os.fsdecode(name)).write_text("x")
    names, _ = pack(job_dir)
    assert {os.fsencode(name) for name in names} == {*hostile, b"payload.stdout"}


def test_h099_too_long_too_deep_too_many(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBERS", 70)
    monkeypatch.setattr(archive, "MAX_DEPTH", 8)
    folder = job_dir
    for _ in range(12):
        folder /= "d"
        folder.mkdir()
    for number in range(100):
        (job_dir / f"f{number}").write_text("")
    long = job_dir
    for _ in range(6):
        long /= "n" * 250
        long.mkdir()
    names, made = pack(job_dir)
    assert len(names) <= 71
    assert max(name.count("/") for name in names) <= 8
    told = " ".join(made.notes)
    assert "too deep" in told
    assert "its name is too long" in told
    assert "are too many" in told


def test_a_member_that_shrinks_or_grows_or_vanishes_costs_a_note(job_dir: Path) -> None:
    (job_dir / "vanishes").write_text("x")
    (job_dir / "payload.stdout").write_bytes(b"y" * 1_000_000)
    stream = (job_dir / "payload.stdout").open("r+b")

    def meddle(done: int) -> None:
        if 10_000 < done < 1_000_000:
            stream.truncate(300_000)

    names, made = pack(job_dir, announce=lambda _total: (job_dir / "vanishes").unlink(), report=meddle)
    stream.close()
    assert names["payload.stdout"].size == 1_000_000
    assert any("could not be read" in line for line in made.notes)
    assert any(line.startswith("vanishes: cannot be read") for line in made.notes)


def test_h088_only_the_beginning_of_a_huge_member_is_packed(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_MEMBER_BYTES", 1000)
    with (job_dir / "sparse").open("wb") as stream:
        stream.truncate(1 << 40)
    names, made = pack(job_dir)
    assert names["sparse"].size == 1000
    assert any("only its first 1000" in line for line in made.notes)


def test_an_unreadable_member_costs_a_note(job_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (job_dir / "locked").write_text("x")
    real = os.open

    def refuse(path, *rest, **options):
        if path == "locked":
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, *rest, **options)

    monkeypatch.setattr(os, "open", refuse)
    names, made = pack(job_dir)
    assert "locked" not in names
    assert made.notes == ("locked: cannot be read (Permission denied)",)


def test_a_directory_that_is_gone_gives_an_archive_with_the_extras(tmp_path: Path) -> None:
    (tmp_path / "pilotlog.txt").write_text("why")
    made = make_archive(str(tmp_path / "gone"), str(tmp_path / "log.tgz"), TOP, extras=[str(tmp_path / "pilotlog.txt")])
    assert made.members == 1


def test_progress_is_announced_and_reported(job_dir: Path) -> None:
    announced, reported = [], []
    pack(job_dir, announce=announced.append, report=reported.append)
    assert announced == [5 + 2 * ENTRY_BYTES]
    assert reported[-1] == announced[0]


def test_h099_many_empty_files_are_progress_from_the_first_look_on(job_dir: Path) -> None:
    for number in range(100):
        (job_dir / f"{number}").touch()
    announced, reported = [], []
    pack(job_dir, announce=lambda total: announced.append((total, len(reported))), report=reported.append)
    (total, before) = announced[0]
    assert before >= 100
    assert len(set(reported)) >= 200
    assert (reported, reported[-1]) == (sorted(reported), total)


def test_no_space_is_told_and_leaves_nothing(job_dir: Path, small_disk: Path) -> None:
    (job_dir / "noise").write_bytes(os.urandom(2 << 20))
    with pytest.raises(JobError) as caught:
        make_archive(str(job_dir), str(small_disk / "log.tgz"), TOP)
    assert caught.value.code == ErrorCode.NOLOCALSPACE
    assert list(small_disk.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told(job_dir: Path) -> None:
    (job_dir.parent / "file").write_text("")
    with pytest.raises(JobError) as caught:
        make_archive(str(job_dir), str(job_dir.parent / "file" / "log.tgz"), TOP)
    assert caught.value.code == ErrorCode.LOGFILECREATIONFAILURE
