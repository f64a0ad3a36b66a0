"""What an update of a job says, in the names and types of the v1 dialect (panda-protocol 3.2, update-fields.json).

Pure: everything comes from the job's record, its plan and the settings. The reporter translates for other sinks.
"""

import json

from errors.catalogue import diagnostics, is_recoverable
from errors.codes import ErrorCode
from errors.redaction import redact, redact_json
from host.clock import utc_text
from ipc.parts import TransferredFile
from jobs.record import UNKNOWN_ATTEMPT, JobRecord, Plan
from settings.settings import Settings
from workflows.columns import storable
from workflows.figures import corrupted_files, input_count, job_metrics, usage_fields

_DIAG_CHARS = 500
_LOG_EXTRACT_CHARS = 1024
_STDOUT_CHARS = 2048
_CPU_LEVEL_CHARS = 20
_PILOT_ID_CHARS = 200
_BATCH_ID_CHARS = 80
_GLIDEIN_USERS = frozenset({"generic", "eic", "epic"})
_FINAL = frozenset({"finished", "failed"})
#: Texts that payloads and tools wrote; the job report, JSON of the payload's own making, is beside them.
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
        "pilot_id": settings.pilot_id[:_PILOT_ID_CHARS],
        "start_time": utc_text(job.stamps.received),
        "cpu_consumption_unit": settings.cpu_consumption_unit,
        "job_output_report": "",
        "meta_data": "",
    }
    if job.attempt_nr != UNKNOWN_ATTEMPT:
        body["attempt_nr"] = job.attempt_nr
    batch_id = job.batch_id or settings.batch_id
    if batch_id:
        body["batch_id"] = batch_id[:_BATCH_ID_CHARS]
    if plan is not None:
        body["core_count"] = plan.core_count
    body.update(usage_fields(job))
    metrics = job_metrics(job, plan, settings, final=final)
    if metrics:
        body["job_metrics"] = metrics
    if settings.cpu_level:
        body["cpu_architecture_level"] = settings.cpu_level[:_CPU_LEVEL_CHARS]
    body.update(_sites(settings))
    # The state in the pilot's own words; the last one is the server's, so that nothing stale stays there.
    last_word = job.fed.sub_status if job.fed is not None and job.fed.sub_status else word
    body["job_sub_status"] = last_word if final else job.state.value
    if job.debug and job.debug_text:
        body["stdout"] = job.debug_text[:_STDOUT_CHARS]
    if final:
        body.update(_final_fields(job, plan, settings, wall, began_wall))
    elif job.failed:
        body.update(_error_fields(job, plan, settings))
    return storable(_without_secrets(body))


def _without_secrets(body: dict[str, object]) -> dict[str, object]:
    """Return the body with its texts of foreign origin redacted (pitfall P118)."""
    foreign = {name: redact(value) for name, value in body.items() if name in _FOREIGN and isinstance(value, str)}
    report = {"meta_data": redact_json(str(body["meta_data"]))} if body.get("meta_data") else {}
    return {**body, **foreign, **report}


def _final_fields(
    job: JobRecord, plan: Plan | None, settings: Settings, wall: float, began_wall: float
) -> dict[str, object]:
    inputs, corrupted = input_count(plan), corrupted_files(job, plan)
    return {
        **_error_fields(job, plan, settings),
        **({"n_input_files": inputs} if inputs else {}),
        **({"corrupted_files": corrupted} if corrupted else {}),
        "end_time": utc_text(wall),
        "pilot_timing": _pilot_timing(job, wall, began_wall),
        "pilot_log": job.log_extract[:_LOG_EXTRACT_CHARS],
        "job_output_report": file_report(job, plan),
        "meta_data": job.job_report,
    }


def _sites(settings: Settings) -> dict[str, object]:
    """Return where a glidein came from and runs, for the users whose server asks for it (update-fields.json)."""
    if settings.pilot_user.lower() not in _GLIDEIN_USERS or not settings.glidein_site:
        return {}
    sites = {"source_site": settings.glidein_schedd, "destination_site": settings.glidein_site}
    return {name: site for name, site in sites.items() if site}


def _error_fields(job: JobRecord, plan: Plan | None, settings: Settings) -> dict[str, object]:
    code = job.error_code
    if code == ErrorCode.SIGTERM and settings.batch_type == "Kubernetes":
        code = int(ErrorCode.PREEMPTION)
    if code and plan is not None and plan.is_analysis and is_recoverable(code):
        code = -code
    diag = job.error_diag
    if job.log_diag and job.log_diag not in diag:
        diag = f"{diag}; log: {job.log_diag}" if diag else f"log: {job.log_diag}"
    if job.stopped and not code:
        diag = diagnostics(ErrorCode.KILLPAYLOAD, f"code {int(ErrorCode.KILLPAYLOAD)}")
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
