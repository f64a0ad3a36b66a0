"""How jobs and updates are handed over: the table of panda-protocol 5.1 and the places of 5.2, row by row."""

import pytest

from settings.build import build
from settings.errors import SettingsError
from settings.handover import Asked, FileNames, Handover, decide

NAMED = {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "1"}

#: options, environment -> jobs from files, updates to files, Harvester's own update files, more jobs, access point
TABLE = [
    ({}, {}, (False, False, False, False, "")),
    ({}, NAMED, (False, False, False, False, "")),
    ({}, {**NAMED, "HARVESTER_WORKDIR": "/ap"}, (False, False, False, False, "/ap")),
    ({"workdir": "/ap"}, {}, (False, False, False, False, "/ap")),
    ({"push": True}, {}, (True, False, False, False, "")),
    ({"push": True}, NAMED, (True, False, False, False, "/launch")),
    ({"push": True, "base_dir": "/a"}, NAMED, (True, False, False, False, "/a")),
    ({"push": True, "workdir": "/ap"}, NAMED, (True, False, False, True, "/ap")),
    ({"push": True}, {**NAMED, "HARVESTER_WORKDIR": "/ap"}, (True, False, False, True, "/ap")),
    ({"push": True, "update_server": False}, {}, (True, True, False, False, "")),
    ({"push": True, "update_server": False}, {"HARVESTER_ID": "h"}, (True, True, True, False, "/launch")),
    ({"push": True, "update_server": False}, {"HARVESTER_WORKER_ID": "1"}, (True, True, True, False, "/launch")),
    ({"update_server": False}, {}, (True, True, False, False, "")),
    ({"update_server": False, "workdir": "/ap"}, {}, (True, True, True, True, "/ap")),
    ({"update_server": False, "datadir": "/d"}, {}, (True, True, True, True, "/d")),
    ({"update_server": False, "datadir": "/d", "workdir": "/ap"}, {}, (True, True, True, True, "/ap")),
    ({"update_server": False, "dump_given": True}, {}, (True, True, True, False, "/launch")),
    ({"update_server": False, "attributes_given": True}, {}, (True, True, True, False, "/launch")),
    ({"dump_given": True, "attributes_given": True}, {}, (False, False, False, False, "")),
]


@pytest.mark.parametrize(("options", "environ", "expected"), TABLE)
def test_the_table_of_modes(options, environ, expected):
    made = decide(Asked(**{"launch_dir": "/launch", **options}), environ, FileNames())
    found = (
        made.jobs_from_files, made.updates_to_files, made.harvester_updates, made.more_jobs, made.access_point
    )  # fmt: skip
    assert found == expected
    assert bool(made.definition_files) == made.jobs_from_files
    assert made.harvester or not made.access_point


def test_the_places_of_a_definition_in_their_order():
    environ = {"PILOT_WORK_DIR": "/w", "HARVESTER_WORKDIR": "/env"}
    made = decide(Asked(push=True, workdir="/ap", launch_dir="/x/launch"), environ, FileNames())
    assert made.definition_files == (
        "/x/pandaJobData.out",
        "/x/launch/pandaJobData.out",
        "/w/pandaJobData.out",
        "/ap/HPCJobs.json",
        "/env/HPCJobs.json",
        "/ap/pandaJobData.out",
        "/env/pandaJobData.out",
    )
    made = decide(Asked(push=True, datadir="/d", launch_dir="/x/launch"), {}, FileNames())
    assert made.definition_files == ("/d/pandaJobData.out",)


def test_the_options_and_the_environment_decide():
    words = ["-q", "Q", "-z", "--harvester-submit-mode", "push", "--harvester-workdir", "ap"]
    made = build(words, {}, "/launch")
    assert made.handover.access_point == "/launch/ap"
    assert (made.getjob_failures, made.getjob_requests) == (60, 60)
    assert build(["-q", "Q"], {}, "/launch").handover == Handover()


def test_a_job_file_of_ones_own_comes_before_all():
    words = ["-q", "Q", "-z", "--harvester-submit-mode", "PUSH", "--job-file", "j.json"]
    assert build(words, NAMED, "/launch").handover == Handover()


def test_the_names_of_the_files_come_from_the_configuration(tmp_path):
    config = tmp_path / "pilot.cfg"
    config.write_text("[Harvester]\nkill_worker_file: stop_it\nworkerattributes_file: a.json\n")
    environ = {"HARVESTER_PILOT_CONFIG": str(config)}
    names = build(["-q", "Q"], environ, "/launch").handover.names
    assert (names.kill, names.attributes, names.dump) == ("stop_it", "a.json", "event_status.dump.json")
    config.write_text("[Harvester]\nkill_worker_file: ../up\n")
    with pytest.raises(SettingsError, match="kill_worker_file"):
        build(["-q", "Q"], environ, "/launch")
