"""Several jobs in one definition file, or in files of their own: each is run once, one after the other."""

import json

import pytest
from slot_rig import environ_of, make_jobs, read_json, start_in, use_mv

from errors.exceptions import JobError
from ipc.tasks import AcquireJob
from jobs.definition_error import DefinitionError
from jobs.ledger import fingerprint
from settings.handover import Handover
from slot import job_files
from slot.job_files import take_job
from slot.job_lists import definition_of, without_first
from tests.waiting import wait_until

chaos = [pytest.mark.chaos, pytest.mark.timeout(90)]
JOBS = [{"PandaID": number, "transformation": "true"} for number in (7, 8, 9)]
FORMS = [json.dumps(JOBS), json.dumps({str(job["PandaID"]): job for job in JOBS})]


class Place:
    """A home with definition files beside it, and what a reporter asks of them."""

    def __init__(self, home, *names):
        self.home = home
        self.files = [home / name for name in names]
        self.handover = Handover(jobs_from_files=True, definition_files=tuple(map(str, self.files)))
        self.number, self.taken = 0, ""

    def take(self, *, died: bool = False) -> int:
        """Return the PandaID of the job that is taken, 0 for none; with `died` the journal never had it."""
        task = AcquireJob(request="", keep_at=str(self.home / "kept"), taken=self.taken, number=self.number)
        definition = take_job(self.handover, self.home, task, 0.0)
        if definition and not died:
            self.number, self.taken = self.number + 1, fingerprint(definition)
        return int(json.loads(definition)["PandaID"]) if definition else 0


@pytest.mark.parametrize("text", FORMS)
def test_one_job_after_the_other_and_the_file_holds_the_rest(tmp_path, text):
    place = Place(tmp_path, "jobs")
    place.files[0].write_text(text)
    place.files[0].chmod(0o600)
    assert place.take() == 7
    assert place.files[0].stat().st_mode & 0o777 == 0o600
    assert json.loads(definition_of(place.files[0].read_bytes()))["PandaID"] == 8
    assert read_json(tmp_path / "job_definition.json") == {"7": JOBS[0]}
    assert [place.take(), place.take(), place.take()] == [8, 9, 0]
    assert not place.files[0].exists()


@pytest.mark.parametrize("text", FORMS)
def test_a_death_before_the_job_was_taken_out_of_the_file(tmp_path, text):
    place = Place(tmp_path, "jobs")
    place.files[0].write_text(text)
    assert place.take() == 7
    place.files[0].write_text(text)  # the supervisor has the job from what was kept; the file is as it was
    assert [place.take(), place.take(), place.take()] == [8, 9, 0]


@pytest.mark.parametrize("text", FORMS)
def test_a_copy_of_the_file_runs_no_job_twice(tmp_path, text):
    """The wrapper copies the file into its work directory, which is one of the places too."""
    place = Place(tmp_path, "jobs", "copy")
    for file in place.files:
        file.write_text(text)
    assert place.take() == 7
    place.files[1].write_text(text)  # as if a death had left the copy as it was
    assert [place.take(), place.take(), place.take()] == [8, 9, 0]
    assert not any(file.exists() for file in place.files)


def test_a_broken_job_further_down_is_told_of_in_its_turn_and_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(job_files, "_BROKEN_PAUSE_S", 0.01)
    place = Place(tmp_path, "jobs")
    place.files[0].write_text(json.dumps([JOBS[0], {"no": "id"}, JOBS[1]]))
    assert place.take() == 7
    with pytest.raises(JobError) as caught:
        place.take()
    assert caught.value.code == 1402
    assert "PandaID" in caught.value.detail
    assert json.loads(place.files[0].read_text()) == [{"no": "id"}, JOBS[1]]


@pytest.mark.parametrize("text", [b"[]", b"[1]", b'[{"PandaID": 1}], "a": [1]', b'[{"PandaID": 1, "PandaID": 2}]'])
def test_lists_that_are_none(text):
    with pytest.raises(DefinitionError):
        definition_of(text)


def test_one_job_has_nothing_behind_it():
    assert without_first(b'{"PandaID": 7, "cmtConfig": ""}') == without_first(b"PandaID=7&cmtConfig=") == b""


class TestPilots:
    """Whole pilots; a queue with timefloor 0, which allows one job of the server's."""

    pytestmark = chaos

    @pytest.mark.parametrize("in_pod", [False, True])
    def test_all_jobs_of_a_file_are_run(self, sandbox, pilot, tmp_path, in_pod):
        use_mv(sandbox)
        jobs = make_jobs(sandbox, 3)
        place = tmp_path / "place"
        place.mkdir()
        (place / "pandaJobData.out").write_text(json.dumps({str(job["PandaID"]): job for job in jobs}))
        shared = tmp_path / "shared"
        shared.mkdir()
        start_in(
            pilot,
            place,
            *("-z", "--harvester-submit-mode", "PUSH", *(["--pod"] if in_pod else [])),
            environment={"SHARED_DIR": str(shared)} if in_pod else None,
        )
        assert pilot.wait_exit() == 0
        ids = [str(job["PandaID"]) for job in jobs]
        assert (place / "pandaIDs.out").read_text().split() == ids, pilot.story()
        said = (place / "pilotlog.txt").read_text()
        assert [said.count(f"job={number} reporting -> done") for number in ids] == [1, 1, 1]
        assert len((place / "output.list").read_text().splitlines()) == 6
        assert not (place / "pandaJobData.out").exists()
        links = {path.name: path.readlink() for path in shared.iterdir()}
        assert links == ({"payload_workdir": place / f"PanDA_Pilot-{ids[-1]}"} if in_pod else {})

    def test_jobs_with_places_of_their_own_are_all_run(self, sandbox, pilot, tmp_path):
        """ManyToOne, as Harvester's messenger lays it out."""
        use_mv(sandbox)
        jobs = make_jobs(sandbox, 3)
        point = tmp_path / "point"
        for job in jobs:
            (point / str(job["PandaID"])).mkdir(parents=True)
            (point / str(job["PandaID"]) / "HPCJobs.json").write_text(json.dumps({str(job["PandaID"]): job}))
        (point / "worker_pandaids.json").write_text(json.dumps([job["PandaID"] for job in jobs]))
        options = ("-z", "--harvester-submit-mode", "PUSH", "--harvester-workdir", str(point))
        start_in(pilot, point, *options, environment=environ_of(point))
        assert pilot.wait_exit() == 0
        for job in jobs:
            own = point / str(job["PandaID"])
            assert read_json(own / "worker_attributes.json")["jobStatus"] == "finished", pilot.story()
            assert list(read_json(own / "event_status.dump.json")) == [str(job["PandaID"])]

    def test_a_second_pilot_runs_what_a_killed_one_left(self, sandbox, pilot, tmp_path):
        use_mv(sandbox)
        jobs = make_jobs(sandbox, 3, transform="work.py", payload={"until": str(pilot.payload_end)})
        place = tmp_path / "place"
        place.mkdir()
        (place / "pandaJobData.out").write_text(json.dumps(jobs))
        start_in(pilot, place, "-z", "--harvester-submit-mode", "PUSH")
        log = place / "pilotlog.txt"
        wait_until(lambda: log.exists() and "payload_started" in log.read_text(), 30, "no payload")
        pilot.kill_all()
        pilot.payload_end.touch()
        start_in(pilot, place, "-z", "--harvester-submit-mode", "PUSH")
        assert pilot.wait_exit() == 0
        ids = [str(job["PandaID"]) for job in jobs]
        assert (place / "pandaIDs.out").read_text().split() == ids, pilot.story()
        said = (place / "pilotlog.txt").read_text()
        assert [said.count(f"job={number} reporting -> done") for number in ids] == [1, 1, 1]
