"""Node facts, server URL and label (panda-protocol 1.1, 1.6, 3.3, 3.4; conformance cases 8, 20, 42, 43)."""

import os

import pytest

from jobs.record import JobRecord
from jobs.states import JobState
from settings.build import build
from settings.cpu import cpu_model, cpu_sets
from settings.node import batch_system, memory_mb, node_name, read
from settings.server import request_label, server_url
from settings.settings import VERSION, Settings
from workflows.updates import update_body

JOB = JobRecord(key="5.1", job_id=5, attempt_nr=1, state=JobState.RUNNING)

EPYC = """\
processor\t: 0
model name\t: AMD EPYC 7351 16-Core Processor
cache size\t: 512 KB
physical id\t: 0
siblings\t: 32
cpu cores\t: 16
flags\t\t: fpu avx avx2 sse4_2

processor\t: 1
model name\t: AMD EPYC 7351 16-Core Processor
physical id\t: 1
"""


def test_cpu_model_of_the_specification():
    assert cpu_model(EPYC) == "AMD EPYC 7351 16-Core Processor 512 KB HT 2-Sockets"
    assert cpu_sets(EPYC) == ("AVX2",)
    settings = Settings(queue="Q", cpu_model=cpu_model(EPYC), cpu_sets=cpu_sets(EPYC))
    assert settings.cpu_consumption_unit == "s+AMD EPYC 7351 16-Core Processor 512 KB HT 2-Sockets+AVX2"


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("", "UNKNOWN"),
        ("CPU implementer : 0x41\nCPU architecture: 8\n", "ARM"),
        ("model name : Some Processor X\ncpu cores : 4\nsiblings : 4\n", "Some 4-Core Processor X"),
        (
            "model name : Xeon @ 2.4GHz\ncache size : 99 KB\ncpu cores : 14\nphysical id : 0\n",
            "Xeon @ 2.4GHz 99 KB 14-Core Processor 1-Socket",
        ),
        ("model name : Odd\ncpu cores : many\n", "Odd"),
    ],
)
def test_cpu_model(text, model):
    assert cpu_model(text) == model
    assert cpu_sets(text) == ()


@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("QSUB_REQNAME", "BQS"),
        ("BQSCLUSTER", "BQS"),
        ("PBS_JOBID", "Torque"),
        ("LSB_JOBID", "LSF"),
        ("JOB_ID", "Grid Engine"),
        ("clusterid", "Condor"),
        ("SLURM_JOB_ID", "SLURM"),
        ("K8S_JOB_ID", "Kubernetes"),
    ],
)
def test_case_42_batch_system(variable, name):
    assert batch_system({variable: "7"}) == (name, "7")
    settings = build(["-q", "Q"], {"GTAG": "u", variable: "slot.7#1"}, "/")
    for word in ("starting", "running", "finished", "failed"):
        body = update_body(JOB, None, word, settings, 70.0, 1.0)
        assert body["pilot_id"] == f"u|{name}|PR|{VERSION}"
        assert body["batch_id"] == "slot.7#1"


def test_batch_order_and_condor_advertisement(tmp_path):
    assert batch_system({"SLURM_JOB_ID": "2", "PBS_JOBID": "1"}) == ("Torque", "1")
    ad = tmp_path / "ad"
    ad.write_text('MyType = "Job"\nGlobalJobId = "bigbird10.cern.ch#1234.0#1700000000"\n')
    assert batch_system({"_CONDOR_JOB_AD": str(ad)}) == ("Condor", "bigbird10.cern.ch#1234.0#1700000000")
    assert batch_system({"_CONDOR_JOB_AD": str(tmp_path / "none")}) == ("", "")


def test_case_42_pilot_id_with_batch_system():
    settings = build(["-q", "Q"], {"GTAG": "u", "SLURM_JOB_ID": "7"}, "/")
    assert settings.pilot_id == f"u|SLURM|PR|{VERSION}"
    assert settings.batch_id == "7"


def test_case_43_pilot_id_without_batch_system():
    settings = build(["-q", "Q"], {}, "/")
    assert settings.pilot_id == f"unknown|PR|{VERSION}"
    assert settings.batch_id == ""


def test_node_name():
    assert node_name({}) == os.uname().nodename[:128]
    assert node_name({"PANDA_HOSTNAME": "h", "_CONDOR_SLOT": "slot1_3"}) == "slot1_3@h"
    assert len(node_name({"PANDA_HOSTNAME": "h" * 500})) == 128


def test_facts_of_the_node(tmp_path):
    (tmp_path / "cpuinfo").write_text(EPYC)
    (tmp_path / "meminfo").write_text("MemTotal:       65773568 kB\nMemFree: 1 kB\n")
    environ = {"PANDA_JSID": "aj", "HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12"}
    facts = read(environ, tmp_path)
    assert facts["memory_mb"] == 64232
    assert (facts["scheduler_id"], facts["harvester_id"], facts["harvester_worker_id"]) == ("aj", "h", "12")
    assert read({}, tmp_path / "none")["memory_mb"] == 0
    assert memory_mb("nonsense") == 0


@pytest.mark.parametrize(
    ("url", "port", "whole"),
    [
        ("host", 1234, "https://host:1234"),
        ("http://host:25080", 1, "http://host:25080"),
        ("host:25443", 1, "https://host:25443"),
        ("https://host/", 25443, "https://host:25443"),
        ("https://host/prefix/", 9, "https://host:9/prefix"),
        ("[::1]", 9, "https://[::1]:9"),
        ("", 9, "https://pandaserver.cern.ch:25443"),
    ],
)
def test_case_8_server_url(url, port, whole):
    assert server_url(Settings(queue="Q", url=url, port=port)) == whole


@pytest.mark.parametrize(
    ("tag", "label", "status", "asked"),
    [
        ("RC", "ptest", "online", "ptest"),
        ("RC", "rc_test2", "online", "rc_test2"),
        ("RCM", "ptest", "online", "rcm_test2"),
        ("ALRB", "managed", "online", "rc_alrb"),
        ("PR", "managed", "test", "test"),
        ("PR", "ptest", "test", "ptest"),
        ("PR", "managed", "online", "managed"),
        ("RC", "managed", "online", "managed"),
        ("RC", "ptest", "test", "ptest"),
    ],
)
def test_case_20_label(tag, label, status, asked):
    assert request_label(Settings(queue="Q", version_tag=tag, job_label=label), status) == asked
