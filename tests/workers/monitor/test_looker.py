"""What debug mode shows by itself: name and tail of the payload's text file that was changed last (behaviour 24)."""

import os

import pytest

from workers.monitor.looker import LIMIT_CHARS, RefusedError, newest, tail


def put(top, name, data, age_s=0):
    path = top / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    os.utime(path, (1e9 - age_s, 1e9 - age_s))


def test_the_file_changed_last_is_shown_wherever_it_is(tmp_path):
    put(tmp_path, "payload.stdout", "old\n", age_s=60)
    put(tmp_path, "workDir/log.generate", "".join(f"line {n}\n" for n in range(30)), age_s=30)
    assert newest(tmp_path) == "workDir/log.generate\n" + "\n".join(f"line {n}" for n in range(20, 30))
    put(tmp_path, "payload.stdout", "old\nnew\n")
    assert newest(tmp_path) == "payload.stdout\nold\nnew"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("events.root", b"root\0\0\1\2"),
        ("picture", b"\xff\xd8\xff\xe0" * 50),
        ("pilotlog.txt", "the pilot's own"),
        ("memory_monitor_output.txt", "the pilot's own"),
        ("panda_secrets.json", "canary"),
    ],
)
def test_what_is_no_text_of_the_payload_is_not_shown(tmp_path, name, data):
    put(tmp_path, "payload.stdout", "mine\n", age_s=60)
    put(tmp_path, name, data)
    assert newest(tmp_path) == "payload.stdout\nmine"


def test_long_lines_lose_their_beginning(tmp_path):
    put(tmp_path, "payload.stdout", "a" * 5000 + "end")
    shown = newest(tmp_path)
    assert len(shown) == LIMIT_CHARS
    assert shown.startswith("payload.stdout\naaa")
    assert shown.endswith("end")


def test_links_and_no_files(tmp_path):
    (tmp_path / "payload.stdout").symlink_to("/etc/passwd")
    assert newest(tmp_path) == ""
    assert newest(tmp_path / "none") == ""


def test_a_pattern_shows_the_newest_that_fits(tmp_path):
    put(tmp_path, "log.a", "a\n", age_s=60)
    put(tmp_path, "log.b", "1\n2\n3\n", age_s=30)
    put(tmp_path, "other", "x\n")
    assert tail(tmp_path, "log.*", 2) == "log.b\n2\n3"
    with pytest.raises(RefusedError):
        tail(tmp_path, "nothing*", 2)
