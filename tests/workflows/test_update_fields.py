"""What updates say: names and types of the server's table, each field at its time, lengths (protocol 3.2 to 3.7)."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from errors.codes import ErrorCode
from ipc.observations import Usage
from ipc.parts import Copy, Transfer
from ipc.tasks import CleanUp, PrepareJob, StageIn, Watch
from jobs.record import JobRecord, Plan, Stamps
from jobs.states import JobState
from sandbox.columns import database_error
from settings.cpu import cpu_level
from settings.node import glidein, machine_feature
from settings.settings import Settings
from workflows.figures import cut_pairs, job_metrics, read_report
from workflows.updates import update_body

ROOT = Path(__file__).resolve().parents[2]
TABLE = {row["v1"]: row for row in json.loads((ROOT / "sandbox/update_fields.json").read_text())["fields"]}
KINDS = {"int": int, "str": str, "number": (int, float)}
#: Nothing of ours has a meaning for them.
NEVER = {"grid", "timeout"}


def transfer(lfn, size):
    copy = Copy(copytool="cp", source="/a", destination="/b")
    return Transfer(lfn=lfn, kind="input", copies=(copy,), size_bytes=size)


PLAN = Plan(
    site_name="SITE",
    core_count=4,
    is_analysis=False,
    files=(),
    prepare=PrepareJob(job_dir="/j", control_dir="/c"),
    stage_in=StageIn(job_dir="/j", transfers=(transfer("in.1", 600), transfer("in.2", 400))),
    run=None,
    stage_out=None,
    log=None,
    watch=Watch(job_id=5, job_dir="/j", control_dir="/c"),
    clean=CleanUp(root="/m", paths=()),
)
REPORT = {
    "resource": {
        "transform": {"processedEvents": 50},
        "dbTimeTotal": 1.25,
        "executor": {"a": {"dbData": 100, "resimevents": 3}, "b": {"dbData": 50}},
    },
    "files": {"output": [{"subFiles": [{"name": "o", "nentries": 40}]}]},
}
FLOW = {f"{kind}_{name}": 500 for kind in ("tot", "rate") for name in ("rchar", "wchar", "rbytes", "wbytes")}
MEMORY = {f"{kind}_{name}_kb": 7 for kind in ("max", "avg") for name in ("pss", "rss", "vmem", "swap")}
USAGE = Usage(cpu_time_s=30, cores=2.6, work_dir_bytes=999, **MEMORY, **FLOW)
JOB = JobRecord(
    key="5.1",
    job_id=5,
    attempt_nr=1,
    state=JobState.RUNNING,
    usage=USAGE,
    stamps=Stamps(asked=10.0, received=12.0, stage_in=13.0, staged_in=20.0, started=22.0, ended=52.0, settled=60.0),
)
SETTINGS = Settings(
    queue="Q",
    batch_type="SLURM",
    batch_id="7",
    gtag="u",
    cpu_level="x86-64-v3",
    glidein_schedd="schedd",
    glidein_site="SITE",
    machine_hs06=80.0,
    machine_cpus=8.0,
)


def body(job=JOB, word="running", settings=SETTINGS, plan=PLAN):
    return update_body(job, plan, word, settings, 70.0, 1.0)


def finished(**changes):
    return body(replace(JOB, state=JobState.REPORTING, **changes), "finished")


def test_case_12_every_field_is_of_the_table_and_of_its_type():
    corrupt = replace(
        JOB,
        state=JobState.REPORTING,
        error_code=int(ErrorCode.GETADMISMATCH),
        error_diag="checksum: in.2: cp: checksum adler32:1 instead of adler32:2",
        debug=True,
        debug_text="a\nb",
        job_report=json.dumps(REPORT),
    )
    seen = body(corrupt, "failed")
    for name, value in seen.items():
        assert isinstance(value, KINDS[TABLE[name]["json_type"]]), name
        assert not isinstance(value, bool), name
    assert set(TABLE) - set(seen) == NEVER
    assert seen["corrupted_files"] == "in.2"
    assert seen["n_input_files"] == 2
    assert seen["pilot_timing"] == "2|7|30|8|9|2"


def test_what_belongs_to_the_final_update_is_in_no_other():
    early = body()
    final_only = [name for name, row in TABLE.items() if row["sent_when"].startswith("final") and name in early]
    assert {name: early[name] for name in final_only} == {"job_output_report": "", "meta_data": ""}
    assert "n_input_files" not in early
    assert early["job_sub_status"] == "running"
    assert finished()["job_sub_status"] == "finished"


def test_stdout_only_in_debug_mode():
    assert "stdout" not in body(replace(JOB, debug_text="x"))
    assert len(body(replace(JOB, debug=True, debug_text="x" * 5000))["stdout"]) == 2048


@pytest.mark.parametrize("missing", sorted(MEMORY))
def test_incomplete_memory_is_minus_one_in_all_eight(missing):
    seen = body(replace(JOB, usage=replace(USAGE, **{missing: -1})))
    assert {seen[name.removesuffix("_kb")] for name in MEMORY} == {-1}


def test_nothing_measured_nothing_said():
    seen = body(replace(JOB, usage=None))
    assert not set(seen) & {"max_rss", "tot_rchar", "mean_core_count", "cpu_consumption_time", "n_events"}
    assert "tot_rchar" not in body(replace(JOB, usage=replace(USAGE, tot_rchar=-1)))


def test_case_13_cores_and_cpu_are_whole_numbers_and_absurd_cpu_is_left_out():
    assert body()["mean_core_count"] == 3
    assert "cpu_consumption_time" not in body(replace(JOB, usage=replace(USAGE, cpu_time_s=10**9 + 1)))


def test_lengths():
    settings = replace(SETTINGS, gtag="g" * 300, batch_id="b" * 100)
    seen = body(replace(JOB, error_code=1, error_diag="d" * 900, exe_error_diag="e" * 900), "failed", settings)
    lengths = [len(seen[name]) for name in ("pilot_id", "batch_id", "pilot_error_diag", "exe_error_diag")]
    assert lengths == [200, 80, 500, 500]
    assert len(finished(log_extract="x" * 5000)["pilot_log"]) == 1024


@pytest.mark.parametrize(
    ("given", "sent"), [("a\0b", "a\ufffdb"), ("a\udc80b", "a\ufffdb"), ("\ud83d\ude00", "\U0001f600")]
)
def test_characters_that_no_database_takes_are_replaced(given, sent):
    """One of them costs the whole update, each time it is sent (seen on real servers)."""
    job = replace(JOB, state=JobState.REPORTING, error_code=1, error_diag=given, exe_error_diag=given, job_report=given)
    seen = body(replace(job, debug=True, debug_text=given, log_extract=given), "failed")
    names = ("pilot_error_diag", "exe_error_diag", "meta_data", "stdout", "pilot_log")
    assert [seen[name] for name in names] == [sent] * len(names)


def test_what_is_too_wide_or_too_large_for_a_column_is_cut():
    settings = replace(SETTINGS, scheduler_id="s" * 300, node="n" * 300, cpu_model="c" * 300)
    usage = replace(USAGE, cores=1e9, **dict.fromkeys(MEMORY, 2**70))
    job = replace(JOB, state=JobState.REPORTING, error_code=1, exe_error_code=2**40, usage=usage)
    seen = body(job, "failed", settings)
    assert database_error(seen) == ""
    assert [len(seen[name]) for name in ("scheduler_id", "node", "cpu_consumption_unit")] == [128] * 3
    assert seen["exe_error_code"] == 2**31 - 1
    assert seen["max_rss"] == 2**63 - 1


def test_a_job_keeps_the_batch_id_of_the_slot_that_took_it():
    """The server ends a job whose batch id changes; a later pilot may finish it in another slot."""
    assert body(replace(JOB, batch_id="first"))["batch_id"] == "first"
    assert body(JOB)["batch_id"] == "7"


def test_case_43_no_batch_system():
    seen = body(settings=replace(SETTINGS, batch_type="", batch_id=""))
    assert seen["pilot_id"].count("|") == 2
    assert "batch_id" not in seen


def test_sites_only_for_those_whose_server_asks():
    assert (body()["source_site"], body()["destination_site"]) == ("schedd", "SITE")
    assert "source_site" not in body(settings=replace(SETTINGS, pilot_user="atlas"))
    assert "source_site" not in body(settings=replace(SETTINGS, glidein_site=""))


# ---------------------------------------------------------------- metrics
def test_case_40_metrics_are_cut_between_pairs():
    text = " ".join(f"name{number}=value{number}" for number in range(60))
    cut = cut_pairs(text)
    assert len(cut) <= 500
    assert text.startswith(cut + " ")
    assert cut_pairs("a" * 249 + " " + "b" * 250) == "a" * 249 + " " + "b" * 250
    seen = body(replace(JOB, usage=replace(USAGE, gpu_name="x" * 600, n_gpu=2)))["job_metrics"]
    assert seen == "actualCoreCount=3 hs06=40.00 readbyterate=0.50"


def test_case_41_gpus_go_into_the_metrics():
    seen = body(replace(JOB, usage=replace(USAGE, gpu_name="Tesla T4", n_gpu=2)))
    assert "GPU_name=Tesla_T4 nGPU=2" in seen["job_metrics"]
    assert not [name for name in seen if "gpu" in name.lower()]


def test_all_metrics():
    usage = replace(USAGE, fitted=True, leak=0.5, chi2=0.25, intersect=100.0, event_number=77, tot_rbytes=1500)
    job = replace(JOB, usage=usage, job_report=json.dumps(REPORT))
    plan = replace(PLAN, scheduler_ip="10.0.0.1", session_ip="10.0.0.2")
    assert job_metrics(job, plan, SETTINGS, final=True).split() == [
        "actualCoreCount=3",
        "nEvents=50",
        "nEventsW=40",
        "dbTime=1.25",
        "dbData=150",
        "resimevents=3",
        "workDirSize=999",
        "hs06=40.00",
        "leak=0.500",
        "chi2=0.2500",
        "intersect=100.0",
        "eventnumber=77",
        "schedulerIP=10.0.0.1",
        "sessionIP=10.0.0.2",
        "readbyterate=1.50",
    ]
    assert "workDirSize" not in job_metrics(job, PLAN, SETTINGS, final=False)


def test_metrics_where_there_is_no_report_and_a_largest_size():
    usage = replace(USAGE, cores_now=7.6, max_work_dir_bytes=5000, events_read=9)
    job = replace(JOB, usage=usage, events_read=5, events_written=4)
    plan = replace(PLAN, scheduler_ip="10.0.0.1")
    seen = job_metrics(job, plan, SETTINGS, final=True).split()
    assert seen[:4] == ["actualCoreCount=8", "nEvents=5", "nEventsW=4", "workDirSize=5000"]
    assert not [pair for pair in seen if "IP=" in pair], "the session is told with both addresses or not at all"
    assert body(job)["n_events"] == 5
    assert body(job)["mean_core_count"] == 3
    idle = replace(JOB, usage=replace(USAGE, cores_now=0.0))
    assert job_metrics(idle, PLAN, SETTINGS, final=False).split()[0] == "actualCoreCount=1"


@pytest.mark.parametrize("text", ["", "x", "[]", '{"resource": 3}', '{"files": {"output": [1, {"subFiles": 3}]}}'])
def test_a_strange_job_report_gives_nothing(text):
    assert read_report(text).events_read == 0


# ---------------------------------------------------------------- the node
@pytest.mark.parametrize(
    ("flags", "level"),
    [
        ("", ""),
        ("lm sse2", "x86-64-v1"),
        ("lm cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3", "x86-64-v2"),
        (
            "lm cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
            "x86-64-v3",
        ),
    ],
)
def test_level_of_the_processor(flags, level):
    assert cpu_level(f"flags\t\t: {flags}\n") == level


def test_machine_features_and_glidein(tmp_path):
    (tmp_path / "hs06").write_text("120.5\n")
    environ = {"MACHINEFEATURES": str(tmp_path), "_CONDOR_MACHINE_AD": str(tmp_path / "ad"), "GLIDEIN_Site": "here"}
    (tmp_path / "ad").write_text('RemoteScheddName = "schedd.example.org"\nGLIDEIN_Site = "there"\n')
    assert machine_feature(environ, "hs06") == 120.5
    assert machine_feature(environ, "total_cpu") == 0.0
    assert glidein(environ) == {"glidein_schedd": "schedd.example.org", "glidein_site": "here"}
