"""What the runs of docs/real-servers.md do behind a PanDA server: BULKHEAD_PANDA_COMMAND.

    insert           job definition (JSON) on standard input -> PandaID of an activated job
    show ID          the job's row as JSON, names in lower case, with `files` (LFN -> row) and `stdout`
    settle ID        let the server judge the job's output report -> state
    command ID TEXT  the command for the pilot
    kill ID          kill the job as its owner does
    clear            take the jobs away that no pilot has ended
    queue            queue description (JSON) on standard input

Runs under the server's own Python with its configuration (PANDA_HOME, PYTHONPATH); not imported by Bulkhead.
"""

import importlib
import json
import os
import sys
import uuid

from panda_launch import NotNeeded

_OWNER = "/DC=test/O=Bulkhead/CN=Jane User"
_UNSET = ("NULL", None, "")


def _server(name: str):
    return importlib.import_module(f"pandaserver.{name}")


def _task_buffer():
    _server("taskbuffer.Initializer").initializer.init()
    buffer, config = _server("taskbuffer.TaskBuffer").taskBuffer, _server("config.panda_config")
    buffer.init(config.dbhost, config.dbpasswd, nDBConnection=1, requester="bulkhead-tests")
    return buffer


def _listed(definition: dict, name: str) -> list[str]:
    return definition[name].split(",") if definition.get(name) else []


def _file(**fields: object):
    spec = _server("taskbuffer.FileSpec").FileSpec()
    unset = ("dispatchDBlock", "dispatchDBlockToken", "prodDBlockToken", "destinationDBlockToken", "destinationSE")
    for name, value in {**dict.fromkeys(unset, "NULL"), "attemptNr": 0, "GUID": "NULL", **fields}.items():
        setattr(spec, name, value)
    return spec


def _job(definition: dict):
    job = _server("taskbuffer.JobSpec").JobSpec()
    task_id, block = definition.get("taskID", 0), f"panda.test.{uuid.uuid4().hex}"
    fields = {
        "jobDefinitionID": definition["jobDefinitionID"] % 2**31,
        "jobName": definition["jobName"],
        "AtlasRelease": definition["swRelease"],
        "homepackage": definition["homepackage"],
        "transformation": definition["transformation"],
        "jobParameters": definition["jobPars"],
        "prodSourceLabel": definition["prodSourceLabel"],
        "specialHandling": definition.get("specialHandling", ""),
        "coreCount": definition.get("coreCount", 1),
        "transferType": definition.get("transferType", "NULL"),
        "cmtConfig": definition.get("cmtConfig") or "NULL",
        "taskID": task_id,
        "jediTaskID": task_id,
        "jobsetID": 0,
        "reqID": 1,
        "maxCpuCount": 0,
        "minRamCount": 100,
        "maxDiskCount": 100,
        "jobExecutionID": 0,
        "assignedPriority": 900,
        "currentPriority": 900,
        "attemptNr": 1,
        "maxAttempt": 1,
        "resource_type": "SCORE",
        "computingSite": "SANDBOX",
        "cloud": "TEST",
        "processingType": "test",
        "destinationDBlock": block,
        "prodUserID": _OWNER,
    }
    for name, value in fields.items():
        setattr(job, name, value)
    columns = ("inFiles", "GUID", "fsize", "checksum", "scopeIn", "realDatasetsIn")
    for lfn, guid, size, checksum, scope, dataset in zip(*(_listed(definition, name) for name in columns), strict=True):
        known = {"lfn": lfn, "GUID": guid, "fsize": int(size), "checksum": checksum, "scope": scope}
        job.addFile(_file(type="input", status="ready", dataset=dataset, prodDBlock=dataset, **known))
    for lfn, dataset in zip(_listed(definition, "outFiles"), _listed(definition, "realDatasets"), strict=True):
        log = lfn == definition.get("logFile")
        known = {"GUID": definition["logGUID"], "scope": definition["scopeLog"]} if log else {}
        known = known or {"scope": _listed(definition, "scopeOut")[0]}
        place = {"dataset": dataset, "destinationDBlock": block, "prodDBlock": "NULL"}
        job.addFile(_file(type="log" if log else "output", lfn=lfn, **place, **known))
    return job


def _insert(buffer, definition: dict) -> int:
    job = _job(definition)
    with buffer.proxyPool.get() as proxy:
        (job.PandaID,) = proxy.bulk_fetch_panda_ids(1)
        if not proxy.insertNewJob(job, _OWNER, 0, userVO="local") or not proxy.activateJob(job):
            raise SystemExit("the server did not take the job")
    return job.PandaID


def _row(spec) -> dict:
    return {name.lower(): getattr(spec, name) for name in spec._attributes if getattr(spec, name) not in _UNSET}


def _show(buffer, job_id: int) -> dict:
    (job,) = buffer.peekJobs([job_id], True, True, True, True, False)
    if job is None:
        return {}
    row = {**_row(job), "files": {file.lfn: _row(file) for file in job.Files}}
    _, found = buffer.querySQLS("SELECT stdOut FROM ATLAS_PANDA.jobsDebug WHERE PandaID=:id", {":id": job_id})
    return {**row, "stdout": found[0][0]} if found else row


def _settle(buffer, job_id: int) -> str:
    adder = _server("dataservice.adder_gen")
    sites = _server("brokerage.SiteMapper").SiteMapper(buffer)
    for reported, status, attempt, _stamp in buffer.listJobOutputReport() or ():
        if int(reported) == job_id:
            buffer.lockJobOutputReport(panda_id=job_id, attempt_nr=attempt, pid="bulkhead", time_limit=10)
            locked = {"pid": "bulkhead", "prelock_pid": "bulkhead", "lock_offset": 0}
            adder.AdderGen(buffer, job_id, status, attempt, ignore_tmp_error=False, siteMapper=sites, **locked).run()
    return str(_show(buffer, job_id).get("jobstatus"))


def _clear(buffer) -> None:
    left = "jobStatus IN ('activated','sent','starting','running')"
    buffer.querySQLS(f"UPDATE ATLAS_PANDA.jobsActive4 SET jobStatus='cancelled' WHERE {left}", {})


def _command(buffer, job_id: int, text: str) -> None:
    table = "UPDATE ATLAS_PANDA.jobsActive4 SET commandToPilot=:text WHERE PandaID=:id"
    buffer.querySQLS(table, {":text": text, ":id": job_id})


def _queue(buffer, document: dict) -> str:
    with buffer.proxyPool.get() as proxy:
        return proxy.upsertQueuesInJSONSchedconfig({document["panda_resource"]: document})


def _kill(buffer, job_id: int) -> None:
    """Kill a job; do by hand what the server would where it finds the row locked (always, 0.8.1 on PostgreSQL)."""
    if buffer.killJobs([job_id], _OWNER, "2", True) != [True]:
        _command(buffer, job_id, "tobekilled")


def main(word: str, *rest: str) -> None:
    """Do one thing; the last line of the output is its result."""
    sys.meta_path.append(NotNeeded())
    buffer = _task_buffer()
    given = json.load(sys.stdin) if word in {"insert", "queue"} else None
    one = int(rest[0]) if rest else 0
    calls = {
        "insert": lambda: _insert(buffer, given),
        "queue": lambda: _queue(buffer, given),
        "show": lambda: json.dumps(_show(buffer, one), default=str),
        "settle": lambda: _settle(buffer, one),
        "command": lambda: _command(buffer, one, rest[1]),
        "kill": lambda: _kill(buffer, one),
        "clear": lambda: _clear(buffer),
    }
    sys.stdout.write(f"{calls[word]()}\n")
    sys.stdout.flush()
    os._exit(0)  # the server's threads would keep the process


if __name__ == "__main__":
    main(*sys.argv[1:])
