"""The maps of the worker node and its GPUs: read from texts, kept, sent once, never a reason to fail."""

import json
import os

import pytest

from ipc.results import NodeDescribed
from ipc.tasks import DescribeNode
from sandbox.client import Sandbox
from settings.settings import Settings
from workers.reporter import node_facts
from workflows.node import node_task

CPUINFO = """\
processor\t: 0
model name\t: AMD  EPYC 7351
cpu MHz\t\t: 2400.125
physical id\t: 0
siblings\t: 4
cpu cores\t: 2
flags\t\t: cx16 lahf_lm popcnt sse4_1 sse4_2 ssse3 avx avx2 bmi1 bmi2 f16c fma movbe xsave abm
processor\t: 1
model name\t: AMD EPYC 7351
physical id\t: 1
"""
A100 = "NVIDIA A100-SXM4-40GB, 40960, 550.54.15, 8.0"
GPU_LINES = f"{A100}\n{A100}\nOther, 1, 1, 7.5\n"
SMI = f"""#!/bin/sh
case "$*" in
  *query-gpu*) echo '{A100}' ;;
  *) echo "| NVIDIA-SMI 550.54.15   CUDA Version: 12.4 |" ;;
esac
"""


def test_worker_node():
    assert node_facts.worker_node(CPUINFO, "MemTotal:  2048000 kB\n", "x86_64", 5 * 10**11) == {
        "cpu_model": "AMD EPYC 7351",
        "n_logical_cpus": 2,
        "n_sockets": 2,
        "cores_per_socket": 2,
        "threads_per_core": 2,
        "total_memory": 2000,
        "total_local_disk": 500,
        "cpu_architecture": "x86_64",
        "cpu_architecture_level": "x86-64-v3",
        "clock_speed": 2400.125,
    }


def test_a_node_of_which_nothing_is_known():
    assert node_facts.worker_node("", "", "", 0) == {"cpu_model": "UNKNOWN"}
    assert node_facts.worker_node("cpu MHz : 0.000\n", "x", "aarch64", 0) == {
        "cpu_model": "UNKNOWN",
        "cpu_architecture": "aarch64",
    }


@pytest.mark.parametrize(("flags", "level"), [("", "x86-64-v1"), ("avx2 avx512f", "x86-64-v1")])
def test_a_level_needs_all_below_it(flags, level):
    assert node_facts.architecture_level(f"flags : {flags}\n", "x86_64") == level


def test_gpus():
    assert node_facts.gpus(GPU_LINES, "| NVIDIA-SMI 550   CUDA Version: 12.4 |") == {
        "vendor": "NVIDIA",
        "model": "NVIDIA A100-SXM4-40GB",
        "count": 2,
        "framework": "CUDA",
        "framework_version": "12.4",
        "driver_version": "550.54.15",
        "architecture": "Ampere",
        "vram": 40960,
    }


@pytest.mark.parametrize("listing", ["", "No devices were found\n", "a,b\n", ",,,\n"])
def test_no_gpu(listing):
    assert node_facts.gpus(listing, "") == {}


def test_a_gpu_that_says_little():
    assert node_facts.gpus("X, [N/A], [N/A], [N/A]\n", "")["count"] == 1


# ---------------------------------------------------------------- the duty
@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage")) as server:
        yield server


@pytest.fixture
def server(sandbox):
    sandbox.reset()
    return sandbox


@pytest.fixture
def smi(tmp_path, monkeypatch):
    tool = tmp_path / "bin" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(SMI)
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")


@pytest.fixture
def task(tmp_path):
    return DescribeNode(site="SITE", queue="SANDBOX", node="slot1@host", home=str(tmp_path), send=True)


def calls_of(server):
    return [entry["call"] for entry in server.record()]


@pytest.mark.usefixtures("smi")
def test_cases_12_and_13_both_maps_are_kept_and_sent_once(server, rig_for, task, tmp_path):
    assert rig_for(server.url).ask("n/1/1", task) == NodeDescribed()
    node, gpu = server.record()
    assert [entry["answer"]["success"] for entry in (node, gpu)] == [True, True]
    assert (node["call"], gpu["call"]) == ("update_worker_node", "update_worker_node_gpu")
    assert (node["body"]["site"], node["body"]["panda_queue"], node["body"]["host_name"]) == (
        "SITE",
        "SANDBOX",
        "slot1@host",
    )
    assert (gpu["body"]["host_name"], gpu["body"]["count"]) == ("host", 1)
    assert json.loads((tmp_path / "workernode_map.json").read_text()) == node["body"]
    assert json.loads((tmp_path / "gpu_map.json").read_text()) == gpu["body"]


def test_without_sending_only_the_copy_is_made(server, rig_for, task, tmp_path):
    quiet = DescribeNode(site=task.site, queue=task.queue, node=task.node, home=task.home, send=False)
    assert rig_for(server.url).ask("n/1/1", quiet) == NodeDescribed()
    assert calls_of(server) == []
    assert (tmp_path / "workernode_map.json").exists()


@pytest.mark.parametrize("kind", ["http_403", "http_500", "drop_before", "garbage", "empty", "wrong_types"])
@pytest.mark.usefixtures("smi")
def test_a_call_that_fails_is_not_made_again(server, rig_for, task, kind):
    server.fault("update_worker_node", kind)
    described = rig_for(server.url).ask("n/1/1", task)
    assert isinstance(described, NodeDescribed)
    assert described.note
    assert calls_of(server) == ["update_worker_node", "update_worker_node_gpu"]


def test_a_home_that_is_not_there(server, rig_for, task):
    lost = DescribeNode(site=task.site, queue=task.queue, node=task.node, home="/nonexistent/x", send=True)
    assert rig_for(server.url).ask("n/1/1", lost).note
    assert calls_of(server) == []


# ---------------------------------------------------------------- whether it is wanted
class Wants:
    def describes_node(self):
        return True


QUEUE = json.dumps({"nickname": "Q", "atlas_site": "SITE", "state": "ACTIVE", "status": "online", "copytools": {}})


def test_the_generic_experiment_does_not_want_it():
    assert node_task(Settings(queue="Q"), QUEUE, "/h") is None


@pytest.mark.parametrize(
    ("more", "send"),
    [({}, True), ({"update_server": False}, False), ({"job_file": "/j"}, False), ({"server_api": "legacy"}, False)],
)
def test_an_experiment_that_wants_it(monkeypatch, more, send):
    monkeypatch.setattr("workflows.node.experiment", lambda _name: Wants())
    task = node_task(Settings(queue="Q", node="n", **more), QUEUE, "/h")
    assert task == DescribeNode(site="SITE", queue="Q", node="n", home="/h", send=send)
