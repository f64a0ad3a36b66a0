"""Plain files as job source and sink, through a real duty."""

import json
import os

import pytest
from reporter_rig import ACQUIRE, update

from ipc.results import JobAcquired, NoJob, UpdateAnswered


@pytest.fixture
def place(tmp_path, rig_for):
    class Place:
        job = tmp_path / "job.json"
        report = tmp_path / "report.json"

        @staticmethod
        def rig():
            return rig_for(job_file=str(Place.job), report_file=str(Place.report))

        @staticmethod
        def read():
            return json.loads(Place.report.read_text())

    return Place


def test_job_file_gives_one_job_and_then_the_end(place):
    place.job.write_text('{"PandaID": 5}')
    rig = place.rig()
    assert rig.ask("acquire/1/1", ACQUIRE) == JobAcquired(definition='{"PandaID": 5}')
    again = rig.ask("acquire/2/1", ACQUIRE)
    assert isinstance(again, NoJob)
    assert again.end


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No such file"), ("", "empty"), ("[]", "list"), ("{", "JSON"), ("{}x", "JSON")]
)
def test_job_file_that_cannot_be_used(place, content, says):
    if content is not None:
        place.job.write_text(content)
    code, text, retry = place.rig().ask("acquire/1/1", ACQUIRE)
    assert (code, retry) == (1402, False)
    assert says in text


def test_job_file_that_is_a_fifo_does_not_hang(place):
    os.mkfifo(place.job)
    code, text, _ = place.rig().ask("acquire/1/1", ACQUIRE)
    assert code == 1402
    assert "regular file" in text


def test_report_holds_the_last_state_and_all_updates(place):
    rig = place.rig()
    assert rig.ask("u1/1/1", update(1, state="starting")) == UpdateAnswered(stored=True)
    rig.ask("u2/1/1", update(2, state="failed", pilot_error_code=1201, pilot_error_diag="kill"))
    report = place.read()
    assert (report["job_id"], report["job_status"], report["final"]) == (1, "failed", True)
    assert (report["pilot_error_code"], report["pilot_error_diag"]) == (1201, "kill")
    assert [entry["sequence"] for entry in report["updates"]] == [1, 2]
    assert report["last_update"] == report["updates"][-1]["arguments"]


def test_update_sent_again_takes_its_own_place(place):
    rig = place.rig()
    for lease, task in (("a", update(1)), ("b", update(2)), ("c", update(2, state="finished"))):
        rig.ask(lease, task)
    assert [(e["sequence"], e["arguments"]["job_status"]) for e in place.read()["updates"]] == [
        (1, "running"),
        (2, "finished"),
    ]


def test_report_of_a_run_before_goes(place):
    for sequence in (1, 2, 3):
        place.rig().ask("x", update(sequence, state="finished"))
    place.rig().ask("y", update(1, state="starting"))
    report = place.read()
    assert [entry["sequence"] for entry in report["updates"]] == [1]
    assert not report["final"]


@pytest.mark.parametrize("content", ["", "not json", "[]", '{"updates": 3}', '{"updates": [1, {"sequence": "x"}]}'])
def test_odd_report_is_replaced(place, content):
    place.report.write_text(content)
    place.rig().ask("u", update(1))
    assert place.read()["updates"][-1]["sequence"] == 1


def test_report_that_cannot_be_written_is_a_failure_to_retry(place):
    place.report.mkdir()
    code, text, retry = place.rig().ask("u", update(1))
    assert (code, retry) == (1318, True)
    assert "report" in text
    assert [p.name for p in place.report.parent.iterdir()] == ["report.json"]
