"""Queue and storage documents for the tests, in the form of the examples in the specification."""

import json
from typing import Any

from jobs.definition import JobDefinition, build
from queues.queue import Queue, parse_queue
from queues.storages import Storage, parse_storages

QUEUE: dict[str, Any] = {
    "nickname": "EXAMPLE_SITE",
    "panda_resource": "EXAMPLE_SITE",
    "atlas_site": "EXAMPLE-PROD",
    "gstat": "OTHER",
    "state": "ACTIVE",
    "status": "online",
    "type": "unified",
    "resource_type": "GRID",
    "cmtconfig": None,
    "catchall": "logging=logstash;http://logs.example.org:8443,allow_wan_for_lib IMAGE_BASE=/images nopenfiles=3",
    "environ": "FRONTIER_PROXY=site A='b c';B=1, C=2",
    "container_type": "apptainer:pilot;docker:wrapper",
    "container_options": "-B /cvmfs --contain",
    "copytools": {"rucio": {"setup": ""}, "gfalcopy": {"setup": "/setup.sh"}},
    "acopytools": {"pr": ["rucio"], "pw": ["rucio", "gfalcopy"], "read_lan": ["rucio"], "write_lan": ["rucio"]},
    "acopytools_schemas": {"read_lan": {"rucio": ["root", "davs"]}, "write_lan": ["davs", "root"], "default": ["root"]},
    "astorages": {
        "read_lan": ["EXAMPLE-PROD_DATADISK", "EXAMPLE-PROD_SCRATCHDISK"],
        "write_lan": ["EXAMPLE-PROD_DATADISK"],
        "write_lan_analysis": ["EXAMPLE-PROD_SCRATCHDISK"],
    },
    "params": {
        "internet_protocol_version": "IPv4",
        "pilot_walltime_grace": 0,
        "pilot_rss_grace": 100,
        "pilot_maxwdir_grace": 20,
        "job_maxwalltime": False,
        "allow_altstageout": True,
    },
    "allow_lan": True,
    "allow_wan": False,
    "direct_access_lan": True,
    "is_cvmfs": "false",
    "maxwdir": "30000",
    "maxrss": 16000,
    "maxinputsize": 14336,
    "maxtime": 345600,
    "timefloor": 60,
    "corecount": 8,
    "pledgedcpu": 1000,
    "zip_time_gap": None,
    "memkillgrace": 100,
}

ROOT = {"endpoint": "root://se.example.org:1094/", "path": "/atlas/datadisk/rucio/", "flavour": "XROOT"}
DAVS = {"endpoint": "davs://se.example.org:443", "path": "/atlas/datadisk/rucio/", "flavour": "WEBDAV"}
S3 = {"id": 2301, "endpoint": "s3://os.example.org:443", "path": "/atlas-eventservice/"}
MOUNTED = {"endpoint": "file://localhost", "path": "/mnt/rse"}

STORAGES: dict[str, Any] = {
    "EXAMPLE-PROD_DATADISK": {
        "id": 1001,
        "type": "DATADISK",
        "site": "EXAMPLE-PROD",
        "is_deterministic": True,
        "resource": None,
        "arprotocols": {"read_lan": [ROOT, DAVS], "write_lan": [DAVS]},
    },
    "EXAMPLE-PROD_SCRATCHDISK": {
        "id": 1002,
        "is_deterministic": False,
        "arprotocols": {"write_lan": [DAVS], "r": [DAVS]},
    },
    "EXAMPLE-PROD_ES": {
        "id": 1003,
        "type": "OS_ES",
        "is_deterministic": False,
        "resource": {"bucket_id": 77},
        "arprotocols": {"read_lan": [S3], "write_lan": [S3], "w": [S3]},
    },
    "LOCAL_DISK": {"id": 1, "is_deterministic": True, "arprotocols": {"read_lan": [MOUNTED], "write_lan": [MOUNTED]}},
}


def queue_of(**changes: Any) -> Queue:
    """Return the queue of the example, with fields replaced."""
    return parse_queue(json.dumps({**QUEUE, **changes}), "EXAMPLE_SITE")


def storages_of(**changes: Any) -> dict[str, Storage]:
    """Return the storages of the example, with entries added."""
    return parse_storages(json.dumps({**STORAGES, **changes}))


def job_of(**changes: Any) -> JobDefinition:
    """Return a job with one input, one output and a log."""
    return build(
        {
            "PandaID": 1,
            "attemptNr": 1,
            "transformation": "x.sh",
            "inFiles": "in.root",
            "scopeIn": "mc23",
            "outFiles": "f.root,f.log.tgz",
            "logFile": "f.log.tgz",
            "scopeOut": "mc23",
            "scopeLog": "mc23",
            **changes,
        }
    )
