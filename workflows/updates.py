"""What an update of a job says, in the names and types of the v1 dialect (panda-protocol 3.2, update-fields.json).

Pure: everything comes from the job's record, its plan and the settings. The reporter translates for other sinks.
"""

import json

from errors.catalogue import is_recoverable
from errors.codes import ErrorCode
from errors.redaction import redact
from host.clock import utc_text
from ipc.schema import TransferredFile, Usage
from jobs.record import UNKNOWN_ATTEMPT, JobRecord, Plan
from settings.settings import Settings

_METRICS_CHARS = 500
_DIAG_CHARS = 500
_LOG_EXTRACT_CHARS = 1024
_MAX_CPU_S = 10**9
_FINAL = frozenset({"finished", "failed"})
#: Texts that payloads and tools wrote; the job report is JSON of the payload's own making and goes as it is.
_FOREIGN = frozenset({"pilot_log", "stdout", "pilot_error_diag", "exe_error_diag"})


def update_body(
    job: JobRecord, plan: Plan | None, word: str, settings: Settings, wall: float, began_wall: float
) -> dict[str, object]:
    """Return the arguments of update_job for a job in PanDA's state `word` at `wall` (epoch seconds)."""
    final = word in _FINAL
    body: dict[str, object] = {
        "job_id": job.job_id,
        "job_status": word,
        "site_name": plan.site_name if plan else settings.queue,
        "node": settings.node,
        "scheduler_id": settings.scheduler_id,
        "pilot_id": settings.pilot_id,
        "start_time": utc_text(job.stamps.received),
        "cpu_consumption_unit": settings.cpu_consumption_unit,
        "job_output_report": "",
        "meta_data": "",
    }
    if job.attempt_nr != UNKNOWN_ATTEMPT:
        body["attempt_nr"] = job.attempt_nr
    if settings.batch_id:
        body["batch_id"] = settings.batch_id
    if plan is not None:
        body["core_count"] = plan.core_count
    body.update(_usage_fields(job))
    metrics = _job_metrics(job, final=final)
    if metrics:
        body["job_metrics"] = metrics
    if final:
        body.update(_final_fields(job, plan, settings, wall, began_wall))
    elif job.failed:
        body.update(_error_fields(job, plan, settings))
    return _without_secrets(body)


def _without_secrets(body: dict[str, object]) -> dict[str, object]:
    """Return the body with its texts of foreign origin redacted (pitfall P118)."""
    foreign = {name: redact(value) for name, value in body.items() if name in _FOREIGN and isinstance(value, str)}
    return {**body, **foreign}


def _final_fields(
    job: JobRecord, plan: Plan | None, settings: Settings, wall: float, began_wall: float
) -> dict[str, object]:
    return {
        **_error_fields(job, plan, settings),
        "end_time": utc_text(wall),
        "pilot_timing": _pilot_timing(job, wall, began_wall),
        "pilot_log": job.log_extract[:_LOG_EXTRACT_CHARS],
        "job_output_report": file_report(job, plan),
        "meta_data": job.job_report,
    }


def _error_fields(job: JobRecord, plan: Plan | None, settings: Settings) -> dict[str, object]:
    code = job.error_code
    if code == ErrorCode.SIGTERM and settings.batch_type == "Kubernetes":
        code = int(ErrorCode.PREEMPTION)
    if code and plan is not None and plan.is_analysis and is_recoverable(code):
        code = -code
    diag = job.error_diag
    if job.log_diag and job.log_diag not in diag:
        diag = f"{diag}; log: {job.log_diag}" if diag else f"log: {job.log_diag}"
    return {
        "pilot_error_code": code,
        "pilot_error_diag": diag[:_DIAG_CHARS],
        "trans_exit_code": job.trans_exit_code,
        "exe_error_code": job.exe_error_code,
        "exe_error_diag": job.exe_error_diag[:_DIAG_CHARS],
    }


def file_report(job: JobRecord, plan: Plan | None) -> str:
    """Return the JSON text with an entry for each file that was transferred; of a failed job the log alone (4.1).

    A job that ended well without any file reports an empty object: the server fails one without a report.
    """
    guids = {file.lfn: file.guid for file in plan.files} if plan else {}
    files = job.log if job.failed else (*job.outputs, *job.log)
    report = {file.lfn: _entry(file, guids.get(file.lfn, "")) for file in files if file.status == "transferred"}
    return json.dumps(report) if report or not job.failed else ""


def _entry(file: TransferredFile, guid: str) -> dict[str, object]:
    kind, _, value = file.checksum.partition(":")
    return {
        "guid": guid,
        "fsize": file.size_bytes,
        "md5sum" if kind == "md5" else "adler32": value,
        "surl": file.surl,
        "endpoint": file.endpoint,
    }


def _usage_fields(job: JobRecord) -> dict[str, object]:
    usage = job.usage or Usage()
    fields: dict[str, object] = {}
    cpu_s = max(usage.cpu_time_s, job.cpu_time_s)
    if 0 < cpu_s <= _MAX_CPU_S:
        fields["cpu_consumption_time"] = cpu_s
        fields["cpu_conversion_factor"] = 1.0
    if usage.cores > 0:
        fields["mean_core_count"] = max(1, round(usage.cores))
    if usage.max_pss_kb >= 0:
        for name in ("rss", "vmem", "swap", "pss"):
            fields[f"max_{name}"] = getattr(usage, f"max_{name}_kb")
            fields[f"avg_{name}"] = getattr(usage, f"avg_{name}_kb")
    return fields


def _job_metrics(job: JobRecord, *, final: bool) -> str:
    """Return "name=value" pairs, cut at a pair's end within 500 characters (3.6)."""
    usage = job.usage
    if usage is None:
        return ""
    pairs = []
    if usage.cores > 0:
        pairs.append(f"actualCoreCount={max(1, round(usage.cores))}")
    if final and usage.work_dir_bytes:
        pairs.append(f"workDirSize={usage.work_dir_bytes}")
    text = " ".join(pairs)
    if len(text) > _METRICS_CHARS:
        text = text[:_METRICS_CHARS].rpartition(" ")[0]
    return text


def _pilot_timing(job: JobRecord, wall: float, began_wall: float) -> str:
    """Return getjob|stagein|payload|stageout|initial setup|payload setup in seconds (3.5)."""
    stamps = job.stamps

    def between(start: float, end: float) -> int:
        return max(0, round(end - start)) if start and end else 0

    return "|".join(
        str(value)
        for value in (
            between(stamps.asked, stamps.received),
            between(stamps.stage_in, stamps.staged_in),
            between(stamps.started, stamps.ended),
            between(stamps.ended, stamps.settled or wall),
            between(began_wall, stamps.asked),
            between(stamps.staged_in, stamps.started),
        )
    )
