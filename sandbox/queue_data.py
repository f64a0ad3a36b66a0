"""The two documents a pilot reads about its queue and storage (panda-protocol.md 8.2, 8.5)."""

from collections.abc import Mapping
from typing import Any

from sandbox.config import SandboxConfig

_TRANSFER_ACTIVITIES = ("pr", "pw", "pl", "read_lan", "write_lan", "default")
_STORAGE_ACTIVITIES = ("pr", "pw", "pl", "read_lan", "read_lan_analysis", "write_lan", "write_lan_analysis", "w")
_PROTOCOL_ACTIVITIES = ("read_lan", "write_lan", "r", "w", "read_wan", "write_wan")


def queue_document(config: SandboxConfig, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return the queue's document.

    Args:
        config: Names, limits and the overrides given at start.
        overrides: Fields changed since; they win.
    """
    return {
        "nickname": config.queue,
        "panda_resource": config.queue,
        "atlas_site": config.site,
        "gstat": config.site,
        "state": "ACTIVE",
        "status": "online",
        "type": "unified",
        "resource_type": "GRID",
        "cmtconfig": None,
        "appdir": "",
        "catchall": "",
        "environ": "",
        "container_type": "",
        "container_options": "",
        "copytools": {"cp": {"setup": ""}},
        "acopytools": {activity: ["cp"] for activity in _TRANSFER_ACTIVITIES},
        "acopytools_schemas": {"default": ["file"]},
        "astorages": {activity: [config.rse] for activity in _STORAGE_ACTIVITIES},
        "aprotocols": {},
        "params": {
            "internet_protocol_version": "IPv6",
            "pilot_walltime_grace": 0,
            "pilot_rss_grace": 100,
            "pilot_maxwdir_grace": 20,
            "job_maxwalltime": False,
        },
        "allow_lan": True,
        "allow_wan": False,
        "direct_access_lan": False,
        "direct_access_wan": False,
        "use_pcache": False,
        "is_cvmfs": False,
        "maxwdir": config.maxwdir_mb,
        "maxrss": 16000,
        "maxinputsize": config.maxwdir_mb,
        "maxtime": 0,
        "timefloor": config.timefloor_min,
        "corecount": 1,
        "pledgedcpu": 1000,
        "zip_time_gap": None,
        "memkillgrace": 100,
        **config.queue_fields,
        **overrides,
    }


def storage_document(config: SandboxConfig) -> dict[str, Any]:
    """Return the document of all storages: one deterministic element in the local storage directory."""
    protocol = {"endpoint": "file://localhost", "path": f"{config.storage.resolve()}/", "flavour": "FILE"}
    entry = {
        "id": 1001,
        "name": config.rse,
        "type": "DATADISK",
        "token": "SANDBOXDATADISK",
        "state": "ACTIVE",
        "site": config.site,
        "is_deterministic": True,
        "resource": None,
        "arprotocols": {activity: [protocol] for activity in _PROTOCOL_ACTIVITIES},
        "rprotocols": {},
        **config.storage_fields,
    }
    return {config.rse: entry}
