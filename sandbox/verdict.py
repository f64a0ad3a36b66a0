"""What the server makes of a job's final update (panda-protocol.md 4.1 and 12)."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ADLER32 = re.compile(r"[0-9a-fA-F]{8}")
_MD5 = re.compile(r"[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The job's end as judged by the server: `finished` or `failed`, and why."""

    status: str
    reason: str


def judge(definition: Mapping[str, Any], final: Mapping[str, Any]) -> Verdict:
    """Judge a final update against the job's definition.

    A `finished` stays so only with a valid report entry for every output and the log; an output listed in
    `allowNoOutput` may be missing, and so may all outputs of an event service job.
    """
    if final["job_status"] == "failed":
        code = final.get("pilot_error_code") or 0
        trans = final.get("trans_exit_code") or 0
        return Verdict("failed", f"pilot error {code}, payload exit {trans}: {final.get('pilot_error_diag') or ''}")
    try:
        report = json.loads(final.get("job_output_report") or "")
    except ValueError as err:
        return Verdict("failed", f"job_output_report is not JSON: {err}")
    if not isinstance(report, dict):
        return Verdict("failed", "job_output_report is not an object")
    optional = set(_names(definition.get("allowNoOutput")))
    event_service = bool(definition.get("eventService"))
    for lfn in _names(definition.get("outFiles")):
        if lfn not in report:
            if lfn in optional or event_service:
                continue
            return Verdict("failed", f"expected output {lfn} is missing")
    return _entries_verdict(definition, report)


def _entries_verdict(definition: Mapping[str, Any], report: Mapping[str, Any]) -> Verdict:
    """Judge every entry, also one of a file that was not expected: that alone fails a job."""
    inputs, outputs = set(_names(definition.get("inFiles"))), set(_names(definition.get("outFiles")))
    for lfn, entry in report.items():
        if lfn in inputs - outputs:
            continue
        problem = entry_problem(entry)
        if problem:
            return Verdict("failed", f"report of {lfn}: {problem}")
        if lfn not in outputs and not any(_is_variant(lfn, name) for name in outputs):
            return Verdict("failed", f"pilot produced {lfn} inconsistently with jobdef")
    return Verdict("finished", "")


def _is_variant(lfn: str, name: str) -> bool:
    """Tell whether a file is one of the numbered ones that an output of variable number became."""
    pattern = re.sub(r"^[^|]+\|", "", name) if name.startswith("regex|") else rf"^{re.escape(name)}\.*_\d+$"
    return re.search(pattern, lfn) is not None


def entry_problem(entry: Any) -> str:
    """Say what is wrong with one file's report entry, or nothing."""
    if not isinstance(entry, dict):
        return "not an object"
    if not isinstance(entry.get("guid"), str) or not entry["guid"]:
        return "no guid"
    if type(entry.get("fsize")) is not int or entry["fsize"] < 0:
        return "fsize is not a number of bytes"
    adler32, md5sum = entry.get("adler32"), entry.get("md5sum")
    if isinstance(adler32, str) and _ADLER32.fullmatch(adler32):
        return ""
    if isinstance(md5sum, str) and _MD5.fullmatch(md5sum):
        return ""
    return "neither adler32 (8 hex digits) nor md5sum (32 hex digits)"


def _names(value: Any) -> list[str]:
    """Read a list that is comma separated text in a job definition; text `NULL` and null are empty."""
    items = value if isinstance(value, list) else str(value or "").split(",")
    return [name for name in map(str, items) if name and name.upper() != "NULL"]
