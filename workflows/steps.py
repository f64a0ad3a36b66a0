"""The processes beside a job's payload: where their programs come from, their lines (panda-protocol 2.5). Pure."""

from dataclasses import replace

from errors.codes import ErrorCode
from ipc.tasks import RunPayload
from jobs.definition import JobDefinition
from jobs.definition_error import DefinitionError, shown
from jobs.steps import CO, POST, PRE
from jobs.transform import Transform, decide_transform, is_url
from settings.settings import Settings

#: Not empty: the payload is run by somebody else, only its pre- and post-process are the pilot's (behaviour 13).
_ELSEWHERE = "HARVESTER_HOROVOD"


def step_transforms(job: JobDefinition, settings: Settings) -> tuple[Transform, ...]:
    """Return the programs of the steps that a job has.

    Raises:
        DefinitionError: one cannot be had, or would take the place of another file of the job.
    """
    found = _transforms(job, settings)
    if found and is_url(job.transformation):
        found = {"transformation": decide_transform(job.transformation, settings.base_urls), **found}
    sources = dict.fromkeys([file.lfn for file in job.inputs] + [file.lfn for file in job.outputs], "")
    for field, transform in found.items():
        if transform.kind != "url":
            continue
        name, other = transform.local_name, sources.setdefault(transform.local_name, transform.source)
        if other != transform.source:
            text = f"{shown(transform.source)} has the name of another file of the job: {name}"
            raise DefinitionError(field, text, ErrorCode.TRFDOWNLOADFAILURE)
    return tuple(transform for field, transform in found.items() if field != "transformation")


def with_steps(task: RunPayload, job: JobDefinition, settings: Settings) -> RunPayload:
    """Return the task with the job's pre-, co- and post-process; without its payload where that is run elsewhere."""
    found = _transforms(job, settings)
    if not found:
        return task
    steps = {PRE: job.preprocess, CO: job.coprocess, POST: job.postprocess}
    lines = {name: found[name].command_line(step.args) for name, step in steps.items() if step is not None}
    elsewhere = bool(dict(settings.environment).get(_ELSEWHERE))
    return replace(
        task,
        command="" if elsewhere and (job.preprocess or job.postprocess) else task.command,
        preprocess=lines.get(PRE, ""),
        coprocess=lines.get(CO, ""),
        postprocess=lines.get(POST, ""),
        repeats=job.is_hpo,
        script=job.container_exec,
    )


def _transforms(job: JobDefinition, settings: Settings) -> dict[str, Transform]:
    steps = {PRE: job.preprocess, CO: job.coprocess, POST: job.postprocess}
    return {
        name: decide_transform(step.command, settings.base_urls, name)
        for name, step in steps.items()
        if step is not None
    }
