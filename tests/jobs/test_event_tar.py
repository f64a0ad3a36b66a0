"""The archive of a group of event ranges (event-service 7.2)."""

import tarfile

import pytest

from errors.codes import ErrorCode
from errors.exceptions import JobError
from jobs.event_tar import make_tar


@pytest.fixture
def files(tmp_path):
    found = []
    for number in range(3):
        path = tmp_path / f"worker_{number}" / f"out.{number}"
        path.parent.mkdir()
        path.write_bytes(bytes([number]) * 5000)
        found.append(str(path))
    return found


def test_the_archive_is_flat_whole_and_not_compressed(files, tmp_path):
    target, told = tmp_path / "x.tar", []
    size = make_tar(str(target), files, told.append)
    assert size == target.stat().st_size
    with tarfile.open(target, "r:") as archive:
        assert archive.getnames() == ["out.0", "out.1", "out.2"]
        assert archive.extractfile("out.2").read() == b"\2" * 5000
    assert told[-1] == 15_000
    assert told == sorted(told)


def test_it_takes_the_place_of_an_older_one(files, tmp_path):
    target = tmp_path / "x.tar"
    make_tar(str(target), files)
    make_tar(str(target), files[:1])
    with tarfile.open(target) as archive:
        assert archive.getnames() == ["out.0"]


@pytest.mark.parametrize("kind", ["gone", "link", "directory"])
def test_a_member_that_cannot_be_packed_leaves_no_archive(files, tmp_path, kind):
    odd = tmp_path / "odd"
    if kind == "link":
        odd.symlink_to(files[0])
    elif kind == "directory":
        odd.mkdir()
    with pytest.raises(JobError) as error:
        make_tar(str(tmp_path / "x.tar"), [files[0], str(odd)])
    assert error.value.code == ErrorCode.MISSINGOUTPUTFILE
    assert "odd" in str(error.value)
    assert not list(tmp_path.glob("*x.tar*"))


def test_a_place_that_cannot_be_written(files, tmp_path):
    with pytest.raises(JobError) as error:
        make_tar(str(tmp_path / "no" / "x.tar"), files)
    assert error.value.code == ErrorCode.STAGEOUTFAILED
