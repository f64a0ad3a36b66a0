"""cp, and with it what all local destinations have in common."""

import os
import threading
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from movers import copying, cp, landing, mv
from movers.base import MoverError, local_path, partial_name
from tests.movers.orders import adler32, ignore, left_over, md5, noise, order_of
from tests.movers.small_disk import small_disk_at


def refused(order) -> MoverError:
    with pytest.raises(MoverError) as caught:
        cp.move(order, ignore)
    return caught.value


@pytest.mark.parametrize("size", [0, 1, 4096, 600_000, 9_000_001])
@pytest.mark.parametrize("direction", ["in", "out"])
def test_copies_and_checks(tmp_path: Path, size: int, direction: str) -> None:
    data = noise(tmp_path / "a", size)
    order = order_of(tmp_path / "a", tmp_path / "new" / "b", direction, size_bytes=size, checksum=adler32(data))
    seen: list[int] = []
    moved = cp.move(order, seen.append)
    assert (tmp_path / "new" / "b").read_bytes() == data
    assert moved == (size, adler32(data), str(tmp_path / "new" / "b"))
    assert seen == sorted(seen)
    assert left_over(tmp_path / "new") == []


def test_computes_the_checksum_that_is_wanted(tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    assert cp.move(order_of(tmp_path / "a", tmp_path / "b"), ignore).checksum == adler32(data)
    assert cp.move(order_of(tmp_path / "a", tmp_path / "c", checksum_type="md5"), ignore).checksum == md5(data)
    assert cp.move(order_of(tmp_path / "a", tmp_path / "d", checksum=md5(data)), ignore).checksum == md5(data)


def test_understands_file_urls(tmp_path: Path) -> None:
    noise(tmp_path / "a b")
    cp.move(order_of(f"file://localhost{tmp_path}/a%20b", f"file://{tmp_path}/c"), ignore)
    cp.move(order_of(f"file:{tmp_path}/c", tmp_path / "d"), ignore)
    assert (tmp_path / "d").read_bytes() == (tmp_path / "a b").read_bytes()


@pytest.mark.parametrize("place", ["file://elsewhere/x", "root://host//x", "x", "", "/a\0b", "../x"])
def test_refuses_what_is_no_local_path(place: str) -> None:
    with pytest.raises(MoverError) as caught:
        local_path(place)
    assert (caught.value.code, caught.value.retry) == (ErrorCode.FILEHANDLINGFAILURE, False)


@pytest.mark.parametrize(
    ("direction", "kind", "code"),
    [
        ("in", adler32, ErrorCode.GETADMISMATCH),
        ("in", md5, ErrorCode.GETMD5MISMATCH),
        ("out", adler32, ErrorCode.PUTADMISMATCH),
        ("out", md5, ErrorCode.PUTMD5MISMATCH),
    ],
)
def test_a_wrong_checksum_leaves_nothing_but_what_was_there(tmp_path: Path, direction: str, kind, code: int) -> None:
    noise(tmp_path / "a")
    (tmp_path / "b").write_text("before")
    error = refused(order_of(tmp_path / "a", tmp_path / "b", direction, checksum=kind(b"other")))
    assert (error.code, error.retry) == (code, True)
    assert (tmp_path / "b").read_text() == "before"
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(("direction", "code"), [("in", ErrorCode.GETWRONGSIZE), ("out", ErrorCode.PUTWRONGSIZE)])
def test_a_truncated_source(tmp_path: Path, direction: str, code: int) -> None:
    noise(tmp_path / "a", 100)
    error = refused(order_of(tmp_path / "a", tmp_path / "b", direction, size_bytes=101))
    assert (error.code, error.retry) == (code, True)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize(
    ("direction", "code"), [("in", ErrorCode.MISSINGINPUTFILE), ("out", ErrorCode.MISSINGOUTPUTFILE)]
)
def test_a_missing_source(tmp_path: Path, direction: str, code: int) -> None:
    error = refused(order_of(tmp_path / "a", tmp_path / "b", direction))
    assert (error.code, error.missing, error.retry) == (code, True, False)


def test_an_empty_output_where_that_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert refused(order_of(tmp_path / "a", tmp_path / "b", "out", refuse_empty=True)).code == ErrorCode.ZEROFILESIZE
    assert cp.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore).size_bytes == 0


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "link out", "link to a fifo", "link to a device"])
def test_h093_outputs_of_other_kinds_are_refused(tmp_path: Path, kind: str) -> None:
    job = tmp_path / "job"
    job.mkdir()
    source = job / "out"
    if kind == "directory":
        source.mkdir()
    elif kind == "fifo":
        os.mkfifo(source)
    elif kind == "device":
        try:
            os.mknod(source, 0o20666, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("devices need root")
    elif kind == "link to a fifo":
        os.mkfifo(job / "fifo")
        source.symlink_to("fifo")
    else:
        source.symlink_to("/etc/passwd" if kind == "link out" else "/dev/zero")
    error = refused(order_of(source, tmp_path / "b", "out", root=str(job)))
    assert (error.code, error.retry) == (ErrorCode.MISSINGOUTPUTFILE, False)
    assert not (tmp_path / "b").exists()


def test_an_output_may_be_a_link_inside_the_job_directory(tmp_path: Path) -> None:
    job = tmp_path / "job"
    (job / "sub").mkdir(parents=True)
    noise(job / "sub" / "real")
    (job / "out").symlink_to("sub/real")
    cp.move(order_of(job / "out", tmp_path / "b", "out", root=str(job)), ignore)
    assert not (tmp_path / "b").is_symlink()
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "x").write_text("a directory whose name begins alike")
    (job / "other").symlink_to("../jobs/x")
    assert refused(order_of(job / "other", tmp_path / "c", "out", root=str(job))).code == ErrorCode.MISSINGOUTPUTFILE


def test_an_output_of_mode_000(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads everything")
    noise(tmp_path / "a")
    (tmp_path / "a").chmod(0)
    assert refused(order_of(tmp_path / "a", tmp_path / "b", "out")).code == ErrorCode.MISSINGOUTPUTFILE


@pytest.mark.parametrize("checksum_type", ["adler32", "md5"])
def test_holes_stay_holes(tmp_path: Path, checksum_type: str) -> None:
    with (tmp_path / "a").open("wb") as stream:
        stream.seek(5_000_000)
        stream.write(b"x" * 10_000)
        stream.truncate(40_000_000)
    moved = cp.move(order_of(tmp_path / "a", tmp_path / "b", "out", checksum_type=checksum_type), ignore)
    data = (tmp_path / "a").read_bytes()
    assert (tmp_path / "b").read_bytes() == data
    assert moved.checksum == (adler32(data) if checksum_type == "adler32" else md5(data))
    assert (tmp_path / "b").stat().st_blocks * 512 < 1_000_000


def test_a_terabyte_of_nothing_takes_no_time_and_no_space(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(1 << 40)
    assert cp.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore).size_bytes == 1 << 40
    assert (tmp_path / "b").stat().st_blocks * 512 < 1_000_000


def test_h104_a_good_destination_is_left_alone_and_a_bad_one_replaced(tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    (tmp_path / "b").write_bytes(data)
    before = (tmp_path / "b").stat()
    for order in (
        order_of(tmp_path / "a", tmp_path / "b", checksum=adler32(data)),
        order_of(tmp_path / "a", tmp_path / "b", "out"),
    ):
        cp.move(order, ignore)
        assert (tmp_path / "b").stat().st_ino == before.st_ino
    (tmp_path / "b").write_bytes(data[:-1] + b"!" if data[-1:] != b"!" else data[:-1] + b"?")
    cp.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore)
    assert (tmp_path / "b").read_bytes() == data


def test_h070_a_link_at_the_destination_is_replaced_not_followed(tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    (tmp_path / "victim").write_text("untouched")
    (tmp_path / "b").symlink_to("victim")
    (tmp_path / partial_name("b", "t1")).symlink_to("victim")
    cp.move(order_of(tmp_path / "a", tmp_path / "b"), ignore)
    assert (tmp_path / "victim").read_text() == "untouched"
    assert (tmp_path / "b").read_bytes() == data
    assert not (tmp_path / "b").is_symlink()


def test_a_directory_at_the_destination_is_an_error(tmp_path: Path) -> None:
    noise(tmp_path / "a")
    (tmp_path / "b").mkdir()
    assert refused(order_of(tmp_path / "a", tmp_path / "b")).code == ErrorCode.STAGEINFAILED
    assert left_over(tmp_path) == []


def test_what_a_dead_attempt_left_is_removed(tmp_path: Path) -> None:
    data = noise(tmp_path / "a")
    (tmp_path / partial_name("b", "t1")).write_text("half")
    cp.move(order_of(tmp_path / "a", tmp_path / "b"), ignore)
    assert (tmp_path / "b").read_bytes() == data
    assert left_over(tmp_path) == []


def test_long_names_have_room_for_their_partial_file(tmp_path: Path) -> None:
    noise(tmp_path / "a")
    name = "é" * 127
    cp.move(order_of(tmp_path / "a", tmp_path / name), ignore)
    assert (tmp_path / name).exists()


def test_h107_a_source_that_changes_meanwhile(tmp_path: Path) -> None:
    noise(tmp_path / "a", 20_000_000)

    def grow(_done: int) -> None:
        with (tmp_path / "a").open("ab") as stream:
            stream.write(b"more")

    def shrink(_done: int) -> None:
        os.truncate(tmp_path / "a", 5_000_000)

    for meddle in (grow, shrink):
        with pytest.raises(MoverError) as caught:
            cp.move(order_of(tmp_path / "a", tmp_path / "b"), meddle)
        assert caught.value.retry
        assert "changed" in caught.value.text
        assert not (tmp_path / "b").exists()
        assert left_over(tmp_path) == []


@pytest.mark.parametrize("mover", [cp, mv])
def test_h103_a_rename_that_fails_after_the_transfer(tmp_path: Path, mover) -> None:
    noise(tmp_path / "a")

    def meddle(_done: int) -> None:
        (tmp_path / "b").mkdir(exist_ok=True)

    with pytest.raises(MoverError) as caught:
        mover.move(order_of(tmp_path / "a", tmp_path / "b", "out"), meddle)
    assert caught.value.code == ErrorCode.STAGEOUTFAILED
    assert left_over(tmp_path) == []
    (tmp_path / "b").rmdir()
    assert mover.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore).size_bytes == 3_000_000


def test_h110_two_movers_race_for_one_file(tmp_path: Path) -> None:
    data = noise(tmp_path / "a", 5_000_000)
    failures: list[MoverError] = []

    def race() -> None:
        try:
            cp.move(order_of(tmp_path / "a", tmp_path / "b", checksum=adler32(data)), ignore)
        except MoverError as error:
            failures.append(error)

    threads = [threading.Thread(target=race) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(error.retry for error in failures)
    cp.move(order_of(tmp_path / "a", tmp_path / "b", checksum=adler32(data)), ignore)
    assert (tmp_path / "b").read_bytes() == data
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(("direction", "code"), [("in", ErrorCode.NOLOCALSPACE), ("out", ErrorCode.NOREMOTESPACE)])
@pytest.mark.parametrize("asked_before", [True, False])
def test_h076_a_full_disk(tmp_path: Path, direction: str, code: int, asked_before: bool, monkeypatch) -> None:
    noise(tmp_path / "a", 3 << 20)
    if not asked_before:
        monkeypatch.setattr(landing.Landing, "check_space", lambda *_: None)
    with small_disk_at(tmp_path / "disk") as disk:
        error = refused(order_of(tmp_path / "a", disk / "b", direction))
        assert (error.code, error.retry) == (code, False)
        assert list(disk.iterdir()) == []


@pytest.mark.parametrize(("direction", "code"), [("in", ErrorCode.MKDIR), ("out", ErrorCode.MKDIR_STORAGE)])
def test_a_directory_that_cannot_be_made(tmp_path: Path, direction: str, code: int) -> None:
    noise(tmp_path / "a")
    (tmp_path / "file").touch()
    assert refused(order_of(tmp_path / "a", tmp_path / "file" / "sub" / "b", direction)).code == code


def test_h076_a_read_only_directory(tmp_path: Path) -> None:
    noise(tmp_path / "a")
    if os.geteuid() != 0:
        (tmp_path / "ro").mkdir(mode=0o555)
        assert refused(order_of(tmp_path / "a", tmp_path / "ro" / "b")).code == ErrorCode.STAGEINFAILED
        return
    with small_disk_at(tmp_path / "ro") as disk:
        assert os.system(f"mount -o remount,ro {disk}") == 0
        error = refused(order_of(tmp_path / "a", disk / "b"))
        assert (error.code, error.retry) == (ErrorCode.STAGEINFAILED, False)
        assert "Read-only" in error.text


def test_mode_and_link(tmp_path: Path) -> None:
    noise(tmp_path / "a")
    order = order_of(tmp_path / "a", tmp_path / "b", mode=0o755, link=str(tmp_path / "links" / "l"))
    for _ in range(2):
        cp.move(order, ignore)
        landing.make_link(order)
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "links" / "l").readlink() == tmp_path / "b"


@pytest.mark.parametrize("answer", [OSError(18, "cross-device"), 0])
def test_copies_by_itself_where_the_kernel_does_not(tmp_path: Path, monkeypatch, answer) -> None:
    def no_kernel_copy(*_args: int) -> int:
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(copying.os, "copy_file_range", no_kernel_copy)
    data = noise(tmp_path / "a", 9_000_000)
    moved = cp.move(order_of(tmp_path / "a", tmp_path / "b", "out"), ignore)
    assert moved.checksum == adler32(data)
    assert (tmp_path / "b").read_bytes() == data


def test_discarding_what_a_killed_attempt_left(tmp_path: Path) -> None:
    (tmp_path / partial_name("b", "t1")).write_text("half")
    (tmp_path / partial_name("b", "other")).write_text("another task's")
    for _ in range(2):
        landing.discard_partial(order_of(tmp_path / "a", tmp_path / "b"))
    assert [path.name for path in left_over(tmp_path)] == [partial_name("b", "other")]
    landing.discard_partial(order_of(tmp_path / "a", tmp_path / "gone" / "b"))
