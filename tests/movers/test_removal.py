"""Removing trees: all of them, nothing else."""

import os
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from movers.base import MoverError
from movers.removal import remove_trees
from tests.movers.orders import ignore


def refused(root: Path | str, *paths: Path | str) -> MoverError:
    with pytest.raises(MoverError) as caught:
        remove_trees(str(root), [str(path) for path in paths], ignore)
    return caught.value


def test_removes_trees_files_and_nothing_twice(tmp_path: Path) -> None:
    (tmp_path / "job" / "a" / "b" / "c").mkdir(parents=True)
    (tmp_path / "job" / "a" / "b" / "f").write_text("x")
    (tmp_path / "job" / "a" / "bad\udcff\n").write_text("x")
    os.mkfifo(tmp_path / "job" / "fifo")
    (tmp_path / "file").write_text("x")
    (tmp_path / "kept").write_text("x")
    paths = [str(tmp_path / "job"), str(tmp_path / "file"), str(tmp_path / "gone" / "deeper")]
    assert remove_trees(str(tmp_path), paths, ignore) == 8
    assert remove_trees(str(tmp_path), paths, ignore) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


def test_links_are_removed_and_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    root = tmp_path / "root"
    (root / "job" / "sub").mkdir(parents=True)
    (root / "job" / "sub" / "link").symlink_to(outside)
    (root / "job" / "link").symlink_to(outside)
    (root / "direct").symlink_to(outside)
    (root / "way").symlink_to(outside)
    remove_trees(str(root), [str(root / "job"), str(root / "direct")], ignore)
    error = refused(root, root / "way" / "precious")
    assert (error.code, error.retry) == (ErrorCode.FILEHANDLINGFAILURE, False)
    assert (outside / "precious").exists()
    assert [path.name for path in root.iterdir()] == ["way"]


@pytest.mark.parametrize("path", ["", "/", "..", "x/../../y", "/etc", "{root}", "{root}/", "{root}/../x", "{root}x/y"])
def test_only_what_is_below_the_root(tmp_path: Path, path: str) -> None:
    error = refused(tmp_path, path.format(root=tmp_path))
    assert (error.code, error.retry) == (ErrorCode.FILEHANDLINGFAILURE, False)
    assert refused("/", "/tmp/x").retry is False
    assert tmp_path.exists()


def test_h099_a_tree_deeper_than_any_path_or_descriptor_table(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=handle)
        inner = os.open("d", os.O_RDONLY, dir_fd=handle)
        os.close(handle)
        handle = inner
    os.close(handle)
    assert remove_trees(str(tmp_path), [str(tmp_path / "d")], ignore) == 3000
    assert list(tmp_path.iterdir()) == []


def test_directories_without_rights_are_opened_up(tmp_path: Path) -> None:
    (tmp_path / "job" / "locked" / "sub").mkdir(parents=True)
    (tmp_path / "job" / "locked" / "sub").chmod(0)
    (tmp_path / "job" / "locked").chmod(0)
    remove_trees(str(tmp_path), [str(tmp_path / "job")], ignore)
    assert list(tmp_path.iterdir()) == []


def test_progress_is_reported(tmp_path: Path) -> None:
    (tmp_path / "job").mkdir()
    for number in range(200):
        (tmp_path / "job" / str(number)).touch()
    seen: list[int] = []
    remove_trees(str(tmp_path), [str(tmp_path / "job")], seen.append)
    assert seen == [64, 128, 192]
