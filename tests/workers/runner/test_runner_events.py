"""Events of payloads that write no job report: metadata.xml, else the oldest summary file (behaviour 13)."""

import os

import pytest

from workers.runner.events import counted_events

METADATA = (
    '<POOLFILECATALOG><File><metadata att_name="size" att_value="9"/>\n<metadata att_name="events" att_value="{}"/>'
)


def summary(tmp_path, name, text, age_s=0):
    (tmp_path / name).write_text(text)
    os.utime(tmp_path / name, (1e9 - age_s, 1e9 - age_s))


def test_metadata_comes_first_and_its_files_are_summed(tmp_path):
    summary(tmp_path, "AthSummary.txt", "Events Read: 9\n")
    (tmp_path / "metadata.xml").write_text(METADATA.format(3) + METADATA.format(4))
    assert counted_events(tmp_path) == (7, 0)


def test_the_oldest_summary_tells(tmp_path):
    summary(tmp_path, "AthSummary.txt", "Events Read: 1\nEvents Written: 2\n")
    summary(tmp_path, "AthenaSummary_1", "x\nEvents Read:    50\nEvents Written: 40\n", age_s=60)
    assert counted_events(tmp_path) == (50, 40)


@pytest.mark.parametrize("text", ["", "Events Read: many", "Events Read: " + "9" * 400, "\0" * 100])
def test_what_tells_nothing_is_nothing(tmp_path, text):
    summary(tmp_path, "AthSummary", text)
    (tmp_path / "metadata.xml").write_text('<!DOCTYPE a [<!ENTITY b "&b;">]>' + text)
    assert counted_events(tmp_path) == (0, 0)


def test_a_link_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").write_text("Events Read: 5\n")
    (tmp_path / "AthSummary").symlink_to(tmp_path / "elsewhere")
    assert counted_events(tmp_path) == (0, 0)
    assert counted_events(tmp_path / "none") == (0, 0)


def test_the_runner_tells_of_them(place):
    place.job_dir.mkdir(exist_ok=True)
    result = place.run("printf 'Events Read: 5\\nEvents Written: 4\\n' > AthSummary.txt")
    assert (result.events_read, result.events_written) == (5, 4)
