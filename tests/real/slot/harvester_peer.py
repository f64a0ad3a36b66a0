"""Harvester's own plug-ins behind pipes: run with an interpreter that has what Harvester needs, one JSON line a call.

{"call": NAME, "worker": {...}, "jobs": [definitions], "arguments": [...]} -> {"answer": ...} or {"error": "..."}.
The first argument is the directory for Harvester's configuration and log; no part of Harvester is changed.
"""

import datetime as dt
import importlib
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

_COMMON = """[logger]
loghost=localhost
monport-apache=80
method=GET
encoding=url
loghost_new=localhost
monport-apache_new=80
method_new=POST
encoding_new=json
monurlprefix=/
logdir={logs}
nemitters=1
migrated=True
log_level=DEBUG
rotating_policy=none
rotating_backup_count=1
rotating_max_size=1
rotating_interval=24
"""


def configure(home: Path, source: str) -> None:
    """Give Harvester the configuration that it ships, and its library the names that it is imported by."""
    folder = home / "etc" / "panda"
    folder.mkdir(parents=True, exist_ok=True)
    (template,) = (Path(source) / "templates").rglob("panda_harvester.cfg.rpmnew.template")
    (folder / "panda_harvester.cfg").write_text(template.read_text())
    (folder / "panda_common.cfg").write_text(_COMMON.format(logs=home))
    os.environ["PANDA_HOME"] = str(home)
    sys.path.insert(0, source)
    library = importlib.import_module("pandacommon")
    sys.path.append(str(Path(library.__file__).parent))


def job_spec(definition: dict) -> object:
    """Return Harvester's own object for a job as the server hands it out."""
    job = importlib.import_module("pandaharvester.harvestercore.job_spec").JobSpec()
    job.convert_job_json(dict(definition))
    job.computingSite = definition.get("computingSite")
    return job


def work_spec(fields: dict, jobs: list) -> object:
    """Return Harvester's own object for a worker."""
    worker = importlib.import_module("pandaharvester.harvestercore.work_spec").WorkSpec()
    worker.workerID, worker.mapType = 12, fields["map_type"]
    worker.accessPoint, worker.pandaid_list = fields["point"], fields.get("ids", [])
    worker.startTime = dt.datetime(2020, 1, 1)  # noqa: DTZ001 - Harvester's times have no zone
    worker.isNew = fields.get("new", False)
    worker.set_jobspec_list(jobs)
    return worker


def carry_out(call: SimpleNamespace, plugin: object) -> object:
    jobs = [job_spec(definition) for definition in call.jobs]
    if call.name == "trigger_preparation":
        return [*plugin.trigger_preparation(jobs[0]), plugin.resolve_input_paths(jobs[0])[0], jobs[0].jobParams]
    if call.name == "attributes_for_server":
        worker = work_spec(call.worker, jobs)
        attributes = plugin.get_work_attributes(worker)
        jobs[0].set_attributes(attributes)
        return [jobs[0].get_job_status_from_attributes(), jobs[0].get_job_attributes_for_panda()]
    worker = work_spec(call.worker, jobs)
    if call.name == "setup_access_points":
        return plugin.setup_access_points([worker])
    if call.name == "post_processing":
        return plugin.post_processing(worker, jobs, worker.mapType)
    more = {"feed_jobs": [jobs], "is_alive": call.arguments, "feed_events": call.arguments}
    return getattr(plugin, call.name)(worker, *more.get(call.name, []))


def main() -> None:
    home, source, module, name, options = sys.argv[1:6]
    configure(Path(home), source)
    answers = os.dup(1)
    os.dup2(2, 1)
    plugin = getattr(importlib.import_module(module), name)(queueName="SANDBOX", **json.loads(options))
    for line in sys.stdin:
        fields = json.loads(line)
        call = SimpleNamespace(
            name=fields["call"],
            worker=fields.get("worker"),
            jobs=fields.get("jobs", []),
            arguments=fields.get("arguments", []),
        )
        try:
            said = {"answer": carry_out(call, plugin)}
        except Exception as error:  # noqa: BLE001 - the test shall see it
            said = {"error": repr(error)}
        os.write(answers, json.dumps(said, default=str).encode() + b"\n")


if __name__ == "__main__":
    main()
