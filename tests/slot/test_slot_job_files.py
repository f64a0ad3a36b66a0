"""Definition files: their forms, who comes late, what is broken, and deaths on the way."""

import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import pytest

from errors.exceptions import JobError
from ipc.tasks import AcquireJob
from jobs.ledger import fingerprint
from settings.handover import FileNames, Handover
from slot import job_files, turnover
from slot.job_files import take_job
from slot.job_lists import definition_of
from slot.turnover import Turnover

JOB = {"PandaID": 7, "attemptNr": 1, "transformation": "true"}


@pytest.fixture
def place(tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "ap").mkdir()

    class Place:
        home = tmp_path / "home"
        point = tmp_path / "ap"
        file = point / "HPCJobs.json"
        request = point / "worker_requestjob.json"
        handover = Handover(
            jobs_from_files=True,
            harvester=True,
            more_jobs=True,
            access_point=str(tmp_path / "ap"),
            definition_files=(str(tmp_path / "ap" / "HPCJobs.json"),),
            names=FileNames(),
        )

        @staticmethod
        def take(number=0, taken="", wait_s=0.0):
            kept = str(Place.home / f"kept-{number}")
            task = AcquireJob(request="{}", keep_at=kept, taken=taken, number=number)
            return take_job(Place.handover, Place.home, task, wait_s)

    return Place


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"7": JOB}),
        json.dumps({"7": {k: v for k, v in JOB.items() if k != "PandaID"}}),
        json.dumps([JOB, {"PandaID": 8}]),
        json.dumps(JOB),
        "PandaID=7&attemptNr=1&transformation=true&StatusCode=0&cmtConfig=&pre=%7B%27a%27%3A+None%7D",
        "\ufeff" + json.dumps({"7": JOB, "8": {"PandaID": 8}}),
    ],
)
def test_case_29_all_forms_of_a_definition(text):
    made = json.loads(definition_of(text.encode()))
    assert int(made["PandaID"]) == 7
    assert made["transformation"] == "true"


def test_blank_values_are_kept():
    assert json.loads(definition_of(b"PandaID=7&cmtConfig=")) == {"PandaID": "7", "cmtConfig": ""}


@pytest.mark.parametrize("text", ["", " ", "{}", "[]", "[1]", '{"7": 1}', "<html>", "{", '{"7": {', "a" * 100, "\0"])
def test_a_broken_file_is_an_error_and_stays(place, text, monkeypatch):
    monkeypatch.setattr(job_files, "_BROKEN_PAUSE_S", 0.01)
    place.file.write_text(text)
    with pytest.raises(JobError) as caught:
        place.take()
    assert caught.value.code == 1402
    assert str(place.file) in caught.value.detail
    assert place.file.read_text() == text


def test_a_file_that_is_still_being_written_is_read_again(place):
    place.file.write_text('{"7": {"Pan')
    timer = threading.Timer(0.1, lambda: place.file.write_text(json.dumps({"7": JOB})))
    timer.start()
    assert json.loads(place.take())["PandaID"] == 7
    timer.join()


def test_url_encoded_pairs_that_are_still_being_written_are_not_taken_for_whole(place):
    """Cut at any place they can be read; Harvester's messenger writes them in several pieces."""
    text = urlencode({**JOB, "jobPars": "x" * 100})
    place.file.write_text(text[:30])
    pieces = iter((text[:50], text[:90], text))
    writing = threading.Event()

    def write() -> None:
        for piece in pieces:
            writing.wait(0.1)
            place.file.write_text(piece)

    writer = threading.Thread(target=write)
    writer.start()
    assert json.loads(place.take())["jobPars"] == "x" * 100
    writer.join()


def test_taking_keeps_copies_and_removes_the_file(place):
    place.file.write_text(json.dumps({"7": JOB}))
    definition = place.take()
    assert not place.file.exists()
    assert json.loads((place.home / "job_definition.json").read_text()) == {"7": JOB}
    assert (place.home / "kept-0").read_text() == definition
    assert (place.home / "kept-0").stat().st_mode & 0o777 == 0o600
    assert not place.request.exists()


@pytest.mark.parametrize("form", [lambda job: json.dumps({"7": job}), urlencode])
def test_case_30_secrets_are_not_in_the_copy_for_people(place, form):
    place.file.write_text(form({**JOB, "secrets": "canary", "pandaProxySecretKey": "canary"}))
    assert "canary" in place.take()
    assert "canary" not in (place.home / "job_definition.json").read_text()
    assert int(json.loads((place.home / "job_definition.json").read_text())["7"]["PandaID"]) == 7


def test_a_file_left_by_a_death_is_not_run_twice(place):
    """The reporter died after the job was kept and before the file was removed; the kept one was run since."""
    place.file.write_text(json.dumps({"7": JOB}))
    definition = place.take()
    place.file.write_text(json.dumps({"7": JOB}))
    assert place.take(1, taken=fingerprint(definition)) == ""
    assert not place.file.exists()


def test_a_new_pilot_runs_the_job_of_its_directory_again(place):
    place.file.write_text(json.dumps({"7": JOB}))
    definition = place.take()
    place.file.write_text(json.dumps({"7": JOB}))
    assert place.take(0, taken=fingerprint(definition)) == definition


def test_a_further_job_is_asked_for_once_and_comes_at_once(place):
    def feed():
        while not place.request.exists():
            os.sched_yield()
        assert json.loads(place.request.read_text()) == {"nJobs": 1}
        (place.point / "x").write_text(json.dumps({"7": JOB}))
        (place.point / "x").rename(place.file)

    feeder = threading.Thread(target=feed)
    feeder.start()
    assert json.loads(place.take(1, wait_s=20))["PandaID"] == 7
    feeder.join()
    assert not place.request.exists()


def test_a_request_that_is_there_is_left_as_it_is(place):
    place.request.write_text('{"nJobs": 5}')
    assert place.take(1, wait_s=0.05) == ""
    assert json.loads(place.request.read_text()) == {"nJobs": 5}


def test_the_first_job_is_not_asked_for(place):
    assert place.take(wait_s=0.05) == ""
    assert not place.request.exists()


def test_jobs_in_directories_of_their_own(place):
    (place.point / "worker_pandaids.json").write_text('[6, 7, "../8"]')
    (place.point / "7").mkdir()
    (place.point / "7" / "HPCJobs.json").write_text(json.dumps({"7": JOB}))
    assert json.loads(place.take())["PandaID"] == 7


def test_h071_a_fifo_or_directory_in_the_place_of_a_job_does_not_hang(place):
    os.mkfifo(place.file)
    with pytest.raises(JobError, match="regular"):
        place.take()
    place.file.unlink()
    Path(place.file).mkdir()
    with pytest.raises(JobError, match="regular"):
        place.take()
    place.file.rmdir()
    place.file.symlink_to(place.file)
    with pytest.raises(JobError, match="symbolic links"):
        place.take()


@pytest.fixture
def shared(place, monkeypatch):
    """An access point where the job before has said its last word, and who looks after it."""
    monkeypatch.setattr(turnover, "_ROUND_S", 0.05)
    place.handover = replace(place.handover, harvester_updates=True)
    place.attributes = place.point / "worker_attributes.json"
    place.dump = place.point / "event_status.dump.json"
    place.attributes.write_text('{"jobStatus": "finished"}')
    place.dump.write_text("{}")
    place.turnover = Turnover()
    return place


def _wait_for_a_job(shared):
    task = AcquireJob(request="{}", number=1)
    assert take_job(shared.handover, shared.home, task, 0.1, shared.turnover) == ""
    assert shared.request.exists()


def test_attributes_of_the_job_before_go_when_harvester_has_read_them(shared):
    for _ in range(2):
        _wait_for_a_job(shared)
    assert shared.attributes.exists()
    read = shared.dump.rename(f"{shared.dump}.read")
    _wait_for_a_job(shared)
    assert shared.attributes.exists()  # taken, not yet acknowledged
    read.rename(f"{read}.2026-01-01")
    _wait_for_a_job(shared)
    assert not shared.attributes.exists()


def test_attributes_stay_when_harvester_may_not_have_read_them(shared):
    """The dump was taken at once: perhaps in a round that had read the attributes before the last ones came."""
    shared.dump.unlink()
    for _ in range(2):
        _wait_for_a_job(shared)
    assert shared.attributes.exists()
