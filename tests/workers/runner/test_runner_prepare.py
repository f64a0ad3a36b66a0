"""PrepareJob: what is made, twice the same, and names that try to leave the job directory."""

import errno
import stat

import pytest

from errors.codes import ErrorCode
from ipc.parts import TextFile
from ipc.results import Prepared
from ipc.tasks import PrepareJob
from workers.runner import prepare as prepare_module


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_and_files_are_made_and_again(place):
    files = (TextFile(name="run.sh", text="hé\n", mode=0o755), TextFile(name="deep/er/list.txt", text="x"))
    for _ in range(2):
        place.prepare(*files)
        assert place.desk.results.pop("prepare") == Prepared()
    assert (mode_of(place.job_dir), mode_of(place.control_dir)) == (0o770, 0o700)
    assert mode_of(place.job_dir / "run.sh") == 0o755
    assert (place.job_dir / "run.sh").read_text() == "hé\n"
    assert (place.job_dir / "deep/er/list.txt").read_text() == "x"
    assert sorted(path.name for path in place.job_dir.iterdir()) == ["deep", "run.sh"]


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/../../x", ".", "a\0b"])
def test_names_outside_are_refused(place, name):
    place.prepare(TextFile(name=name, text="x"))
    assert place.desk.failures["prepare"][0] == ErrorCode.MKDIR
    assert "prepare" not in place.desk.results


def test_links_are_replaced_not_followed(place, tmp_path):
    place.prepare()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (place.job_dir / "file").symlink_to(victim)
    (place.job_dir / "dir").symlink_to(tmp_path)
    place.desk.results.clear()
    place.prepare(TextFile(name="file", text="new"))
    assert victim.read_text() == "precious"
    assert (place.job_dir / "file").read_text() == "new"
    place.prepare(TextFile(name="dir/victim", text="new"))
    assert place.desk.failures["prepare"][0] == ErrorCode.MKDIR
    assert victim.read_text() == "precious"


def test_a_full_disk_has_its_code(place, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(prepare_module, "_write", full)
    place.prepare(TextFile(name="a", text="b"))
    assert place.desk.failures["prepare"][0] == ErrorCode.NOLOCALSPACE


def test_a_file_in_the_way_is_told(place):
    place.job_dir.write_text("")
    place.prepare()
    assert place.desk.failures["prepare"][0] == ErrorCode.MKDIR


def test_the_control_directory_may_not_be_inside_the_job_directory(place):
    place.control_dir = place.job_dir / "control"
    place.prepare()
    assert place.desk.failures["prepare"][0] == ErrorCode.MKDIR


def test_a_pods_other_containers_find_the_job_by_a_link(place, tmp_path, caplog):
    (tmp_path / "shared").mkdir()
    link = tmp_path / "shared" / "payload_workdir"
    link.symlink_to("/the/job/before")
    task = PrepareJob(job_dir=str(place.job_dir), control_dir=str(place.control_dir), shared_link=str(link))
    for _ in range(2):
        prepare_module.prepare(task)
        assert link.readlink() == place.job_dir
    link.unlink()
    link.mkdir()
    prepare_module.prepare(task)  # what is not ours stays, and the job goes on
    assert link.is_dir()
    assert "payload_workdir" in caplog.text
    assert [path.name for path in link.parent.iterdir()] == ["payload_workdir"]
