"""The maps of the worker node and its GPUs: collected, kept as files, sent once (panda-protocol 1.7, 6).

Nothing of it is important: whatever goes wrong is a note in the result, and a call that failed is not made again.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from host.files import read_bounded, write_atomic
from ipc.results import NodeDescribed
from ipc.tasks import DescribeNode
from settings.settings import Settings
from workers.reporter import dialect_v1
from workers.reporter.exchange import Failure, LocalCall, Lost, Outcome, Reply, Request
from workers.reporter.foreign_json import ForeignJsonError, read_object
from workers.reporter.node_facts import GPU_QUERY, Facts, gpus, worker_node

#: Names of the copies in the pilot's home.
NODE_MAP = "workernode_map.json"
GPU_MAP = "gpu_map.json"
_LIMIT_S = 10.0
_TOOL_LIMIT_S = 4.0
_PROC_BYTES = 4 * 1024 * 1024


@dataclass(slots=True)
class _State:
    left: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    collected: bool = False


class NodeDescription:
    """The conversation of a DescribeNode; it always ends with a NodeDescribed."""

    def __init__(self, task: DescribeNode, settings: Settings) -> None:
        self.what = "worker node map"
        self.limit_s = min(_LIMIT_S, settings.http_timeout_s)
        self._task = task
        self._settings = settings
        self._state = _State()

    def begin(self) -> Request | Outcome:
        """Look at the node."""
        return LocalCall(run=partial(collect, self._task))

    def heard(self, reply: Reply) -> Request | Outcome:
        """Take the maps, then the answers to the calls that send them."""
        state = self._state
        if not state.collected:
            state.collected = True
            self._take(reply)
        else:
            outcome = dialect_v1.read_update(reply)
            if isinstance(outcome, Failure):
                state.notes.append(outcome.text)
        if not state.left:
            return NodeDescribed(note="; ".join(state.notes))
        call, arguments = state.left.pop(0)
        return dialect_v1.post(self._settings, call, json.dumps(arguments))

    def _take(self, reply: Reply) -> None:
        if isinstance(reply, Lost):
            self._state.notes.append(reply.text)
            return
        try:
            maps = read_object(reply.body)
        except ForeignJsonError as error:
            self._state.notes.append(str(error))
            return
        if self._task.send:
            calls = (("pilot/update_worker_node", "node"), ("pilot/update_worker_node_gpu", "gpu"))
            self._state.left = [(call, maps[name]) for call, name in calls if maps.get(name)]


def collect(task: DescribeNode) -> bytes:
    """Return both maps as JSON {"node": {...}, "gpu": {...} or null}, and write their copies.

    Raises:
        OSError: a copy could not be written.
    """
    proc = Path("/proc")
    facts = worker_node(
        read_bounded(proc / "cpuinfo", _PROC_BYTES),
        read_bounded(proc / "meminfo", _PROC_BYTES),
        os.uname().machine,
        _disk_bytes(task.home),
    )
    node: Facts = {"site": task.site, "panda_queue": task.queue, "host_name": task.node, **facts}
    found = _gpus()
    gpu: Facts | None = {"site": task.site, "host_name": task.node.rpartition("@")[2], **found} if found else None
    write_atomic(Path(task.home) / NODE_MAP, json.dumps(node, indent=1) + "\n")
    if gpu is not None:
        write_atomic(Path(task.home) / GPU_MAP, json.dumps(gpu, indent=1) + "\n")
    return json.dumps({"node": node, "gpu": gpu}).encode()


def _disk_bytes(place: str) -> int:
    try:
        status = os.statvfs(place)
    except OSError:
        return 0
    return status.f_blocks * status.f_frsize


def _gpus() -> Facts:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return {}
    listing = _said(tool, f"--query-gpu={','.join(GPU_QUERY)}", "--format=csv,noheader,nounits")
    return gpus(listing, _said(tool)) if listing else {}


def _said(*command: str) -> str:
    """Return what a program prints, "" when it fails or takes too long."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TOOL_LIMIT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout[:_PROC_BYTES].decode("utf-8", "replace") if done.returncode == 0 else ""
