"""What the simulated pilots work with: settings, queue descriptions, job definitions, plans that are cheap to make."""

import contextlib
import json
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from core import life
from errors.codes import ErrorCode
from errors.exceptions import JobError
from ipc.parts import Copy, EventStore, TraceBasis, Transfer, Variable
from ipc.tasks import CleanUp, FeedEvents, FetchProxy, PrepareJob, RunPayload, StageIn, StageOut, TransferLog, Watch
from jobs.ledger import Hunt
from jobs.record import Plan, ReportedFile
from jobs.states import TABLE, JobEvent, JobState
from settings.settings import Settings, Tuning

MAIN_DIR = "/pilot/PanDA_Pilot3_1_1"
QUEUE = "SIM_QUEUE"
_SERVER = "https://server.example"
STORAGES = "{}"
FIRST_ID = 6_700_000_001


def make_settings(rng: random.Random, *, outages: bool) -> Settings:
    """Return settings with periods in many proportions; with `outages` such that a pilot does not wait for days."""
    beat_s = 60.0 if outages else rng.choice((5.0, 60.0, 60.0, 60.0))
    return Settings(
        queue=QUEUE,
        node="node1",
        gtag="g1",
        url=_SERVER,
        base_urls=(_SERVER,),
        input_dir="/in",
        output_dir="/out",
        harvester_id="harvester" if rng.random() < 0.3 else "",
        harvester_worker_id="17",
        heartbeat_s=rng.choice((30.0, 300.0, 1800.0)),
        lifetime_s=600.0 if outages else rng.choice((324000.0, 324000.0, 600.0)),
        getjob_requests=rng.choice((1, 2)),
        getjob_failures=rng.choice((1, 3, 5)),
        cleanup=rng.random() < 0.8,
        tuning=Tuning(
            beat_s=beat_s,
            silence_s=beat_s * 4,
            retry_long_after_s=rng.choice((60.0, 600.0)),
            poison_deaths=rng.choice((2, 3)),
            signal_codes=rng.choice(("bulkhead", "bulkhead", "classic")),
        ),
    )


def queue_text(rng: random.Random) -> str:
    """Return a queue description; a timefloor of 0 is one job for each pilot."""
    floor_min = rng.choice((0, 5, 60, 600, 600, 600))
    tools = {"cp": {"setup": ""}}
    fields = {"nickname": QUEUE, "state": "ACTIVE", "status": "online", "timefloor": floor_min, "copytools": tools}
    return json.dumps(fields)


def definition(job_id: int, kind: str) -> str:
    """Return the text of a job of a kind: "full", "fed" with events, "bare" (no files), "broken", "nameless"."""
    fields: dict[str, object] = {"PandaID": job_id, "attemptNr": job_id % 3, "taskID": 7, "kind": kind}
    if kind == "nameless":
        del fields["PandaID"]
    return json.dumps(fields)


def whole_definition(job_id: int, kind: str) -> str:
    """Return a job of a kind as the server gives it, for the standard workflow's own plan."""
    key = f"{job_id}.{job_id % 3}"
    out, log = f"out.{key}", f"log.{key}.tgz"
    fields: dict[str, object] = {
        "PandaID": job_id,
        "attemptNr": job_id % 3,
        "taskID": 7,
        "prodSourceLabel": "user",
        "transformation": f"{_SERVER}/trf/work.py" if kind != "bare" else "run.sh",
        "jobPars": "--x 1",
    }
    if kind == "full":
        fields |= {
            "inFiles": f"in.{key}",
            "realDatasetsIn": "sim.in",
            "GUID": "0A1B2C3D-0001-4AAA-8BBB-0000000000A1",
            "fsize": "5",
            "checksum": "ad:1f2e3d4c",
            "scopeIn": "sim",
            "ddmEndPointIn": "SIM_DISK",
            "prodDBlockToken": "NULL",
            "outFiles": f"{out},{log}",
            "realDatasets": "sim.out,sim.log",
            "destinationDblock": "sim.out,sim.log",
            "ddmEndPointOut": "SIM_DISK,SIM_DISK",
            "scopeOut": "sim",
            "scopeLog": "sim",
            "logFile": log,
            "logGUID": "3f0f2d0e-7c55-4a0b-9f0e-0d5b9c2a1f11",
        }
    elif kind == "broken":
        fields["inFiles"] = "../../etc/passwd"
    elif kind == "nameless":
        del fields["PandaID"]
    return json.dumps(fields)


def cheap_plan(text: str, _hunt: Hunt, settings: Settings, main_dir: str, key: str) -> Plan:
    """Return a plan like the standard workflow's, without its checks.

    Raises:
        JobError: for a definition of the kind "broken".
    """
    fields = json.loads(text)
    if fields["kind"] == "broken":
        raise JobError(ErrorCode.BADJOBDEFINITION, "made so")
    full, fed = fields["kind"] in ("full", "fed"), fields["kind"] == "fed"
    job_id = fields["PandaID"]
    job_dir = f"{main_dir}/PanDA_Pilot-{job_id}"
    control_dir = f"{main_dir}/.bulkhead/control/{key}"

    def transfer(lfn: str, kind: str) -> Transfer:
        copy = Copy(copytool="cp", source=f"/from/{lfn}", destination=f"/to/{lfn}")
        return Transfer(lfn=lfn, kind=kind, copies=(copy,), missing_ok=kind == "output")

    out, log = f"out.{key}", f"log.{key}.tgz"
    return Plan(
        site_name=QUEUE,
        core_count=1,
        is_analysis=job_id % 2 == 0,
        files=(ReportedFile(lfn=out, guid="A"), ReportedFile(lfn=log, guid="B")) if full else (),
        prepare=PrepareJob(job_dir=job_dir, control_dir=control_dir),
        stage_in=StageIn(job_dir=job_dir, transfers=(transfer(f"in.{key}", "input"),), traced=True) if full else None,
        run=RunPayload(
            job_id=job_id,
            job_dir=job_dir,
            control_dir=control_dir,
            command="./payload",
            environment=(Variable(name="A", value="1"),),
        ),
        stage_out=StageOut(job_dir=job_dir, transfers=(transfer(out, "output"),), traced=True)
        if full and not fed
        else None,
        log=TransferLog(
            job_dir=job_dir,
            archive_path=f"{main_dir}/.bulkhead/{log}",
            top_name="tarball",
            exclude=(),
            extras=(),
            transfer=transfer(log, "log"),
            traced=True,
        )
        if full
        else None,
        watch=Watch(job_id=job_id, job_dir=job_dir, control_dir=control_dir, wall_limit_s=settings.lifetime_s),
        clean=CleanUp(root=main_dir, paths=(job_dir, control_dir)),
        proxy=FetchProxy(path=f"{job_dir}/proxy", role="sim", least_s=1.0) if job_id % 4 == 0 else None,
        traces=TraceBasis(
            url=f"{_SERVER}/traces/",
            job_id=job_id,
            task_id=7,
            definition_id=1,
            user="u",
            queue=QUEUE,
            node="node1",
            is_analysis=job_id % 2 == 0,
            event_version="1+1",
        ),
        feed=feed_of(job_id, job_dir, control_dir) if fed else None,
    )


def feed_of(job_id: int, job_dir: str, control_dir: str) -> FeedEvents:
    """Return the task that feeds a job with events."""
    store = EventStore(copytool="cp", endpoint="ES", storage_id=9, base="/to/", deterministic=False)
    return FeedEvents(
        job_id=job_id,
        jobset_id=1,
        task_id=7,
        job_dir=job_dir,
        control_dir=control_dir,
        channel="ipc:///es.sock",
        core_count=1,
        stores=(store,),
        gap_s=60.0,
    )


class Moves(dict[tuple[JobState, JobEvent], Any]):
    """The table of a job's life, which counts the pairs that happen."""

    def __init__(self, counts: Counter[tuple[str, str]]) -> None:
        super().__init__(TABLE)
        self.counts = counts

    def __getitem__(self, pair: tuple[JobState, JobEvent]) -> Any:
        self.counts[pair[0].value, pair[1].value] += 1
        return super().__getitem__(pair)


@contextlib.contextmanager
def core_of_the_simulation(moves: Counter[tuple[str, str]]) -> Iterator[None]:
    """Let the core make cheap plans, and count the moves of its table."""
    real = life.make_plan, life.TABLE

    def plan(text: str, *circumstances: Any) -> Plan:
        return (cheap_plan if '"kind"' in text else real[0])(text, *circumstances)

    life.make_plan, life.TABLE = plan, Moves(moves)
    try:
        yield
    finally:
        life.make_plan, life.TABLE = real
