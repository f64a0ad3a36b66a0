"""What the worker node is made of, from texts of /proc and nvidia-smi, as the server names it (1.7). Pure."""

import re
from collections.abc import Mapping
from typing import TypeAlias

Facts: TypeAlias = dict[str, str | int | float]

#: x86-64 levels, highest first: the flags that each adds to the one below.
_LEVELS = (
    ("x86-64-v4", frozenset({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})),
    ("x86-64-v3", frozenset({"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave", "abm"})),
    ("x86-64-v2", frozenset({"cx16", "lahf_lm", "popcnt", "sse4_1", "sse4_2", "ssse3"})),
)
#: NVIDIA's compute capability (its major number, or both) -> name of the architecture.
_ARCHITECTURES: Mapping[str, str] = {
    "5": "Maxwell",
    "6": "Pascal",
    "7": "Volta",
    "7.5": "Turing",
    "8": "Ampere",
    "8.9": "Ada Lovelace",
    "9": "Hopper",
    "10": "Blackwell",
    "12": "Blackwell",
}
#: What is asked of nvidia-smi, in this order.
GPU_QUERY = ("name", "memory.total", "driver_version", "compute_cap")
_MAX_TEXT = 128


def worker_node(cpuinfo: str, meminfo: str, machine: str, disk_bytes: int) -> Facts:
    """Return the facts of update_worker_node but for who and where; what is not known is left out.

    Args:
        cpuinfo: Text of /proc/cpuinfo.
        meminfo: Text of /proc/meminfo.
        machine: Architecture as `uname -m` says it.
        disk_bytes: Size of the file system that the pilot works on.
    """
    cores, siblings = _number(cpuinfo, "cpu cores"), _number(cpuinfo, "siblings")
    numbers: dict[str, int] = {
        "n_logical_cpus": len(_all(cpuinfo, "processor")),
        "n_sockets": len(set(_all(cpuinfo, "physical id"))),
        "cores_per_socket": cores,
        "threads_per_core": siblings // cores if cores else 0,
        "total_memory": _memory_mb(meminfo),
        "total_local_disk": disk_bytes // 10**9,
    }
    facts: Facts = {"cpu_model": (_first(cpuinfo, "model name") or "UNKNOWN")[:_MAX_TEXT]}
    facts.update({name: value for name, value in numbers.items() if value > 0})
    texts = {"cpu_architecture": machine, "cpu_architecture_level": architecture_level(cpuinfo, machine)}
    facts.update({name: value for name, value in texts.items() if value})
    clock_mhz = _clock_mhz(cpuinfo)
    if clock_mhz > 0:
        facts["clock_speed"] = clock_mhz
    return facts


def architecture_level(cpuinfo: str, machine: str) -> str:
    """Return "x86-64-v1" to "x86-64-v4", "" for another architecture."""
    if machine not in {"x86_64", "amd64"}:
        return ""
    flags = set(_first(cpuinfo, "flags").split())
    if "lzcnt" in flags:
        flags.add("abm")
    for place, (level, _) in enumerate(_LEVELS):
        if all(needed <= flags for _, needed in _LEVELS[place:]):
            return level
    return "x86-64-v1"


def gpus(listing: str, summary: str) -> Facts:
    """Return the facts of update_worker_node_gpu but for who and where, {} without a GPU; of the first model only.

    Args:
        listing: What nvidia-smi says to GPU_QUERY as CSV without header and units, a line for each GPU.
        summary: What nvidia-smi says when asked for nothing; holds "CUDA Version: 12.4".
    """
    rows = [[cell.strip() for cell in line.split(",")] for line in listing.splitlines() if line.strip()]
    rows = [row for row in rows if len(row) == len(GPU_QUERY) and row[0]]
    if not rows:
        return {}
    model, memory_mb, driver, capability = rows[0]
    facts: Facts = {
        "vendor": "NVIDIA",
        "model": model[:_MAX_TEXT],
        "count": sum(row[0] == model for row in rows),
        "framework": "CUDA",
    }
    cuda = re.search(r"CUDA Version:\s*(\d[\d.]{0,15})", summary)
    texts = {
        "architecture": _ARCHITECTURES.get(capability) or _ARCHITECTURES.get(capability.partition(".")[0], ""),
        "framework_version": cuda[1] if cuda else "",
        "driver_version": driver[:_MAX_TEXT] if re.fullmatch(r"\d[\d.]*", driver, re.ASCII) else "",
    }
    facts.update({name: value for name, value in texts.items() if value})
    if re.fullmatch(r"\d{1,9}", memory_mb, re.ASCII):
        facts["vram"] = int(memory_mb)
    return facts


def _all(text: str, key: str) -> list[str]:
    return [value.strip() for value in re.findall(rf"^{key}[ \t]*:(.*)$", text, re.MULTILINE)]


def _first(text: str, key: str) -> str:
    values = _all(text, key)
    return " ".join(values[0].split()) if values else ""


def _number(text: str, key: str) -> int:
    value = _first(text, key)
    return int(value) if re.fullmatch(r"\d{1,6}", value, re.ASCII) else 0


def _memory_mb(meminfo: str) -> int:
    match = re.search(r"^MemTotal:\s*(\d{1,15}) kB", meminfo, re.MULTILINE)
    return int(match[1]) // 1024 if match else 0


def _clock_mhz(cpuinfo: str) -> float:
    value = _first(cpuinfo, "cpu MHz")
    return float(value) if re.fullmatch(r"\d{1,6}(\.\d{1,6})?", value, re.ASCII) else 0.0
