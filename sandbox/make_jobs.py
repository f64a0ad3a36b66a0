"""Making job definitions with real input files (key set as in panda-protocol.md 2.6, value forms as in 2.1 to 2.4)."""

import shlex
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sandbox.config import SandboxConfig
from sandbox.storage import relative_path, write_random_file

TRANSFORMS = Path(__file__).parent / "transforms"
_FIRST_ID = 6_700_000_001
_NAMESPACE = uuid.UUID("5d4a2c60-6f0b-4c39-9a35-7d0b4a1e8f52")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the jobs to make are like.

    Attributes:
        count: Number of jobs.
        first_id: PandaID of the first one; None goes on after the last one made.
        inputs: Sizes of the input files in bytes, one file each.
        outputs: Sizes of the output files in bytes, one file each.
        shared_inputs: Whether all jobs read the same files.
        transform: Name of the payload script served by the sandbox, or a whole URL, or a plain command.
        payload: Options of the payload script: `{"sleep": 2, "ignore_term": true}`.
        extra_args: Text put behind the payload's arguments as it is.
        scope: Scope of all files.
        label: `prodSourceLabel`.
        log: Whether the job has a log file.
        fields: Members of the definition to add or override; null removes one.
    """

    count: int = 1
    first_id: int | None = None
    inputs: tuple[int, ...] = ()
    outputs: tuple[int, ...] = ()
    shared_inputs: bool = False
    transform: str = "work.py"
    payload: Mapping[str, Any] = field(default_factory=dict)
    extra_args: str = ""
    scope: str = "sandbox.test"
    label: str = "user"
    log: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict)


def read_recipe(raw: Mapping[str, Any]) -> Recipe:
    """Read a recipe from its JSON object.

    Raises:
        ValueError: An unknown member.
    """
    unknown = set(raw) - {entry.name for entry in fields(Recipe)}
    if unknown:
        raise ValueError(f"unknown members of a recipe: {sorted(unknown)}")
    sizes = {name: tuple(int(size) for size in raw.get(name, ())) for name in ("inputs", "outputs")}
    return Recipe(**{**raw, **sizes})


class JobMaker:
    """Makes jobs for one sandbox and counts their PandaIDs."""

    def __init__(self, config: SandboxConfig, url: str, first_id: int = _FIRST_ID) -> None:
        self._config = config
        self._url = url
        self._next_id = first_id

    def make(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Write the input files into the storage and return the definitions.

        Raises:
            OSError: The storage cannot be written.
        """
        start = self._next_id if recipe.first_id is None else recipe.first_id
        self._next_id = start + recipe.count
        return [self._make_one(recipe, job_id, start) for job_id in range(start, start + recipe.count)]

    def _make_one(self, recipe: Recipe, job_id: int, start: int) -> dict[str, Any]:
        owner = start if recipe.shared_inputs else job_id
        inputs = [
            self._make_input(recipe.scope, f"input.{owner}._{i:06d}.dat", size) for i, size in _count(recipe.inputs)
        ]
        outputs = [(f"output.{job_id}._{i:06d}.dat", size) for i, size in _count(recipe.outputs)]
        log = f"log.{job_id}.job.log.tgz"
        job = {
            **_base(job_id, recipe),
            **_input_members(inputs, recipe.scope, self._config.rse),
            **_output_members(
                [name for name, _size in outputs], recipe.scope, self._config.rse, log if recipe.log else ""
            ),
            "transformation": self._transformation(recipe.transform),
            "jobPars": _arguments(recipe, [entry.lfn for entry in inputs], outputs),
            "destinationSE": self._config.site,
            "nucleus": self._config.site,
            **recipe.fields,
        }
        return {name: value for name, value in job.items() if value is not None}

    def _transformation(self, name: str) -> str:
        served = "/" not in name and (TRANSFORMS / name).is_file()
        return f"{self._url}/transforms/{name}" if served else name

    def _make_input(self, scope: str, lfn: str, size: int) -> "_Input":
        path = self._config.storage / relative_path(scope, lfn)
        return _Input(lfn, size, write_random_file(path, size))


@dataclass(frozen=True, slots=True)
class _Input:
    lfn: str
    size: int
    adler32: str


def _count(sizes: tuple[int, ...]) -> list[tuple[int, int]]:
    return list(enumerate(sizes, start=1))


def _guid(name: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, name)).upper()


def _arguments(recipe: Recipe, inputs: list[str], outputs: list[tuple[str, int]]) -> str:
    words = []
    if inputs:
        words.append(f"--inputs={','.join(inputs)}")
    if outputs:
        words.append(f"--outputs={','.join(f'{name}:{size}' for name, size in outputs)}")
    for name, value in recipe.payload.items():
        option = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            words.append(f"{option}={value}")
    return " ".join(filter(None, [shlex.join(words), recipe.extra_args]))


def _base(job_id: int, recipe: Recipe) -> dict[str, Any]:
    return {
        "StatusCode": 0,
        "PandaID": job_id,
        "prodSourceLabel": recipe.label,
        "swRelease": "NULL",
        "homepackage": "NULL",
        "jobName": f"sandbox.{job_id}.job",
        "jobDefinitionID": job_id,
        "cloud": "SANDBOX",
        "attemptNr": 1,
        "prodUserID": "sandbox",
        "maxCpuCount": 0,
        "minRamCount": 1000,
        "maxDiskCount": 1000,
        "cmtConfig": "",
        "processingType": "sandbox",
        "transferType": "NULL",
        "sourceSite": "NULL",
        "currentPriority": 900,
        "taskID": 41_000_001,
        "coreCount": 1,
        "jobsetID": 0,
        "reqID": 1,
        "maxWalltime": "NULL",
        "resource_type": "SCORE",
        "ioIntensity": 1,
        "ioIntensityUnit": "kBPerS",
        "nSent": 1,
    }


def _input_members(inputs: list[_Input], scope: str, rse: str) -> dict[str, Any]:
    def each(value: str) -> str:
        return ",".join([value] * len(inputs))

    return {
        "inFiles": ",".join(entry.lfn for entry in inputs),
        "GUID": ",".join(_guid(entry.lfn) for entry in inputs),
        "checksum": ",".join(f"ad:{entry.adler32}" for entry in inputs),
        "fsize": ",".join(str(entry.size) for entry in inputs),
        "scopeIn": each(scope),
        "ddmEndPointIn": each(rse),
        "dispatchDblock": each("NULL"),
        "dispatchDBlockToken": each("NULL"),
        "prodDBlocks": each(f"{scope}:{scope}.input"),
        "prodDBlockToken": each("NULL"),
        "realDatasetsIn": each(f"{scope}:{scope}.input"),
    }


def _output_members(outputs: list[str], scope: str, rse: str, log: str) -> dict[str, Any]:
    """Return the output lists; all but `scopeOut` hold an item for the log, which stands last."""
    names = [*outputs, *filter(None, [log])]

    def each(value: str) -> str:
        return ",".join([value] * len(names))

    members = {
        "outFiles": ",".join(names),
        "destinationDblock": each(f"{scope}.output_sub1"),
        "destinationDBlockToken": each("NULL"),
        "dispatchDBlockTokenForOut": each("NULL"),
        "realDatasets": each(f"{scope}.output"),
        "fileDestinationSE": each("SANDBOX"),
        "ddmEndPointOut": each(rse),
        "scopeOut": ",".join([scope] * len(outputs)),
    }
    if log:
        members.update(logFile=log, logGUID=_guid(log).lower(), scopeLog=scope)
    return members


def prepare_storage(config: SandboxConfig) -> Path:
    """Make the storage directory and return its path."""
    config.storage.mkdir(parents=True, exist_ok=True)
    return config.storage.resolve()
