"""What the traces of a job's transfers have in common, and which of its tasks tell of their transfers. Pure."""

from dataclasses import replace

from ipc.parts import TraceBasis, TracedFile
from jobs.definition import JobDefinition
from jobs.record import Plan
from settings.settings import VERSION, Settings
from settings.traces import trace_url

#: curl's code of the last trace that failed, in the job directory (behaviour 6).
_ERROR_FILE = "rucio_trace_error.txt"


def traced(plan: Plan, job: JobDefinition, settings: Settings) -> Plan:
    """Return the plan with its transfers traced, or as it is when no traces are sent."""
    url = trace_url(settings)
    if not url:
        return plan
    return replace(
        plan,
        traces=_basis(plan, job, settings, url),
        stage_in=replace(plan.stage_in, traced=True) if plan.stage_in else None,
        stage_out=replace(plan.stage_out, traced=True) if plan.stage_out else None,
        log=replace(plan.log, traced=True) if plan.log else None,
    )


def _basis(plan: Plan, job: JobDefinition, settings: Settings, url: str) -> TraceBasis:
    environ = dict(settings.environment)
    guids = {file.lfn: file.guid for file in plan.files}
    files = [
        TracedFile(lfn=file.lfn, kind="input", scope=file.scope, dataset=file.dataset, guid=file.guid)
        for file in job.inputs
    ]
    going = [("output", file) for file in job.outputs] + ([("log", job.log)] if job.log is not None else [])
    files += [
        TracedFile(lfn=file.lfn, kind=kind, scope=file.scope, dataset=file.dataset, guid=guids.get(file.lfn, ""))
        for kind, file in going
    ]
    return TraceBasis(
        url=url,
        job_id=job.job_id,
        task_id=job.task_id,
        definition_id=job.job_definition_id,
        user=job.user_id,
        queue=plan.site_name,
        node=environ.get("PANDA_HOSTNAME") or settings.node.rpartition("@")[2],
        is_analysis=job.is_analysis,
        event_version=f"{VERSION}+{environ.get('ATLAS_LOCAL_RUCIOCLIENTS_VERSION') or 'none'}",
        local_site=environ.get("RUCIO_LOCAL_SITE_ID", ""),
        files=tuple(files),
        error_file=f"{plan.prepare.job_dir}/{_ERROR_FILE}",
    )
