"""StageTar: outputs of event ranges into one archive, and that to a storage."""

import tarfile
import zlib

import pytest

from ipc.parts import Transfer
from ipc.results import Staged
from ipc.tasks import StageTar
from tests.workers.stager.desk import Bench
from tests.workers.stager.tasks import copy_of


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    bench.close()


def stage_tar(tmp_path, *endpoints, members=3):
    job = tmp_path / "job"
    job.mkdir()
    paths = []
    for number in range(members):
        path = job / f"out.{number}"
        path.write_bytes(b"x" * 1000)
        paths.append(str(path))
    tar = job / "t.tar"
    copies = tuple(copy_of(tar, place / "t.tar", endpoint=name) for name, place in endpoints)
    transfer = Transfer(lfn="t.tar", kind="output", copies=copies)
    return StageTar(job_dir=str(job), tar_path=str(tar), members=tuple(paths), transfer=transfer)


def test_an_archive_is_made_and_brought(bench, tmp_path):
    task = stage_tar(tmp_path, ("DISK", tmp_path / "disk"))
    result = bench.carry_out(task).result
    assert isinstance(result, Staged)
    (file,) = result.files
    data = (tmp_path / "disk" / "t.tar").read_bytes()
    assert (file.size_bytes, file.checksum) == (len(data), f"adler32:{zlib.adler32(data):08x}")
    assert file.endpoint == "DISK"
    with tarfile.open(tmp_path / "disk" / "t.tar") as archive:
        assert archive.getnames() == ["out.0", "out.1", "out.2"]


def test_es_10_the_second_storage_takes_what_the_first_does_not(bench, tmp_path):
    (tmp_path / "bad").write_text("in the way")
    task = stage_tar(tmp_path, ("BAD", tmp_path / "bad"), ("GOOD", tmp_path / "good"))
    (file,) = bench.carry_out(task).result.files
    assert file.endpoint == "GOOD"


def test_a_member_that_is_gone_fails_it_with_the_code_of_a_missing_output(bench, tmp_path):
    task = stage_tar(tmp_path, ("DISK", tmp_path / "disk"))
    (tmp_path / "job" / "out.1").unlink()
    ending = bench.carry_out(task)
    assert (ending.code, ending.retry) == (1165, False)
    assert not (tmp_path / "disk").exists()


def test_the_same_task_again_has_the_same_outcome(bench, tmp_path):
    task = stage_tar(tmp_path, ("DISK", tmp_path / "disk"))
    first, second = bench.carry_out(task).result, bench.carry_out(task, lease="again").result
    assert first.files[0].checksum == second.files[0].checksum
