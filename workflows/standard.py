"""The standard workflow: set-up, stage-in, payload, stage-out, log (DESIGN 6). Pure: a plan is made of a definition.

The whole plan is made when the job is accepted, so that whatever is wrong with the job is known before anything is
done, and so that a later pilot, perhaps with other settings, goes on with just what was planned.
"""

import uuid
from dataclasses import replace
from pathlib import PurePosixPath

from errors.codes import ErrorCode
from errors.exceptions import JobError
from ipc.parts import Copy, TextFile, Transfer
from ipc.tasks import CleanUp, PrepareJob, RunPayload, StageIn, StageOut, TransferLog, Watch
from jobs.definition import InputFile, JobDefinition, OutputFile, identify, parse
from jobs.ledger import Hunt
from jobs.names import SECRET_FILES, USER_SECRETS
from jobs.record import Plan, ReportedFile
from jobs.transform import decide_transform
from movers.registry import MOVERS
from plugins.experiments.registry import experiment
from queues.choice import Chooser, Destination, Places, Replica
from queues.queue import Queue
from settings.settings import Settings
from workflows.credentials import payload_proxy
from workflows.events import is_fed, with_events
from workflows.information import queue_for_job, storages_for_job
from workflows.memory import memory_limit_kb
from workflows.realtime import log_stream
from workflows.request import kept_at
from workflows.steps import step_transforms, with_steps
from workflows.traces import traced

#: What a queue's catchall holds when the server is to be told of each of its jobs to be in debug mode (8.3).
_DEBUG_TAG = "setdebugmode"
_MEGABYTE = 1024 * 1024
#: The name of the log of the pilot itself, linked into the job directory (behaviour 6).
_PILOT_LOG = "pilotlog.txt"
_TRANSFORM_MODE = 0o755
#: Experiments whose pilots hold a limit of memory (behaviour 10: others check nothing).
_MEMORY_IS_LIMITED = frozenset({"atlas"})
#: A file of this name in the main directory makes the pilot end the payload (panda-protocol 3.9).
_KILL_FILE = "pilot_kill_payload"


def task_id_of(definition: str) -> int:
    """Return the task of a definition, 0 when it names none."""
    return identify(definition).task_id or 0


def make_plan(definition: str, hunt: Hunt, settings: Settings, main_dir: str, key: str) -> Plan:
    """Return the job's tasks.

    Raises:
        JobError: with its code, when the job cannot be run as it is described or here.
    """
    job = parse(definition, log_name=dict(settings.environment).get("PILOT_LOGFILE", ""))
    queue = queue_for_job(job, hunt, settings)
    job_dir = f"{main_dir}/PanDA_Pilot-{job.job_id}"
    control_dir = f"{main_dir}/.bulkhead/control/{key}"
    places = Places(
        job_dir=job_dir,
        main_dir=main_dir,
        launch_dir=settings.launch_dir,
        input_dir=settings.input_dir,
        output_dir=settings.output_dir,
        input_destination_dir=settings.input_destination_dir,
    )
    chooser = Chooser(job, queue, storages_for_job(job, hunt), places, MOVERS)
    plan = Plan(
        site_name=queue.panda_resource or settings.queue,
        core_count=job.core_count,
        is_analysis=job.is_analysis,
        files=_reported_files(job),
        prepare=_prepare(job, settings, job_dir, control_dir),
        stage_in=_stage_in(chooser, settings),
        run=_run(job, queue, settings, job_dir, control_dir),
        stage_out=None if is_fed(job) else _stage_out(chooser),
        log=_log(chooser, settings),
        watch=replace(_watch(job, queue, settings, job_dir, control_dir), kill_file=f"{main_dir}/{_KILL_FILE}"),
        clean=CleanUp(
            root=main_dir,
            paths=(
                job_dir,
                control_dir,
                kept_at(main_dir, hunt),
                *((_archive(job.log, main_dir),) if job.log else ()),
            ),
        ),
        debug=job.debug or queue.has_tag(_DEBUG_TAG),
        debug_by_queue=queue.has_tag(_DEBUG_TAG),
        scheduler_ip=job.scheduler_ip,
        session_ip=job.session_ip,
        proxy=payload_proxy(job, queue, settings, job_dir),
    )
    if is_fed(job):
        plan = with_events(plan, job, queue, chooser.storages, settings)
    return traced(plan, job, settings)


def secrets_only(plan: Plan) -> CleanUp:
    """Return the removal of what may hold secrets, for a job whose other files are to be kept."""
    kept = tuple(path for path in plan.clean.paths if PurePosixPath(path).name.startswith("acquired-"))
    return replace(plan.clean, paths=(*(f"{plan.prepare.job_dir}/{name}" for name in SECRET_FILES), *kept))


def _reported_files(job: JobDefinition) -> tuple[ReportedFile, ...]:
    """Return the GUIDs of what goes out; one that is not given follows from the job, so that it never changes."""
    files: tuple[OutputFile, ...] = (*job.outputs, job.log) if job.log else job.outputs
    return tuple(
        ReportedFile(lfn=file.lfn, guid=file.guid or _guid(f"{job.job_id}.{job.attempt_nr}/{file.scope}:{file.lfn}"))
        for file in files
    )


def _guid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"panda:{name}")).upper()


def _prepare(job: JobDefinition, settings: Settings, job_dir: str, control_dir: str) -> PrepareJob:
    files = [
        TextFile(name=item.name, text="\n".join(([f"{item.option}"] if item.option else []) + list(item.lfns)) + "\n")
        for item in job.list_files
    ]
    if job.secrets:
        files.append(TextFile(name=USER_SECRETS, text=job.secrets, mode=0o600))
    shared = dict(settings.environment).get("SHARED_DIR", "")
    link = f"{shared.rstrip('/')}/payload_workdir" if shared.startswith("/") else ""
    return PrepareJob(job_dir=job_dir, control_dir=control_dir, files=tuple(files), shared_link=link)


def _stage_in(chooser: Chooser, settings: Settings) -> StageIn | None:
    """Return the inputs and the transform's script, None when there is nothing to bring."""
    job, queue, job_dir = chooser.job, chooser.queue, chooser.places.job_dir
    total_bytes = sum(file.size_bytes or 0 for file in job.inputs)
    if queue.max_workdir_mb and total_bytes > queue.max_workdir_mb * _MEGABYTE and queue.max_input_mb != -1:
        text = f"the inputs have {total_bytes} bytes, the queue allows {queue.max_workdir_mb} MB"
        raise JobError(ErrorCode.SIZETOOLARGE, text)
    replicas = chooser.inputs()
    transfers = [_input(file, found, chooser.places) for file, found in zip(job.inputs, replicas, strict=True)]
    for transform in (decide_transform(job.transformation, settings.base_urls), *step_transforms(job, settings)):
        script = f"{job_dir}/{transform.local_name}"
        if transform.kind == "url" and all(script != each.copies[0].destination for each in transfers):
            copy = Copy(copytool="http", source=transform.source, destination=script)
            transfers.append(Transfer(lfn=transform.local_name, kind="transform", copies=(copy,), mode=_TRANSFORM_MODE))
    return StageIn(job_dir=job_dir, transfers=tuple(transfers)) if transfers else None


def _input(file: InputFile, replicas: tuple[Replica, ...], places: Places) -> Transfer:
    here = f"{places.job_dir}/{file.lfn}"
    copies = tuple(
        Copy(
            copytool=replica.copytool,
            source=replica.url,
            destination=_landing(file, replica, places),
            endpoint=replica.endpoint,
        )
        for replica in replicas
    )
    return Transfer(
        lfn=file.lfn,
        kind="input",
        copies=copies,
        size_bytes=-1 if file.size_bytes is None else file.size_bytes,
        checksum=f"{file.checksum_type}:{file.checksum_value}" if file.checksum_value else "",
        # The payload looks for its inputs in the job directory: those put elsewhere are linked there.
        link=here if any(copy.destination != here for copy in copies) else "",
    )


def _landing(file: InputFile, replica: Replica, places: Places) -> str:
    """Return where an input is put: the job directory, or --input-destination-dir.

    With that option the copy tool "mv" of the pilots in use takes the directory above it for the source and still puts
    the file into the job directory (behaviour 19).
    """
    given = PurePosixPath(places.input_destination_dir)
    beside = {str(given / file.lfn), str(given.parent / file.lfn)}
    if not given.is_absolute() or replica.url in beside:
        return f"{places.job_dir}/{file.lfn}"
    return str(given / file.lfn)


def _run(job: JobDefinition, queue: Queue, settings: Settings, job_dir: str, control_dir: str) -> RunPayload:
    plugin = experiment(settings.pilot_user)
    task = RunPayload(
        job_id=job.job_id,
        job_dir=job_dir,
        control_dir=control_dir,
        command=plugin.payload_command(job, settings),
        environment=plugin.payload_environment(job, queue, settings),
    )
    return with_steps(task, job, settings)


def _stage_out(chooser: Chooser) -> StageOut | None:
    job = chooser.job
    transfers = tuple(
        _output(file, "output", f"{chooser.places.job_dir}/{file.lfn}", found)
        for file, found in zip(job.outputs, chooser.outputs(), strict=True)
    )
    return StageOut(job_dir=chooser.places.job_dir, transfers=transfers) if transfers else None


def _output(file: OutputFile, kind: str, source: str, destinations: tuple[Destination, ...]) -> Transfer:
    return Transfer(
        lfn=file.lfn,
        kind=kind,
        copies=tuple(
            Copy(
                copytool=destination.copytool,
                source=source,
                destination=destination.url,
                endpoint=destination.endpoint,
                surl=destination.surl,
            )
            for destination in destinations
        ),
        missing_ok=file.allow_missing,
    )


def _archive(log: OutputFile, main_dir: str) -> str:
    return f"{main_dir}/.bulkhead/{log.lfn}"


def _log(chooser: Chooser, settings: Settings) -> TransferLog | None:
    """Return the packing and bringing of the log: what is no input, output or secret, and the pilot's own log."""
    job, places = chooser.job, chooser.places
    if job.log is None:
        return None
    archive = _archive(job.log, places.main_dir)
    excluded = [file.lfn for file in job.inputs] + [file.lfn for file in job.outputs]
    return TransferLog(
        job_dir=places.job_dir,
        archive_path=archive,
        top_name=f"tarball_PandaJob_{job.job_id}_{settings.queue}",
        exclude=(*excluded, *SECRET_FILES, _PILOT_LOG),
        extras=() if settings.no_pilot_log else (f"{places.main_dir}/{_PILOT_LOG}",),
        transfer=_output(job.log, "log", archive, chooser.log()),
    )


def _watch(job: JobDefinition, queue: Queue, settings: Settings, job_dir: str, control_dir: str) -> Watch:
    """Return the limits of behaviour 10; a limit that nobody set is off."""
    wall_s = job.max_walltime_s if queue.use_job_walltime and job.max_walltime_s else queue.max_time_s
    wall_s = 0 if settings.pod else wall_s
    return Watch(
        job_id=job.job_id,
        job_dir=job_dir,
        control_dir=control_dir,
        outputs=tuple(file.lfn for file in job.outputs),
        wall_limit_s=(wall_s or settings.lifetime_s) * queue.walltime_factor,
        free_disk_bytes=settings.limits.free_space_running_bytes,
        silence_limit_s=settings.limits.looping_limit_s if job.looping_check else 0.0,
        work_dir_bytes=round(queue.max_workdir_mb * _MEGABYTE * queue.workdir_factor),
        memory_kb=memory_limit_kb(job, queue) if settings.pilot_user in _MEMORY_IS_LIMITED else 0,
        stdout_bytes=settings.limits.stdout_bytes,
        output_bytes=settings.limits.output_file_bytes,
        stream=log_stream(job, queue, settings),
    )
