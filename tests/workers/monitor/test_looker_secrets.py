"""A debug command shows nothing of the files that hold the job's secrets (panda-protocol 3.9, pitfall P120)."""

import os

import pytest

from jobs.names import SECRET_FILES
from workers.monitor.looker import RefusedError, look


def order(job_dir, *words):
    return {"words": list(words), "job_dir": str(job_dir), "control_dir": str(job_dir / "c")}


@pytest.fixture
def job_dir(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "payload.stdout").write_text("said\n")
    for name in SECRET_FILES:
        (tmp_path / name).write_text("C4N4RY\n")
    return tmp_path


@pytest.mark.parametrize("pattern", [*SECRET_FILES, "panda_s*", "*.proxy", "*"])
def test_a_secret_is_not_shown(job_dir, pattern):
    with pytest.raises(RefusedError, match="not shown"):
        look(order(job_dir, "tail", "10", pattern))


def test_a_link_to_a_secret_is_not_shown(job_dir):
    (job_dir / "harmless").symlink_to(SECRET_FILES[1])
    with pytest.raises(RefusedError, match="not shown"):
        look(order(job_dir, "tail", "10", "harmless"))


def test_the_newest_file_is_never_a_secret(job_dir):
    for name in SECRET_FILES:
        os.utime(job_dir / name, (2e9, 2e9))
    assert look(order(job_dir, "newest")) == "payload.stdout\nsaid"
