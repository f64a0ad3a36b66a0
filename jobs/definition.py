"""What a job is: the server's flat object turned into one frozen, checked value (protocol section 2).

Everything a later step uses as a file name, path, URL, number or word in a command has been checked here; keys the
pilot does not know are ignored. Errors name the field and carry the code the server is to be told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from errors.codes import ErrorCode
from jobs.decoding import decode
from jobs.definition_error import DefinitionError, shown
from jobs.files import InputFile, OutputFile, check_collisions, read_inputs, read_log, read_outputs
from jobs.identity import MAX_ATTEMPT, Identity, identify, identify_fields
from jobs.names import checked, pattern
from jobs.parameters import ListFile, Parameters, process, read_list_files
from jobs.transform import check_transformation, is_url
from jobs.values import MAX_INT, Fields

__all__ = [
    "DefinitionError",
    "Identity",
    "InputFile",
    "JobDefinition",
    "ListFile",
    "OutputFile",
    "Step",
    "build",
    "identify",
    "parse",
]

_MAX_PARAMETERS = 32 * 1024 * 1024
_MAX_SECRETS = 1024 * 1024
_MAX_CORES = 100_000
_MAX_SECONDS = 2**31 - 1
_MAX_MEGABYTES = 2**40
_HARMLESS_OPTIONS = frozenset(
    {
        "--nv",
        "--nvccli",
        "--rocm",
        "--cleanenv",
        "-e",
        "--contain",
        "-c",
        "--containall",
        "-C",
        "--pid",
        "-p",
        "--ipc",
        "-i",
    }
)


@dataclass(frozen=True, slots=True)
class Step:
    """A pre-, co- or post-process of the payload.

    Attributes:
        command: URL, path or command; checked like the transformation.
        args: its arguments, a shell text like the payload's own parameters.
    """

    command: str
    args: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefinition:
    """One job as the server described it.

    Attributes:
        job_id: PandaID, 1 to 2^63-1.
        attempt_nr: echoed in every update; 0 when the definition has none.
        task_id, jobset_id, job_definition_id, request_id: numbers of the server, 0 when there are none.
        name: jobName, for people.
        label: prodSourceLabel ("managed", "user", ...); any word.
        processing_type, user_id, resource_type, transfer_type: words of the server, "" when there are none.
        transformation: URL, path or command of the payload (`transform.decide_transform`).
        parameters: jobPars without the pilot's options, lists replaced; may be megabytes and hold anything but NUL.
        container_image: image of jobPars, else container_name, else "".
        container_exec: script made by the pre-process that runs in the container, "" for none.
        container_exec_image: image of containerOptions, "" for none.
        container_exec_args: harmless options of the container command, "" for none.
        keep_setup: the parameters carry their own setup text (noExecStrCnv).
        sw_release, home_package: software the payload needs, "" when there is none.
        platform, alrb_platform: cmtConfig in front of and behind "@".
        core_count: cores, at least 1.
        max_cpu_count_s: looping limit in seconds, 0 for the default one.
        max_walltime_s: wall time limit in seconds, 0 for none.
        min_ram_mb, max_disk_mb: needs in MB, 0 when they are not known.
        debug: start in debug mode.
        looping_check: False switches the looping check off.
        virtual_placement: inputs are placed virtually (useVP).
        alt_stage_out: alternative stage-out allowed (True), forbidden (False) or left to the queue (None).
        allow_no_output: outputs that may be missing.
        inputs, outputs: files; the log is not among the outputs.
        log: the log archive, None for a job without one.
        list_files: files with input names to write before the payload starts.
        zip_map: inside of <ZIP_MAP>, "" for none.
        secrets: text for panda_secrets.json, "" for none; never shown.
        pilot_secrets: name and value pairs for real-time logging; never shown.
        preprocess, postprocess, coprocess: steps beside the payload, None for none.
        is_analysis: a user job: the transformation is a URL.
        is_hpo: a hyper-parameter job.
        event_service, event_service_merge, use_prefetcher, positional_event_numbers, log_to_objectstore,
            on_site_merging: flags of the event service.
        overwrite_queue, overwrite_storage: values that the job puts over the queue's and the storages'.
        scheduler_ip, session_ip: where a Dask scheduler and its session are, "" for none.
        nucleus: home site of the task, which an alternative stage-out avoids.
    """

    job_id: int
    attempt_nr: int = 0
    task_id: int = 0
    jobset_id: int = 0
    job_definition_id: int = 0
    request_id: int = 0
    name: str = ""
    label: str = ""
    processing_type: str = ""
    user_id: str = ""
    resource_type: str = ""
    transfer_type: str = ""
    transformation: str = ""
    parameters: str = ""
    container_image: str = ""
    container_exec: str = ""
    container_exec_image: str = ""
    container_exec_args: str = ""
    keep_setup: bool = False
    sw_release: str = ""
    home_package: str = ""
    platform: str = ""
    alrb_platform: str = ""
    core_count: int = 1
    max_cpu_count_s: int = 0
    max_walltime_s: int = 0
    min_ram_mb: int = 0
    max_disk_mb: int = 0
    debug: bool = False
    looping_check: bool = True
    virtual_placement: bool = False
    alt_stage_out: bool | None = None
    allow_no_output: tuple[str, ...] = ()
    inputs: tuple[InputFile, ...] = ()
    outputs: tuple[OutputFile, ...] = ()
    log: OutputFile | None = None
    list_files: tuple[ListFile, ...] = ()
    zip_map: str = ""
    secrets: str = field(default="", repr=False)
    pilot_secrets: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    preprocess: Step | None = None
    postprocess: Step | None = None
    coprocess: Step | None = None
    is_analysis: bool = False
    is_hpo: bool = False
    event_service: bool = False
    event_service_merge: bool = False
    use_prefetcher: bool = False
    positional_event_numbers: bool = False
    log_to_objectstore: bool = False
    on_site_merging: bool = False
    overwrite_queue: Mapping[str, object] = field(default_factory=dict, hash=False)
    overwrite_storage: Mapping[str, object] = field(default_factory=dict, hash=False)
    scheduler_ip: str = ""
    session_ip: str = ""
    nucleus: str = ""

    @property
    def environment(self) -> tuple[tuple[str, str], ...]:
        """Variables that tell the payload which job it is; a job sets no others."""
        return (("PANDAID", str(self.job_id)), ("PanDA_TaskID", str(self.task_id)))


def parse(text: str | bytes, *, log_name: str = "") -> JobDefinition:
    """Return the job described by a text: one JSON object or url-encoded pairs, at most 64 MiB.

    Args:
        text: as it came from the server or a file.
        log_name: replaces the name of the log archive (environment PILOT_LOGFILE).

    Raises:
        DefinitionError: the only exception, whatever the text; it carries code, field and, when they could be read,
            job id and attempt number.
    """
    try:
        raw = decode(text)
    except DefinitionError as error:
        raise _with_identity(error, identify(text)) from error.__cause__
    return build(raw, log_name=log_name)


def build(raw: Mapping[str, object], *, log_name: str = "") -> JobDefinition:
    """Return the job described by decoded keys and values, such as one of `data.jobs` of a server's answer.

    Raises:
        DefinitionError: as `parse`.
    """
    try:
        return _build(Fields(raw), log_name)
    except DefinitionError as error:
        raise _with_identity(error, identify_fields(raw)) from error.__cause__


def _with_identity(error: DefinitionError, who: Identity) -> DefinitionError:
    error.job_id, error.attempt_nr = who.job_id, who.attempt_nr
    return error


def _build(fields: Fields, log_name: str) -> JobDefinition:
    job_id = _job_id(fields)
    transformation = _transformation(fields)
    analysis = is_url(transformation)
    options = process(fields.long_text("jobPars", limit=_MAX_PARAMETERS))
    list_files, parameters = read_list_files(fields.long_text("writeToFile", limit=_MAX_PARAMETERS), options.text)
    allow_no_output = tuple(item for item in fields.items("allowNoOutput") if item)
    inputs = read_inputs(fields, direct=_may_read_directly(fields, options, analysis=analysis))
    outputs = read_outputs(fields, allow_no_output)
    log = read_log(fields, log_name)
    check_collisions(inputs, outputs, log)
    platform, _, alrb_platform = fields.text("cmtConfig").partition("@")
    container = Fields(fields.mapping("containerOptions") or {})
    return JobDefinition(
        job_id=job_id,
        attempt_nr=fields.integer("attemptNr", high=MAX_ATTEMPT),
        task_id=fields.integer("taskID"),
        jobset_id=fields.integer("jobsetID", low=-1),
        job_definition_id=fields.integer("jobDefinitionID", low=-1),
        request_id=fields.integer("reqID", low=-1),
        name=fields.text("jobName"),
        label=fields.text("prodSourceLabel", pattern("word")),
        processing_type=fields.text("processingType"),
        user_id=fields.text("prodUserID"),
        resource_type=fields.text("resource_type", pattern("word")),
        transfer_type=fields.text("transferType"),
        transformation=transformation,
        parameters=parameters,
        container_image=options.image or fields.text("container_name", pattern("image")),
        container_exec=container.text("containerExec", pattern("script")),
        container_exec_image=container.text("containerImage", pattern("image")),
        container_exec_args=_container_args(container),
        keep_setup=fields.flag("noExecStrCnv"),
        sw_release=fields.text("swRelease"),
        home_package=fields.text("homepackage"),
        platform=checked("platform", "cmtConfig", platform) if platform else "",
        alrb_platform=checked("platform", "cmtConfig", alrb_platform) if alrb_platform else "",
        core_count=fields.integer("coreCount", high=_MAX_CORES) or 1,
        max_cpu_count_s=fields.integer("maxCpuCount", high=_MAX_SECONDS),
        max_walltime_s=fields.integer("maxWalltime", high=_MAX_SECONDS),
        min_ram_mb=fields.integer("minRamCount", high=_MAX_MEGABYTES),
        max_disk_mb=fields.integer("maxDiskCount", high=_MAX_MEGABYTES),
        debug=fields.flag("debug"),
        looping_check=fields.flag("loopingCheck", default=True),
        virtual_placement=fields.flag("useVP"),
        alt_stage_out=_alt_stage_out(fields),
        allow_no_output=allow_no_output,
        inputs=inputs,
        outputs=outputs,
        log=log,
        list_files=list_files,
        zip_map=options.zip_map,
        secrets=fields.json_text("secrets", limit=_MAX_SECRETS),
        pilot_secrets=_pilot_secrets(fields),
        preprocess=_step(fields, "preprocess"),
        postprocess=_step(fields, "postprocess"),
        coprocess=_step(fields, "coprocess"),
        is_analysis=analysis,
        is_hpo=fields.flag("isHPO"),
        event_service=fields.flag("eventService"),
        event_service_merge=fields.flag("eventServiceMerge"),
        use_prefetcher=fields.flag("usePrefetcher"),
        positional_event_numbers=fields.flag("inFilePosEvtNum"),
        log_to_objectstore=fields.flag("putLogToOS"),
        on_site_merging=fields.flag("onSiteMerging"),
        overwrite_queue=options.overwrite_queue,
        overwrite_storage=options.overwrite_storage,
        scheduler_ip=fields.text("scheduler_ip", pattern("word")),
        session_ip=fields.text("session_ip", pattern("word")),
        nucleus=fields.text("nucleus"),
    )


def _job_id(fields: Fields) -> int:
    if not fields.has("PandaID"):
        raise DefinitionError("PandaID", "is missing")
    return fields.integer("PandaID", low=1, high=MAX_INT)


def _transformation(fields: Fields) -> str:
    transformation = fields.text("transformation")
    if not transformation:
        raise DefinitionError("transformation", "is missing")
    check_transformation(transformation)
    return transformation


def _may_read_directly(fields: Fields, options: Parameters, *, analysis: bool) -> bool:
    if options.access:
        return options.access == "direct"
    return analysis or fields.text("transferType").lower() == "direct"


def _alt_stage_out(fields: Fields) -> bool | None:
    word = fields.text("altStageOut").lower()
    if word in {"", "on", "off"}:
        return {"on": True, "off": False}.get(word)
    return fields.flag("altStageOut")


def _container_args(container: Fields) -> str:
    args = container.text("execArgs")
    refused = [word for word in args.split() if word not in _HARMLESS_OPTIONS]
    if refused:
        raise DefinitionError("containerOptions", f"the option {shown(refused[0])} is not for a job to choose")
    return " ".join(args.split())


def _step(fields: Fields, key: str) -> Step | None:
    value = fields.mapping(key)
    if not value:
        return None
    inner = Fields(value)
    try:
        command, args = inner.text("command"), inner.long_text("args", limit=_MAX_PARAMETERS)
    except DefinitionError as error:
        raise DefinitionError(key, f"{error.field}: {error.text}", error.code) from error
    if not command:
        raise DefinitionError(key, "has no command")
    check_transformation(command, key)
    return Step(command, args)


def _pilot_secrets(fields: Fields) -> tuple[tuple[str, str], ...]:
    pairs = fields.mapping("pilotSecrets") or {}
    if not all(isinstance(value, str | int) for value in pairs.values()):
        raise DefinitionError("pilotSecrets", "a value is not a text", ErrorCode.CONVERSIONFAILURE)
    return tuple((name, str(value)) for name, value in pairs.items())
