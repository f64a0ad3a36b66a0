"""The plan of a job that is fed with events (event-service 1.1, 4.2, 4.3, 7.3)."""

import json

import pytest

from errors.exceptions import BulkheadError
from jobs.ledger import Hunt
from settings.settings import Settings
from tests.queues.queue_texts import MOUNTED, QUEUE, STORAGES
from workflows.events import channel_of
from workflows.standard import make_plan

MAIN = "/w/PanDA_Pilot3_1_1"
#: An object store that can be reached with the copy tools of today.
OBJECTS = {"id": 1003, "type": "OS_ES", "is_deterministic": False, "arprotocols": {"write_lan": [MOUNTED]}}
JOB = {
    "PandaID": 5,
    "attemptNr": 1,
    "taskID": 7,
    "jobsetID": 3,
    "coreCount": 8,
    "transformation": "Sim_tf.py",
    "jobPars": "--a=1",
    "eventService": "True",
    "outFiles": "HITS.1,log.1",
    "realDatasets": "a:b,a:c",
    "destinationDblock": "a,b",
    "ddmEndPointOut": "LOCAL_DISK,LOCAL_DISK",
    "scopeOut": "s",
    "scopeLog": "s",
    "logFile": "log.1",
    "logGUID": "3f0f2d0e-7c55-4a0b-9f0e-0d5b9c2a1f11",
}


def plan_of(job=(), storages=(), settings=None, main=MAIN, **queue):
    local = {
        "copytools": {"cp": {"setup": ""}},
        "acopytools": {},
        "acopytools_schemas": {"default": ["file"]},
        "astorages": {"write_lan": ["LOCAL_DISK"], "pw": ["LOCAL_DISK"]},
    }
    text = json.dumps({**QUEUE, **local, **queue})
    hunt = Hunt(queue_text=text, storage_text=json.dumps({**STORAGES, "OBJECTS": OBJECTS, **dict(storages)}))
    given = settings or Settings(queue="EXAMPLE_SITE")
    return make_plan(json.dumps({**JOB, **dict(job)}), hunt, given, main, "5.1")


def test_the_payload_is_told_of_the_channel_and_only_its_log_is_staged_out():
    plan = plan_of()
    channel = f"ipc://{MAIN}/PanDA_Pilot-5/es.sock"
    variables = {variable.name: variable.value for variable in plan.run.environment}
    assert plan.feed.channel == channel
    assert plan.run.command.count(channel) == 1
    assert variables["PILOT_EVENTRANGECHANNEL"] == channel
    assert variables["PILOT_ES_TRANSPORT"] == "zmq"
    assert (variables["ATHENA_PROC_NUMBER"], variables["ATHENA_CORE_NUMBER"]) == ("8", "8")
    assert plan.stage_out is None
    assert plan.log is not None
    assert (plan.feed.job_id, plan.feed.jobset_id, plan.feed.task_id, plan.feed.core_count) == (5, 3, 7, 8)


@pytest.mark.parametrize(
    "job", [{"eventService": None}, {"eventService": "false"}, {"eventServiceMerge": "True"}, {"isHPO": "True"}]
)
def test_other_jobs_are_not_fed(job):
    plan = plan_of({name: value for name, value in {**JOB, **job}.items() if value is not None} | job)
    assert plan.feed is None
    assert plan.stage_out is not None


def test_case_62_archives_go_to_pw_unless_there_is_a_storage_for_events():
    (store,) = plan_of().feed.stores
    assert (store.endpoint, store.storage_id, store.deterministic) == ("LOCAL_DISK", 1, True)
    assert store.base == "file://localhost/mnt/rse/"
    names = {"es_events": ["OBJECTS"], "write_lan": ["LOCAL_DISK"], "pw": ["LOCAL_DISK"]}
    first, second = plan_of(astorages=names).feed.stores
    assert (first.endpoint, first.storage_id, first.deterministic) == ("OBJECTS", 1003, False)
    assert second.endpoint == "LOCAL_DISK"


def test_the_failover_is_another_storage_or_none():
    names = {"es_events": ["OBJECTS"], "es_failover": ["OBJECTS"], "write_lan": ["LOCAL_DISK"]}
    assert [store.endpoint for store in plan_of(astorages=names).feed.stores] == ["OBJECTS"]


@pytest.mark.parametrize(
    ("names", "code"), [({}, 1133), ({"es_events": ["NOWHERE"]}, 1133), ({"es_events": ["EXAMPLE-PROD_ES"]}, 1313)]
)
def test_a_queue_without_a_usable_storage_for_events(names, code):
    with pytest.raises(BulkheadError) as error:
        plan_of(astorages={"write_lan": ["LOCAL_DISK"], **names})
    assert error.value.code == code


@pytest.mark.parametrize(
    ("queue", "gap_s"), [({"zip_time_gap": 30}, 30), ({"pledgedcpu": -1}, 600), ({"pledgedcpu": 100}, 7200)]
)
def test_how_often_archives_are_closed(queue, gap_s):
    assert plan_of(**queue).feed.gap_s == gap_s


@pytest.mark.parametrize(
    ("catchall", "limit_s"),
    [("", 21600), ("max_wait_for_one_event=0.05", 3), ("max_wait_for_one_event=soon", 21600)],
)
def test_how_long_one_range_may_be_silent(catchall, limit_s):
    assert plan_of(catchall=catchall).feed.silent_range_s == pytest.approx(limit_s)


def test_a_socket_has_a_short_path():
    settings = Settings(queue="Q", environment=(("TMPDIR", "/scratch/t"),))
    found = channel_of(f"/very/{'long/' * 30}PanDA_Pilot-5", settings)
    assert found.startswith("ipc:///scratch/t/bulkhead-es-")
    assert channel_of("/with a blank", settings).startswith("ipc:///scratch/t/bulkhead-es-")
    runtime = Settings(queue="Q", environment=(("TMPDIR", "/scratch/t"), ("XDG_RUNTIME_DIR", "/run/user/1")))
    assert channel_of("/with a blank", runtime).startswith("ipc:///run/user/1/bulkhead-es-")


def test_positions_of_events_need_the_name_of_the_file():
    assert plan_of({"inFilePosEvtNum": "True"}).feed.local_names
    assert not plan_of().feed.local_names
