"""Facts about the node and the slot, read once at start from the environment and /proc (panda-protocol 3.3, 3.4)."""

import os
import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from host.files import read_bounded
from settings.cpu import cpu_level, cpu_model, cpu_sets

#: Variable -> batch system; the first that is set gives the batch system and, by its value, the batch id.
_BATCH_VARIABLES = (
    ("QSUB_REQNAME", "BQS"),
    ("BQSCLUSTER", "BQS"),
    ("PBS_JOBID", "Torque"),
    ("LSB_JOBID", "LSF"),
    ("JOB_ID", "Grid Engine"),
    ("clusterid", "Condor"),
    ("SLURM_JOB_ID", "SLURM"),
    ("K8S_JOB_ID", "Kubernetes"),
)
_GLOBAL_JOB_ID = re.compile(r'^\s*GlobalJobId\s*=\s*"([^"]*)"', re.MULTILINE | re.IGNORECASE)
_GLIDEIN = re.compile(r'^\s*(RemoteScheddName|GLIDEIN_Site)\s*=\s*"([^"]{1,128})"', re.MULTILINE | re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_NODE_LENGTH = 128
_AD_BYTES = 4 * 1024 * 1024


def batch_system(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the batch system and the slot's id in it, ("", "") when none is found."""
    for variable, name in _BATCH_VARIABLES:
        if environ.get(variable):
            return name, environ[variable]
    advertisement = environ.get("_CONDOR_JOB_AD", "")
    match = _GLOBAL_JOB_ID.search(read_bounded(Path(advertisement), _AD_BYTES)) if advertisement else None
    return ("Condor", match[1]) if match else ("", "")


def node_name(environ: Mapping[str, str]) -> str:
    """Return PANDA_HOSTNAME or the host's own name, after "<slot>@" under HTCondor; at most 128 characters."""
    name = environ.get("PANDA_HOSTNAME") or os.uname().nodename
    slot = environ.get("_CONDOR_SLOT", "")
    return (f"{slot}@{name}" if slot else name)[:_NODE_LENGTH]


def memory_mb(meminfo: str) -> int:
    """Return the node's memory in MB from the text of /proc/meminfo, 0 when it is not there."""
    match = re.search(r"^MemTotal:\s*(\d+) kB", meminfo, re.MULTILINE)
    return int(match[1]) // 1024 if match else 0


def machine_feature(environ: Mapping[str, str], name: str) -> float:
    """Return a number from the directory that MACHINEFEATURES names, 0 when it is not there."""
    place = environ.get("MACHINEFEATURES", "")
    text = read_bounded(Path(place) / name, 64).strip() if place.startswith("/") else ""
    return float(text) if _NUMBER.fullmatch(text) else 0.0


def glidein(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the schedd that a glidein came from and the site it runs at, from HTCondor's advertisement of the slot."""
    place = environ.get("_CONDOR_MACHINE_AD", "")
    text = read_bounded(Path(place), _AD_BYTES) if place else ""
    found = {match[1].lower(): match[2] for match in _GLIDEIN.finditer(text)}
    return {
        "glidein_schedd": found.get("remotescheddname", ""),
        "glidein_site": environ.get("GLIDEIN_Site") or found.get("glidein_site", ""),
    }


def read(environ: Mapping[str, str], proc: Path = Path("/proc")) -> dict[str, Any]:
    """Return the fields of Settings that describe node and slot."""
    cpuinfo = read_bounded(proc / "cpuinfo", _AD_BYTES)
    batch_type, batch_id = batch_system(environ)
    host = os.uname()
    return {
        "node": node_name(environ),
        "batch_type": batch_type,
        "batch_id": batch_id,
        "scheduler_id": (environ.get("PANDA_JSID") or "unknown")[:_NODE_LENGTH],
        "harvester_id": environ.get("HARVESTER_ID", ""),
        "harvester_worker_id": environ.get("HARVESTER_WORKER_ID", ""),
        "gtag": environ.get("GTAG") or "unknown",
        "cpu_model": cpu_model(cpuinfo),
        "cpu_sets": cpu_sets(cpuinfo),
        "cpu_level": cpu_level(cpuinfo),
        "machine_hs06": machine_feature(environ, "hs06"),
        "machine_cpus": machine_feature(environ, "total_cpu"),
        **glidein(environ),
        "memory_mb": memory_mb(read_bounded(proc / "meminfo", _AD_BYTES)),
        "python": platform.python_version(),
        "platform": f"{host.sysname} {host.machine}",
    }
