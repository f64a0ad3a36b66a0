"""Turns a payload's end and the files it left into the result that the supervisor gets."""

import os
import re
from dataclasses import replace
from pathlib import Path

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from errors.diagnosis import Diagnosis, PayloadEnd, diagnose, signal_name
from errors.redaction import redact
from errors.reports import as_told, read_object
from errors.texts import plain_lines
from host.files import read_bounded
from ipc.results import PayloadEnded
from ipc.tasks import RunPayload
from jobs.steps import POST, PRE, Step, steps_of
from workers.runner.control import Exit, look
from workers.runner.events import counted_events

REPORT_LIMIT_BYTES = 1024 * 1024
_TEXT_LIMIT_BYTES = 64 * 1024
_EXTRACT_LINES = 20
_EXTRACT_CHARS = 1024
_CORE_NAME = re.compile(r"core(\.\d+)?")
_ENTRIES_LIMIT = 10_000
_CODES = {PRE: ErrorCode.PREPROCESSFAILURE, POST: ErrorCode.POSTPROCESSFAILURE}


def ended(task: RunPayload, end: Exit) -> PayloadEnded:
    """Return how the payload ended, diagnosed from its exit and from what it wrote."""
    job_dir = Path(task.job_dir)
    stderr = job_dir / task.stderr
    report_text = read_bounded(job_dir / "jobReport.json", REPORT_LIMIT_BYTES + 1)
    report = read_object(report_text) if len(report_text.encode()) <= REPORT_LIMIT_BYTES else None
    pilot_code, detail = _own_reason(end)
    diagnosis = diagnose(
        PayloadEnd(
            exit_code=end.exit_code,
            signal=end.signal,
            pilot_code=pilot_code,
            pilot_detail=detail,
            oom_killed=end.oom_kills > 0,
            core_dumped=end.core_dumped or _has_core(job_dir),
            stderr_head=read_bounded(stderr, _TEXT_LIMIT_BYTES),
            stderr_tail=read_bounded(stderr, _TEXT_LIMIT_BYTES, tail=True),
            stdout_tail=read_bounded(job_dir / task.stdout, _TEXT_LIMIT_BYTES, tail=True),
            error_report=read_bounded(job_dir / "payload_error_report.json", REPORT_LIMIT_BYTES),
            job_report=report,
        )
    )
    return _result(task, end, diagnosis, as_told(report_text, report) if report is not None else "")


def lost(task: RunPayload, detail: str) -> PayloadEnded:
    """Return the end of a payload whose exit will never be known (1401)."""
    diagnosis = diagnose(PayloadEnd(pilot_code=ErrorCode.PAYLOADLOST, pilot_detail=detail))
    return _result(task, Exit(), diagnosis, "")


def no_payload(task: RunPayload) -> PayloadEnded:
    """Return the good end of a job whose payload never had to run."""
    return _result(task, Exit(), Diagnosis(), "")


def step_failed(task: RunPayload, process: RunPayload, step: Step, end: Exit) -> PayloadEnded:
    """Return the end of a job whose pre- or post-process failed (1356, 1357), or was lost (1401).

    Args:
        task: the job's.
        process: the step's own, which names its output.
        step: which one it was.
        end: how it ended.
    """
    code, how = _CODES[step.kind], f"exit code {end.exit_code}"
    if end.orphaned:
        code, how = ErrorCode.PAYLOADLOST, end.error or "ended by its launcher: the pilot was gone"
    elif end.exit_code is None:
        how = f"ended by {signal_name(end.signal)}" if end.signal else end.error
    words = read_bounded(Path(task.job_dir) / process.stderr, _TEXT_LIMIT_BYTES, tail=True).strip().splitlines()
    detail = f"{step.kind} {step.iteration}: {how}" + (f": {redact(words[-1])}" if words else "")
    return _result(task, end, Diagnosis(error_code=code, diag=diagnostics(code, detail)), "")


def with_totals(result: PayloadEnded, control_dir: Path) -> PayloadEnded:
    """Return a result with the CPU and wall time of all processes that a job had."""
    ends = [look(control_dir / step.directory).exit for step in steps_of(control_dir)]
    known = [end for end in ends if end is not None]
    return replace(
        result,
        cpu_time_s=round(sum(end.cpu_s for end in known)),
        wall_time_s=sum(end.duration_s for end in known),
    )


def _own_reason(end: Exit) -> tuple[int, str]:
    """Return the pilot's own code and detail for an end that says nothing about the payload itself."""
    if end.orphaned:
        return ErrorCode.PAYLOADLOST, "ended by its launcher: the pilot was gone"
    if end.exit_code is None and not end.signal:
        # The shim wrote why the payload did not start.
        return ErrorCode.PAYLOADEXECUTIONEXCEPTION, end.error
    return 0, ""


def _result(task: RunPayload, end: Exit, diagnosis: Diagnosis, report: str) -> PayloadEnded:
    events_read, events_written = (0, 0) if report else counted_events(Path(task.job_dir))
    return PayloadEnded(
        exit_code=diagnosis.trans_exit_code,
        signal=end.signal,
        error_code=int(diagnosis.error_code),
        error_diag=diagnosis.diag,
        exe_error_code=diagnosis.exe_error_code,
        exe_error_diag=diagnosis.exe_error_diag,
        job_report=report,
        log_extract=_log_extract(Path(task.job_dir), task.stderr),
        cpu_time_s=round(end.cpu_s),
        wall_time_s=end.duration_s,
        events_read=events_read,
        events_written=events_written,
    )


def _log_extract(job_dir: Path, stderr: str) -> str:
    """Return the last 20 lines of the pilot's log in the job directory, else of stderr; the last 1024 characters."""
    for name in ("pilotlog.txt", stderr):
        text = redact(read_bounded(job_dir / name, _TEXT_LIMIT_BYTES, tail=True).rstrip())
        if text:
            return "\n".join(plain_lines(text)[-_EXTRACT_LINES:])[-_EXTRACT_CHARS:]
    return ""


def _has_core(job_dir: Path) -> bool:
    try:
        with os.scandir(job_dir) as entries:
            for _, entry in zip(range(_ENTRIES_LIMIT), entries, strict=False):
                if _CORE_NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    return True
    except OSError:  # the payload may have removed its directory
        return False
    return False
