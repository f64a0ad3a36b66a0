"""How a run ended, checked against what the server's record says: every file is read again and compared."""

import json
import re
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from people.sheet import Section
from people.words import duration_text, size_text
from sandbox.client import Sandbox

_CHUNK_BYTES = 1 << 20
_JOBS_WITH_FILES = 3
_READ_LINE = re.compile(r"read (\S+): (\d+) bytes, adler32 ([0-9a-f]{8})")
_LOG_LIMIT_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """One file: what it is, where it lies, and what is wrong with it ("" when all agrees)."""

    kind: str
    lfn: str
    path: Path
    size_bytes: int
    adler32: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCheck:
    """One job as the server knows it, with its files."""

    job_id: int
    status: str
    reason: str
    states: tuple[str, ...]
    files: tuple[FileCheck, ...]

    @property
    def good(self) -> bool:
        """Tell whether it ended finished and everything agrees."""
        return self.status == "finished" and not any(file.problem for file in self.files)


def check_job(server: Sandbox, job_id: int) -> JobCheck:
    """Ask the server how the job ended and compare its files with what was reported and what was ordered."""
    job = server.job(job_id)
    definition, final = job["definition"], job["final"] or {}
    verdict = job["verdict"] or {"status": job["state"], "reason": "the server got no final update"}
    report = _object(final.get("job_output_report"))
    files = []
    log_path = None
    for lfn in _names(definition["outFiles"]):
        scope = definition["scopeLog"] if lfn == definition["logFile"] else _names(definition["scopeOut"])[0]
        path = server.stored_path(scope, lfn)
        kind = "log" if lfn == definition["logFile"] else "output"
        log_path = path if kind == "log" else log_path
        files.append(_check_stored(kind, lfn, path, report.get(lfn), failed=verdict["status"] != "finished"))
    if log_path is not None and log_path.is_file():
        files = [*_check_inputs(server, definition, log_path), *files]
    return JobCheck(
        job_id=job_id,
        status=str(verdict["status"]),
        reason=str(verdict["reason"]),
        states=tuple(job["states"]),
        files=tuple(files),
    )


def sections_of(checks: list[JobCheck], places: Mapping[str, Path], durations: Mapping[int, float]) -> list[Section]:
    """Return the end of a run as tables: the jobs, their files, where everything is."""
    jobs = tuple(
        (
            str(check.job_id),
            check.status,
            duration_text(durations.get(check.job_id, 0.0)),
            f"{sum(not file.problem for file in check.files)} of {len(check.files)}",
            _server_words(check),
        )
        for check in checks
    )
    # Of many jobs only the files that do not agree are worth a line.
    files = tuple(
        (file.kind, file.lfn, size_text(file.size_bytes), file.adler32, file.problem or "agrees")
        for check in checks
        for file in check.files
        if file.problem or len(checks) <= _JOBS_WITH_FILES
    )
    columns = ("PandaID", "final state", "took", "files agree", "what the server was told")
    sections = [
        Section(title="Jobs", columns=columns, rows=jobs),
        Section(
            title="Files, read again and compared with the job definition and the final report",
            columns=("what", "name", "size", "adler32", ""),
            rows=files,
            right=frozenset({2}),
        ),
        Section(title="Where things are", rows=tuple((name, _shown(path)) for name, path in places.items())),
    ]
    return [section for section in sections if section.rows]


def _server_words(check: JobCheck) -> str:
    words = " > ".join(check.states)
    return f"{words}; {check.reason}" if check.reason else words


def _shown(path: Path) -> str:
    """Return a path as short as it can be, with its size if it is a file."""
    short = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    if not path.exists():
        return f"{short} (not there)"
    return f"{short} ({size_text(path.stat().st_size)})" if path.is_file() else f"{short}/"


def _check_stored(kind: str, lfn: str, path: Path, entry: Any, *, failed: bool) -> FileCheck:
    """Compare a file in the storage with its entry in the final report."""
    size, checksum, problem = 0, "", ""
    if not path.is_file():
        problem = "not stored, as the job failed" if failed else "is not in the storage"
    else:
        size, checksum = path.stat().st_size, _adler32(path)
        if not isinstance(entry, dict):
            problem = "is not in the final report"
        elif entry.get("fsize") != size:
            problem = f"was reported with {entry.get('fsize')} bytes"
        elif str(entry.get("adler32", "")).lower() != checksum:
            problem = f"was reported with adler32 {entry.get('adler32')}"
    return FileCheck(kind=kind, lfn=lfn, path=path, size_bytes=size, adler32=checksum, problem=problem)


def _check_inputs(server: Sandbox, definition: Mapping[str, Any], log_path: Path) -> list[FileCheck]:
    """Compare what the payload read (its output is in the log archive) with what the job ordered."""
    read = {name: (int(size), adler32) for name, size, adler32 in _READ_LINE.findall(_payload_output(log_path))}
    names, sizes = _names(definition["inFiles"]), _names(definition["fsize"])
    checks = []
    ordered = zip(names, sizes, _names(definition["checksum"]), _names(definition["scopeIn"]), strict=True)
    for lfn, size, checksum, scope in ordered:
        wanted = (int(size), checksum.removeprefix("ad:"))
        got = read.get(lfn)
        problem = "" if got == wanted else f"the payload read {got or 'nothing of it'}"
        path = server.stored_path(scope, lfn)
        check = FileCheck(kind="input", lfn=lfn, path=path, size_bytes=wanted[0], adler32=wanted[1], problem=problem)
        checks.append(check)
    return checks


def _payload_output(log_path: Path) -> str:
    try:
        with tarfile.open(log_path) as archive:
            for member in archive:
                if member.name.endswith("/payload.stdout") and member.isfile():
                    stream = archive.extractfile(member)
                    return stream.read(_LOG_LIMIT_BYTES).decode("utf-8", "replace") if stream else ""
    except (tarfile.TarError, OSError, EOFError, zlib.error):
        return ""
    return ""


def _adler32(path: Path) -> str:
    checksum = zlib.adler32(b"")
    with path.open("rb") as stream:
        while data := stream.read(_CHUNK_BYTES):
            checksum = zlib.adler32(data, checksum)
    return f"{checksum:08x}"


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _object(text: Any) -> dict[str, Any]:
    try:
        value = json.loads(text) if isinstance(text, str) and text else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
