import pytest

from people.workarea import WorkArea, WorkAreaError


def test_a_run_empties_what_the_run_before_made(tmp_path):
    area = WorkArea(tmp_path / "run")
    (area.storage / "old").touch()
    area.record.touch()
    (tmp_path / "run" / "mine.txt").touch()
    area.close()
    area = WorkArea(tmp_path / "run")
    assert not list(area.storage.iterdir())
    assert not area.record.exists()
    assert (tmp_path / "run" / "mine.txt").exists()
    area.close()


def test_a_directory_of_others_is_left_alone(tmp_path):
    (tmp_path / "storage").mkdir()
    (tmp_path / "storage" / "precious").touch()
    with pytest.raises(WorkAreaError, match="no run of ours made it"):
        WorkArea(tmp_path)
    assert (tmp_path / "storage" / "precious").exists()


def test_two_runs_do_not_share_a_directory(tmp_path):
    area = WorkArea(tmp_path / "run")
    with pytest.raises(WorkAreaError, match="another `bulkhead run`"):
        WorkArea(tmp_path / "run")
    area.close()


def test_a_place_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WorkAreaError, match="name another with --dir"):
        WorkArea(tmp_path / "file" / "run")
