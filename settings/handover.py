"""How jobs and updates pass between the pilot and whoever started it: server, Harvester's files, ARC's files. Pure.

The table is panda-protocol 5.1 and 6; the names of the files are those of the pilots in use (behaviour 2, [Harvester])
and can be changed in the configuration file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True, kw_only=True)
class FileNames:
    """Names of the files shared with Harvester's messenger (5.3)."""

    request: str = "worker_requestjob.json"
    kill: str = "kill_worker"
    job_ids: str = "worker_pandaids.json"
    jobs: str = "HPCJobs.json"
    attributes: str = "worker_attributes.json"
    dump: str = "event_status.dump.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """Where jobs come from and updates go to.

    Attributes:
        jobs_from_files: Jobs come from definition files, not from the server.
        updates_to_files: Updates go to files, not to the server; the server is never asked for anything.
        harvester: Harvester started this worker and shares files with it.
        harvester_updates: Harvester's attributes, dump and job report are written.
        more_jobs: Further jobs may be asked for by the request file.
        access_point: Harvester's directory for this worker, "" for none.
        definition_files: Where a job definition may lie, in the order of 5.2.
        names: Names of the shared files.
    """

    jobs_from_files: bool = False
    updates_to_files: bool = False
    harvester: bool = False
    harvester_updates: bool = False
    more_jobs: bool = False
    access_point: str = ""
    definition_files: tuple[str, ...] = ()
    names: FileNames = FileNames()


#: Jobs from the server, updates to the server, nobody else looks.
SERVER_ONLY = Handover()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The options that decide; paths are absolute or empty."""

    update_server: bool = True
    push: bool = False
    workdir: str = ""
    datadir: str = ""
    dump_given: bool = False
    attributes_given: bool = False
    launch_dir: str = "."
    base_dir: str = ""


_PLAIN_FILE = "pandaJobData.out"


def decide(asked: Asked, environ: Mapping[str, str], names: FileNames) -> Handover:
    """Return how jobs and updates are handed over (the table of 5.1, and the classic ARC mode of 6)."""
    access_point = asked.workdir or environ.get("HARVESTER_WORKDIR", "")
    named = bool(environ.get("HARVESTER_ID") or environ.get("HARVESTER_WORKER_ID"))
    silent = not asked.update_server
    file_mode = (
        (silent and bool(asked.workdir or asked.datadir))
        or (silent and (asked.dump_given or asked.attributes_given))
        or (named and asked.push)
    )
    from_files = asked.push or silent
    return Handover(
        jobs_from_files=from_files,
        updates_to_files=silent,
        harvester=file_mode or bool(access_point),
        harvester_updates=file_mode and silent,
        more_jobs=file_mode and bool(access_point or asked.datadir),
        access_point=access_point or (asked.datadir or asked.base_dir or asked.launch_dir if file_mode else ""),
        definition_files=_places(asked, environ, names) if from_files else (),
        names=names,
    )


def _places(asked: Asked, environ: Mapping[str, str], names: FileNames) -> tuple[str, ...]:
    """Return where a definition may lie, best first, each place once (5.2)."""
    launch = PurePosixPath(asked.launch_dir)
    if asked.datadir:
        places = [f"{asked.datadir}/{_PLAIN_FILE}"]
    else:
        places = [str(launch.parent / _PLAIN_FILE), str(launch / _PLAIN_FILE)]
        places += [f"{work}/{_PLAIN_FILE}" for work in (environ.get("PILOT_WORK_DIR", ""),) if work]
    harvester = (asked.workdir, environ.get("HARVESTER_WORKDIR", ""))
    places += [f"{folder}/{names.jobs}" for folder in harvester if folder]
    # The name that Harvester itself falls back to.
    places += [f"{folder}/{_PLAIN_FILE}" for folder in harvester if folder]
    return tuple(dict.fromkeys(places))
