"""Files of Harvester and ARC that were tampered with, by the hostile inputs' numbers: nothing lost, nothing escapes."""

import json
import os
from pathlib import Path

import pytest
from slot_rig import Messenger, environ_of, make_jobs, start_in, use_mv

from errors.exceptions import JobError
from ipc.tasks import AcquireJob, SendUpdate
from settings.handover import Handover
from settings.settings import Settings
from slot import job_files, life
from slot.dump import write_dump
from slot.ids import note_job
from slot.job_files import take_job
from slot.updates import write_update

JOB = {"PandaID": 7, "transformation": "true"}
FILES = (
    "worker_attributes.json",
    "event_status.dump.json",
    "jobReport.json",
    "heartbeat.json",
    "heartbeat_new.json",
    "output.list",
    "worker_heartbeat.json",
    "worker_pandaids.json",
    "pandaIDs.out",
    "kill_worker",
    "kill_worker.json",
)


@pytest.fixture
def settings(tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    handover = Handover(
        jobs_from_files=True, updates_to_files=True, harvester=True, harvester_updates=True, access_point=str(place)
    )
    return Settings(queue="Q", update_server=False, home=str(place), launch_dir=str(place), handover=handover)


def _final(settings, job_id=7, **more) -> None:
    report = {"o.root": {"fsize": 1, "adler32": "00620062", "guid": "G"}}
    body = {"job_id": job_id, "job_status": "finished", "job_output_report": json.dumps(report), "meta_data": "{}"}
    task = SendUpdate(sequence=1, call="update_job", body=json.dumps({**body, **more}), final=True)
    write_update(settings, task, 0.0)


DEFINITIONS = {
    "H034": b'{"7": {"PandaID": 7, "PandaID": 8}}',
    "H034 in the list of jobs": b'{"7": {"PandaID": 7}, "7": {"PandaID": 7}}',
    "H035": b'{"7": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "H035 in a list": b"[" * 100_000 + b"]" * 100_000,
    "H044": b"<html><body>Forbidden</body></html>",
    "H045": b"",
    "H046": b'{"7": {"PandaID": 7, "transf',
    "H049": json.dumps({"7": {**JOB, "jobName": "\xe9"}}, ensure_ascii=False).encode("latin-1"),
    "H072 of zeros": bytes(4096),
}


@pytest.mark.parametrize("text", DEFINITIONS.values(), ids=DEFINITIONS)
def test_a_definition_file_that_cannot_be_one_is_told_of_and_stays(tmp_path, text, monkeypatch):
    monkeypatch.setattr(job_files, "_BROKEN_PAUSE_S", 0.01)
    file = tmp_path / "HPCJobs.json"
    file.write_bytes(text)
    handover = Handover(jobs_from_files=True, definition_files=(str(file),))
    with pytest.raises(JobError) as caught:
        take_job(handover, tmp_path, AcquireJob(request="", keep_at=str(tmp_path / "kept")), 0.0)
    assert caught.value.code == 1402
    assert str(file) in caught.value.detail
    assert file.read_bytes() == text
    assert [path.name for path in tmp_path.iterdir()] == ["HPCJobs.json"]


def test_h047_an_endless_definition_file_is_not_read(tmp_path):
    file = tmp_path / "HPCJobs.json"
    with file.open("wb") as stream:
        stream.truncate(10 * 1024**3)
    handover = Handover(jobs_from_files=True, definition_files=(str(file),))
    with pytest.raises(JobError, match="larger"):
        take_job(handover, tmp_path, AcquireJob(request=""), 0.0)


@pytest.mark.parametrize("kind", ["H070 link", "H071 fifo", "H072 directory"])
@pytest.mark.parametrize("name", FILES)
def test_h070_h071_h072_something_else_at_the_name_of_a_shared_file(settings, tmp_path, name, kind):
    """A link is replaced and what it led to untouched; nothing hangs, and the other files are written all the same."""
    place, victim = Path(settings.home), tmp_path / "victim"
    victim.write_text("precious")
    os.utime(victim, (1, 1))
    if "link" in kind:
        (place / name).symlink_to(victim)
    elif "fifo" in kind:
        os.mkfifo(place / name)
    else:
        (place / name).mkdir()
    (place / "o.root").write_text("b")
    pull = Settings(queue="Q", home=str(place), launch_dir=str(place), handover=Handover(access_point=str(place)))

    life.begin(settings, 0.0)
    note_job(settings, json.dumps(JOB))
    note_job(pull, json.dumps(JOB))
    if "directory" in kind and name in FILES[:6] and name != "event_status.dump.json":
        with pytest.raises(OSError, match="irectory"):
            _final(settings)
        (place / name).rmdir()
    _final(settings)
    life.end(settings, 0, 0.0, jobs_left=False)
    assert (victim.read_text(), victim.stat().st_mtime) == ("precious", 1)
    blocked = {name} if "directory" in kind and name not in FILES[:6] else set()
    blocked |= {name} if name == "pandaIDs.out" else set()
    written = {path.name for path in place.iterdir() if path.is_file() and not path.is_symlink()}
    assert set(FILES) - blocked <= written
    assert json.loads((place / "worker_attributes.json").read_text())["jobStatus"] == "finished"


STATES = {
    "H072 empty": b"",
    "H072 torn": b'{"job_id": 7, "job_st',
    "H072 of zeros": bytes(4096),
    "H035": b"[" * 100_000,
    "H072 a list": b"[1]",
    "H022": b'{"job_id": "../../victims", "job_status": "running"}',
    "H022 a list": b'{"job_id": [7], "job_status": "running"}',
    "H072 wrong types": b'{"job_id": 7, "job_status": {"a": 1}}',
}


@pytest.mark.parametrize("text", STATES.values(), ids=STATES)
def test_the_last_word_does_not_depend_on_what_lies_there(settings, tmp_path, text):
    (tmp_path.parent / "victims").mkdir(exist_ok=True)
    (Path(settings.home) / "heartbeat_new.json").write_bytes(text)
    life.end(settings, 143, 0.0, jobs_left=False)
    beat = json.loads((Path(settings.home) / "heartbeat.json").read_text())
    assert (beat["state"], beat["pilotErrorCode"]) == ("failed", 1201)
    assert not list((tmp_path.parent / "victims").iterdir())


def test_h095_a_payload_that_writes_the_list_of_uploads(settings, tmp_path):
    """Nothing that is not a plain file beside the job is named in it afterwards."""
    place = Path(settings.home)
    (tmp_path / "secret").write_text("s")
    (place / "link").symlink_to(tmp_path / "secret")
    for name in ("o.root", "earlier.root"):
        (place / name).write_text("b")
    lines = ["earlier.root srm://x", "../secret srm://x", f"{tmp_path}/secret srm://x", "link srm://x", ".hidden y"]
    (place / ".hidden").write_text("h")
    (place / "output.list").write_text("\n".join(lines) + "\n")
    _final(settings)
    kept = [line.split()[0] for line in (place / "output.list").read_text().splitlines()]
    assert kept == ["earlier.root", "o.root"]


def test_h095_an_endless_list_of_uploads(settings):
    place = Path(settings.home)
    (place / "o.root").write_text("b")
    with (place / "output.list").open("wb") as stream:
        stream.truncate(10 * 1024**3)
    _final(settings)
    assert [line.split()[0] for line in (place / "output.list").read_text().splitlines()] == ["o.root"]


DUMPS = {"H072 torn": b'{"1": [', "H072 of zeros": bytes(100), "H035": b"[" * 100_000, "H072 empty": b""}


@pytest.mark.parametrize("text", DUMPS.values(), ids=DUMPS)
def test_an_unread_dump_that_is_none_is_kept_and_hinders_nobody(tmp_path, text):
    (tmp_path / "d.json").write_bytes(text)
    write_dump(tmp_path / "d.json", 2, [])
    assert json.loads((tmp_path / "d.json").read_text()) == {"2": []}
    assert (tmp_path / ".d.json.unread.bad").read_bytes() == text


def test_h097_an_access_point_that_is_gone_is_made_again(settings):
    place = Path(settings.home)
    point = place / "point"
    away = Settings(
        queue="Q",
        update_server=False,
        home=str(place),
        handover=Handover(updates_to_files=True, harvester=True, harvester_updates=True, access_point=str(point)),
    )
    (place / "o.root").write_text("b")
    life.touch_heartbeat(away)
    _final(away)
    assert {path.name for path in point.iterdir()} == {
        "worker_heartbeat.json",
        "worker_attributes.json",
        "event_status.dump.json",
        "jobReport.json",
    }


@pytest.mark.chaos
@pytest.mark.timeout(60)
def test_h073_an_access_point_with_an_odd_name(sandbox, pilot, tmp_path):
    use_mv(sandbox)
    (job,) = make_jobs(sandbox)
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    harvester = Messenger(folder / "a b'\"$HOME;`id`\n")
    harvester.feed(job)
    options = ("-z", "--harvester-submit-mode", "PUSH", "--harvester-workdir", str(harvester.point))
    start_in(pilot, harvester.point, *options, environment=environ_of(harvester.point))
    assert pilot.wait_exit() == 0
    assert harvester.attributes()["jobStatus"] == "finished"
    assert len(harvester.take_dump()[str(job["PandaID"])]) == 2
    assert harvester.killed()
