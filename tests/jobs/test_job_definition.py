"""Job definitions as servers send them, and the conformance cases 24 to 29."""

import json
from urllib.parse import urlencode

import pytest
from job_texts import ANALYSIS, HPO, PRODUCTION, SMALL, text_of

from jobs.definition import DefinitionError, Step, build, parse


def test_case_24_production_job():
    job = parse(text_of(PRODUCTION))
    assert (job.job_id, job.attempt_nr, job.is_analysis, job.label) == (6712345678, 1, False, "managed")
    assert [(f.lfn, f.scope, f.access, f.size_bytes, f.checksum_type, f.checksum_value) for f in job.inputs] == [
        ("HITS.1._000777.pool.root.1", "mc23", "copy", 1843204096, "adler32", "1f2e3d4c"),
        ("HITS.1._000778.pool.root.1", "mc23", "copy", 1839000111, "adler32", "5b6a7988"),
    ]
    assert [(f.lfn, f.scope, f.dataset, f.allow_missing) for f in job.outputs] == [
        ("AOD.1._000123.pool.root.1", "mc23", "mc23.recon.AOD", False),
        ("HIST.1._000123.root", "mc23", "mc23.recon.HIST", True),
    ]
    assert job.log is not None
    assert (job.log.lfn, job.log.scope) == ("log.1._000123.job.log.tgz.1", "mc23")
    assert (job.log.dataset, job.log.guid) == ("mc23.recon.log", "3f0f2d0e-7c55-4a0b-9f0e-0d5b9c2a1f11")
    assert (job.platform, job.alrb_platform, job.core_count, job.alt_stage_out) == ("x86_64-el9-gcc13-opt", "", 8, True)
    assert (job.max_cpu_count_s, job.max_walltime_s, job.min_ram_mb, job.max_disk_mb) == (86400, 172800, 14000, 12000)


def test_case_25_log_in_the_middle():
    job = parse(
        text_of(
            SMALL,
            outFiles="a.root,x.log.tgz,b.root",
            logFile="x.log.tgz",
            scopeOut="sa,sb",
            scopeLog="sl",
            realDatasets="da,dl,db",
            ddmEndPointOut="EA,EL,EB",
        )
    )
    assert [(f.lfn, f.scope, f.dataset, f.endpoint) for f in job.outputs] == [
        ("a.root", "sa", "da", "EA"),
        ("b.root", "sb", "db", "EB"),
    ]
    assert job.log is not None
    assert (job.log.scope, job.log.dataset, job.log.endpoint) == ("sl", "dl", "EL")


def test_case_26_null_item_keeps_its_position():
    job = parse(text_of(inFiles="a,NULL,b", scopeIn="sa,sn,sb", fsize="1,2,3", checksum="00000001,2,ad:3", GUID="NULL"))
    assert [(f.lfn, f.scope, f.size_bytes, f.checksum_value, f.guid) for f in job.inputs] == [
        ("a", "sa", 1, "00000001", ""),
        ("b", "sb", 3, "00000003", ""),
    ]
    guids = [f"{number:032X}" for number in range(3)]
    lists = {"GUID": ",".join(guids), "realDatasetsIn": "da,dn,db", "ddmEndPointIn": "EA,EN,EB"}
    job = parse(text_of(inFiles="a,NULL,b", scopeIn="sa,sn,sb", prodDBlockToken="NULL,NULL,local", **lists))
    assert [(f.guid, f.dataset, f.endpoint, f.token) for f in job.inputs] == [
        (guids[0], "da", "EA", ""),
        (guids[2], "db", "EB", "local"),
    ]


def test_case_27_container_analysis_job():
    job = parse(text_of(ANALYSIS))
    assert job.is_analysis
    assert job.container_image == "docker://atlas/analysisbase:25.2.0"
    assert job.parameters == '-p "python3%20run.py" -i "[\'a.root\']" -r ./'
    assert (job.platform, job.alrb_platform, job.debug, job.sw_release) == ("x86_64-el9-gcc13-opt", "el9", True, "")
    assert [f.access for f in job.inputs] == ["direct", "copy", "copy"]


def test_container_name_counts_when_the_parameters_name_no_image():
    assert parse(text_of(ANALYSIS, jobPars="x")).container_image == "docker://atlas/other:1"


@pytest.mark.parametrize("null", ["NULL", "null", "None", "", None])
def test_case_28_null_numbers(null):
    job = parse(text_of(maxWalltime=null, coreCount=null, maxCpuCount=null, taskID=null))
    assert (job.max_walltime_s, job.core_count, job.max_cpu_count_s, job.task_id) == (0, 1, 0, 0)


def test_case_29_url_encoded_file():
    pairs = {
        **SMALL,
        "StatusCode": "0",
        "cmtConfig": "",
        "preprocess": "{'command': 'pre.sh', 'args': '-j \"\" \\'x\\''}",
    }
    job = parse(urlencode(pairs))
    assert job.preprocess == Step("pre.sh", "-j \"\" 'x'")
    assert (job.platform, job.job_id, job.attempt_nr) == ("", 4711, 3)


def test_case_30_secrets_are_kept_and_never_shown():
    job = parse(text_of(ANALYSIS))
    assert json.loads(job.secrets) == {"TOKEN_A": "canary-4711"}
    assert job.pilot_secrets == (("K", "canary-4712"),)
    assert "canary" not in repr(job)


def test_the_definition_of_an_hpo_job():
    job = parse(text_of(HPO))
    assert (job.is_hpo, job.event_service, job.looping_check, job.max_walltime_s, job.core_count) == (
        True,
        True,
        False,
        0,
        1,
    )
    assert job.preprocess is not None
    assert job.preprocess.args == '-j "" --in a.json'
    assert job.coprocess == Step("co.sh", "")
    assert job.postprocess is None
    assert (job.container_exec, job.container_exec_image) == ("__run_main_exec.sh", "docker://tf/tf:latest-gpu")


def test_smallest_job():
    job = parse(text_of())
    assert (job.job_id, job.inputs, job.outputs, job.log, job.looping_check) == (4711, (), (), None, True)
    assert job.environment == (("PANDAID", "4711"), ("PanDA_TaskID", "0"))
    assert hash(job) == hash(build(SMALL))


def test_bytes_with_byte_order_mark():
    assert parse(b"\xef\xbb\xbf" + text_of().encode()).job_id == 4711


def test_unknown_keys_are_ignored():
    assert parse(text_of(somethingNew=[1, {"a": None}], LD_PRELOAD="/evil.so")) == parse(text_of())


def test_log_name_of_the_environment_replaces_the_jobs():
    job = parse(text_of(PRODUCTION), log_name="other.log.tgz")
    assert job.log is not None
    assert (job.log.lfn, job.log.dataset) == ("other.log.tgz", "mc23.recon.log")
    assert len(job.outputs) == 2


@pytest.mark.parametrize(
    ("parameters", "transfer", "mode"),
    [
        ("x", "direct", "direct"),
        ("x", "NULL", "copy"),
        ("x --accessmode=direct", "NULL", "direct"),
        ("x --accessmode=copy", "direct", "copy"),
        ("x --useLocalIO y", "direct", "copy"),
    ],
)
def test_access_mode(parameters, transfer, mode):
    job = parse(text_of(jobPars=parameters, transferType=transfer, inFiles="a.root"))
    assert job.inputs[0].access == mode


@pytest.mark.parametrize("lfn", ["x.tar.gz", "x.lib.tgz", "x.raw.1", "raw.x"])
def test_some_files_are_never_read_directly(lfn):
    assert parse(text_of(transferType="direct", inFiles=lfn)).inputs[0].access == "copy"


def test_archive_members_and_google_sources():
    job = parse(text_of(inFiles="zip://a.tar,gs://bucket/dir/b.dat"))
    assert [(f.lfn, f.url, f.in_archive) for f in job.inputs] == [
        ("a.tar", "", True),
        ("b.dat", "gs://bucket/dir/b.dat", False),
    ]


def test_list_files_of_a_merge_job():
    job = parse(
        text_of(jobPars="--inputHITSFile=@inFor_x --autoConfiguration=everything --y", writeToFile="inFor_x:a,b^z:c")
    )
    assert job.parameters == "@inFor_x.txt --y"
    assert job.list_files[0].content == "--inputHITSFile\na\nb\n"
    assert (job.list_files[1].name, job.list_files[1].content) == ("z.txt", "c\n")


def test_scopes_given_as_null_are_allowed():
    assert [f.scope for f in parse(text_of(outFiles="ab,cd", scopeOut="NULL")).outputs] == ["", ""]


def test_repeated_input_is_left_out_with_its_position():
    job = parse(text_of(inFiles="a,a,b", fsize="1,2,3"))
    assert [(f.lfn, f.size_bytes) for f in job.inputs] == [("a", 1), ("b", 3)]


SPEC_SHAPES = {"production": PRODUCTION, "analysis": ANALYSIS, "hpo": HPO, "small": SMALL}


@pytest.mark.parametrize("shape", SPEC_SHAPES.values(), ids=SPEC_SHAPES)
def test_legacy_text_values_give_the_same_job(shape):
    as_text = {k: v if isinstance(v, dict | None) else str(v) for k, v in shape.items()}
    assert build(as_text) == build(shape)


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"scopeOut": None, "outFiles": "ab"}, "scopeOut", 1402),
        ({"scopeOut": "a", "outFiles": "ab,cd"}, "scopeOut", 1312),
        ({"scopeOut": "a,b", "outFiles": "ab"}, "scopeOut", 1312),
        ({"outFiles": "ab", "scopeOut": "a", "realDatasets": "d1,d2"}, "realDatasets", 1312),
        ({"PandaID": "NULL"}, "PandaID", 1402),
        ({"transformation": "NULL"}, "transformation", 1402),
        ({"debug": "perhaps"}, "debug", 1302),
        ({"preprocess": "x("}, "preprocess", 1302),
        ({"preprocess": {"args": "x"}}, "preprocess", 1402),
        ({"preprocess": {"command": "ftp://x/y"}}, "preprocess", 1149),
        ({"pilotSecrets": {"a": [1]}}, "pilotSecrets", 1302),
        ({"checksum": "sha1:00", "inFiles": "ab"}, "checksum", 1314),
        ({"jobName": "a\nb"}, "jobName", 1402),
        ({"containerOptions": {"execArgs": "--bind /:/host"}}, "containerOptions", 1402),
        ({"writeToFile": "../x:a"}, "writeToFile", 1402),
        ({"writeToFile": "x"}, "writeToFile", 1402),
        ({"altStageOut": "maybe"}, "altStageOut", 1302),
        ({"cmtConfig": "x86_64;id"}, "cmtConfig", 1402),
    ],
)
def test_refused_with_code_and_field(changes, field, code):
    with pytest.raises(DefinitionError) as caught:
        parse(text_of(**changes))
    assert (caught.value.field, caught.value.code) == (field, code)
    assert field in caught.value.diagnostics
