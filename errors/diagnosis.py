"""Says why a payload ended as it did (behaviour.md 13 and 14; texts and numbers are in `catalogue.json`).

Order: the pilot's own reason, out of memory, a segmentation fault, a telling text, the payload's error report, a
signal, the exit code, the job report, a core file. The first that speaks gives the code.

Where this differs from older pilots on purpose: 255 stays 255; texts count for a payload that failed, not for one that
succeeded (container texts excepted); exit codes 2 and 3 mean a remote-open failure only when files were test-opened.
"""

import re
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from errors.catalogue import describe, diagnostics, load
from errors.codes import ErrorCode
from errors.reports import Claim, error_report_claim, job_report_claim, log_messages

_FIRST_PILOT_CODE = 1001
_SHELL_SIGNAL_BASE = 128
_SHELL_HEAD = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadEnd:
    """What is known about a payload that ended.

    Attributes:
        exit_code: exit status, 0 to 255 (or a pilot error code above 1000); None when it is not known.
        signal: number of the signal that ended it, 0 for none.
        pilot_code: the pilot's own reason when it killed the payload itself, else 0.
        pilot_detail: detail of that reason.
        oom_killed: the kernel killed a process of the payload for want of memory.
        core_dumped: a core file of the payload was found.
        in_container: the payload ran in a container.
        remote_open: input files were test-opened before the payload, in the same command.
        report_required: a job report must be there when the payload succeeded.
        stderr_head: first part of payload.stderr.
        stderr_tail: last part of payload.stderr.
        stdout_tail: last part of payload.stdout.
        error_report: content of payload_error_report.json, empty when there is none.
        job_report: the job report as an object (`reports.read_object`), None when there is none.
    """

    exit_code: int | None = None
    signal: int = 0
    pilot_code: int = 0
    pilot_detail: str = ""
    oom_killed: bool = False
    core_dumped: bool = False
    in_container: bool = False
    remote_open: bool = False
    report_required: bool = False
    stderr_head: str = ""
    stderr_tail: str = ""
    stdout_tail: str = ""
    error_report: str | bytes = ""
    job_report: Mapping[str, Any] | None = field(default=None, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """What the server is told about a payload.

    Attributes:
        error_code: pilot error code, 0 when the payload succeeded.
        diag: diagnostics line, at most 256 characters, empty when the payload succeeded.
        trans_exit_code: exit code of the payload, 128+n after a signal.
        exe_error_code: the payload's own error number, 0 when it gave none.
        exe_error_diag: the payload's own text, at most 500 characters.
    """

    error_code: int = 0
    diag: str = ""
    trans_exit_code: int = 0
    exe_error_code: int = 0
    exe_error_diag: str = ""


def signal_name(number: int) -> str:
    """Return the name of a signal, "SIGKILL" for 9; "signal 77" where the system has no name for it."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def diagnose(end: PayloadEnd) -> Diagnosis:
    """Return the code and texts for a payload's end. Pure, and never raises for foreign text."""
    report_claim = job_report_claim(end.job_report)
    claim = error_report_claim(end.error_report)
    code, detail = _cause(end, claim, report_claim)
    told = claim if claim.code or claim.diag else report_claim
    return Diagnosis(
        error_code=code,
        diag=diagnostics(code, detail) if code else "",
        trans_exit_code=_trans_exit_code(end),
        exe_error_code=told.code,
        exe_error_diag=told.diag,
    )


def _killer(end: PayloadEnd) -> int:
    """Return the signal that ended the payload, also when a negative status or the payload's own shell tells it."""
    if end.signal:
        return end.signal
    code = end.exit_code or 0
    if code < -1:
        return -code
    return signal.SIGSEGV if code == _SHELL_SIGNAL_BASE + signal.SIGSEGV else 0


def _trans_exit_code(end: PayloadEnd) -> int:
    killer = _killer(end)
    if killer:
        return _SHELL_SIGNAL_BASE + killer
    code = end.exit_code
    if code is None or _is_pilot_code(code):
        return 0
    return code % 256


def _is_pilot_code(code: int) -> bool:
    return code >= _FIRST_PILOT_CODE


def _failed(end: PayloadEnd, report_claim: Claim) -> bool:
    return end.exit_code != 0 or _killer(end) != 0 or report_claim.code != 0


def _cause(end: PayloadEnd, claim: Claim, report_claim: Claim) -> tuple[int, str]:
    """Return the pilot error code and its detail; (0, "") for success."""
    if end.pilot_code:
        return end.pilot_code, end.pilot_detail
    failed = _failed(end, report_claim)
    if end.oom_killed and failed:
        return ErrorCode.PAYLOADOUTOFMEMORY, "killed by the kernel for want of memory"
    if _killer(end) == signal.SIGSEGV or "got a SIGSEGV signal" in report_claim.diag:
        return ErrorCode.PAYLOADSIGSEGV, "payload ended by SIGSEGV"
    return (
        _from_texts(end, failed=failed)
        or _from_report_details(end, report_claim)
        or _from_claim(claim)
        or _from_end(end, report_claim, failed=failed)
    )


def _from_texts(end: PayloadEnd, *, failed: bool) -> tuple[int, str] | None:
    streams = {
        "stderr": (end.stderr_head, end.stderr_tail),
        "stdout": (end.stdout_tail,),
        "stdout_setup": (_setup_part(end.stdout_tail),),
    }
    allowed = {
        "failed": failed,
        "container": end.in_container,
        "container_failed": failed and end.in_container,
        "never": False,
    }
    for row in load()["payload_texts"]:
        if not allowed[row["when"]] or end.exit_code not in row.get("exit_codes", (end.exit_code,)):
            continue
        for text in streams[row["stream"]]:
            if row["pattern"] in text:
                return row["code"], _line_with(row["pattern"], text)
    return None


def _setup_part(stdout_tail: str) -> str:
    """Return the start of the output when it is a shell's complaint about a setup script, else nothing."""
    head = stdout_tail[:_SHELL_HEAD]
    return head if head.startswith("sh:") and "setup.sh" in head else ""


def _line_with(pattern: str, text: str) -> str:
    at = text.index(pattern)
    start = text.rfind("\n", 0, at) + 1
    stop = text.find("\n", at)
    line = text[start : stop if stop >= 0 else len(text)]
    return line if len(line) <= _SHELL_HEAD else line[at - start :]


def _from_report_details(end: PayloadEnd, report_claim: Claim) -> tuple[int, str] | None:
    """Look into the log summary of a job report that tells a failure."""
    if not report_claim.code:
        return None
    if report_claim.code == 146:
        return ErrorCode.NOUSERTARBALL, report_claim.diag
    for message in log_messages(end.job_report):
        if "bad_alloc" in message and message.startswith("ERROR"):
            return ErrorCode.BADALLOC, message
        if "Cannot find a valid frontier connection" in message:
            return ErrorCode.FRONTIER, message
    return None


def _from_claim(claim: Claim) -> tuple[int, str] | None:
    if claim.code:
        return ErrorCode.PAYLOADEXECUTIONFAILURE, claim.diag or f"payload error {claim.code}"
    return None


def _from_end(end: PayloadEnd, report_claim: Claim, *, failed: bool) -> tuple[int, str]:
    killer = _killer(end)
    if killer:
        return ErrorCode.PAYLOADEXECUTIONFAILURE, f"payload killed by {signal_name(killer)}"
    if end.exit_code is None:
        return ErrorCode.PAYLOADLOST, ""
    if not failed:
        return _from_success(end)
    if end.exit_code == 0:
        text = report_claim.diag or f"the job report tells exit code {report_claim.code}"
        return ErrorCode.UNKNOWNPAYLOADFAILURE, text
    code = _code_of_exit(end)
    if end.core_dumped and code == ErrorCode.PAYLOADEXECUTIONFAILURE:
        code = ErrorCode.COREDUMP
    return code, _exit_text(end, report_claim)


def _from_success(end: PayloadEnd) -> tuple[int, str]:
    if end.core_dumped:
        return ErrorCode.COREDUMP, ""
    if end.report_required and end.job_report is None:
        return ErrorCode.NOPAYLOADMETADATA, ""
    return 0, ""


def _code_of_exit(end: PayloadEnd) -> int:
    code = end.exit_code or 0
    row = load()["payload_exits"].get(str(code))
    if row is not None and (row.get("only") != "remote_open" or end.remote_open):
        return int(row["code"])
    if _is_pilot_code(code) and describe(code).origin != "unknown":
        return code
    return ErrorCode.PAYLOADEXECUTIONFAILURE


def _exit_text(end: PayloadEnd, report_claim: Claim) -> str:
    code = end.exit_code or 0
    told = next(_telling_lines(end, report_claim), "")
    number = f"exit code {code}"
    if _SHELL_SIGNAL_BASE < code < 160:
        number += f" (a process of the payload was ended by {signal_name(code - _SHELL_SIGNAL_BASE)})"
    return f"{number}: {told}" if told else number


def _telling_lines(end: PayloadEnd, report_claim: Claim) -> Iterator[str]:
    """Yield what the payload itself says about its failure, the best source first."""
    if report_claim.diag:
        yield report_claim.diag
    if "CRITICAL" in end.stdout_tail:
        yield _line_with("CRITICAL", end.stdout_tail)
    for text in (end.stderr_tail, end.stderr_head):
        if "command not found" in text:
            yield _line_with("command not found", text)
        for words in ("ERROR|Error|error", "WARNING|Warning|warning"):
            match = re.search(rf"(?:{words})\s*:\s*(\S.*)", text)
            if match:
                yield match.group(1)
