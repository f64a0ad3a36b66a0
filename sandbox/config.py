"""The configuration of a sandbox, made once at start."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """All settings of one server.

    Attributes:
        storage: Directory which is the storage element; made when missing.
        host: Loopback address to listen on.
        port: Port of the pilot's side; 0 takes a free one.
        queue: Queue name, also its `panda_resource`.
        site: Site name (`atlas_site`).
        rse: Name of the one storage element.
        timefloor_min: `timefloor` of the queue in minutes; 0 = one job per pilot.
        maxwdir_mb: Limit of the work directory in MB.
        queue_fields: Overrides and additions to the queue document.
        storage_fields: Overrides and additions to the RSE's entry.
        record_path: File which gets the record as JSON lines.
        tls_cert: PEM certificate (chain) of the pilot's side; with it, that side speaks TLS only.
        tls_key: PEM key of it.
        client_ca: PEM file of the authorities of client certificates; with it an identity is needed.
        token: Bearer token to demand; with it an identity is needed.
        dialects: "v1" (as release 1.0), "both" (as 0.7 and 0.8) or "legacy" (v1 calls are not found).
        proxy_file: File whose text get_proxy gives, read anew for each call; no proxy is known while it is absent.
    """

    storage: Path
    host: str = "127.0.0.1"
    port: int = 0
    queue: str = "SANDBOX"
    site: str = "SANDBOX-SITE"
    rse: str = "SANDBOX_DATADISK"
    timefloor_min: int = 0
    maxwdir_mb: int = 30000
    queue_fields: Mapping[str, Any] = field(default_factory=dict)
    storage_fields: Mapping[str, Any] = field(default_factory=dict)
    record_path: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    client_ca: Path | None = None
    token: str | None = None
    dialects: str = "v1"
    proxy_file: Path | None = None

    @property
    def needs_identity(self) -> bool:
        """Whether a pilot has to show a certificate or a token."""
        return self.token is not None or self.client_ca is not None


def read_jobs(path: Path) -> list[dict[str, Any]]:
    """Read job definitions from a JSON file holding one object or a list of them.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is not JSON or holds something else.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    jobs = content if isinstance(content, list) else [content]
    if not all(isinstance(job, dict) for job in jobs):
        raise ValueError(f"{path}: a job definition has to be a JSON object")
    return jobs
