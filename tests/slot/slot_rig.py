"""A pilot started as Harvester or ARC starts it, a messenger that shares its files, a reader that never rests."""

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlencode

from tests.chaos.pilotrun import ROOT, PilotRun

ACTIVITIES = ("pr", "pw", "pl", "read_lan", "write_lan", "default")

#: Reads files as fast as it can until its standard input ends, and prints what was not whole: a second process.
_READER = """
import json, pathlib, select, sys
paths, bad, seen = [pathlib.Path(p) for p in sys.argv[1:]], [], 0
while not select.select([sys.stdin], [], [], 0.0005)[0]:
    for path in paths:
        try:
            text = path.read_text()
        except FileNotFoundError:
            continue
        seen += 1
        try:
            assert isinstance(json.loads(text), (dict, list))
        except (ValueError, AssertionError):
            bad.append([path.name, text[:80]])
print(json.dumps({"bad": bad, "seen": seen}))
"""


class Reader:
    """A process that reads files all the time and notes those that are not whole JSON."""

    def __init__(self, *paths: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _READER, *map(str, paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._process.kill()
        self._process.communicate()

    def verdict(self) -> dict:
        out, _ = self._process.communicate(b"x", 10)
        return json.loads(out)


class Messenger:
    """Harvester's end of the shared files: feeds jobs, takes dumps by renaming, reads attributes (5.3)."""

    def __init__(self, point: Path) -> None:
        self.point = point
        self.outputs: dict[str, list[dict]] = {}
        point.mkdir(exist_ok=True)

    def feed(self, definition: dict, name: str = "HPCJobs.json") -> None:
        job_id = definition["PandaID"]
        (self.point / name).write_text(json.dumps({str(job_id): definition}))
        (self.point / "worker_pandaids.json").write_text(json.dumps([job_id]))
        with contextlib.suppress(FileNotFoundError):
            (self.point / "worker_requestjob.json").unlink()

    def requested(self) -> int:
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.point / "worker_requestjob.json").read_text())["nJobs"]
        return 0

    def attributes(self) -> dict:
        with contextlib.suppress(FileNotFoundError):
            return json.loads((self.point / "worker_attributes.json").read_text())
        return {}

    def take_dump(self) -> dict:
        read = self.point / "event_status.dump.json.read"
        try:
            (self.point / "event_status.dump.json").rename(read)
        except FileNotFoundError:
            return {}
        taken = json.loads(read.read_text())
        for job, entries in taken.items():
            self.outputs.setdefault(job, []).extend(entries)
        read.rename(f"{read}.{time.time_ns()}")
        return taken

    def killed(self) -> bool:
        return (self.point / "kill_worker.json").exists()


def use_mv(sandbox, **fields) -> None:
    """Make the queue one that leaves files beside the job."""
    sandbox.set_queue(copytools={"mv": {"setup": ""}}, acopytools={a: ["mv"] for a in ACTIVITIES}, **fields)


def make_jobs(sandbox, count: int = 1, **recipe) -> list[dict]:
    """Make definitions that the server then forgets: they are handed over as files."""
    ids = sandbox.make_jobs(count, **{"outputs": [1000], "transform": "quick.sh", **recipe})
    return [sandbox.job(job_id)["definition"] for job_id in ids]


def start_in(
    run: PilotRun,
    folder: Path,
    *options: str,
    script: str = "supervisor.py",
    within: tuple[str, ...] = (),
    with_queue: bool = True,
    **tuning: object,
) -> None:
    """Start a pilot in a directory of its own, without -a: that directory is its home; `within` another program."""
    folder.mkdir(exist_ok=True)
    if with_queue and not (folder / "queuedata.json").exists():
        save_queue(run, folder)

    def without_base(command: list[str]) -> list[str]:
        words = list(command)
        for option in ("-a", "--queuedata-url", "--storagedata-url", "--input-destination-dir"):
            at = words.index(option)
            del words[at : at + 2]
        words[1] = str(ROOT / script)
        return ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(folder), *within, *words]

    environment = tuning.pop("environment", None)
    run.start(*options, wrap=without_base, environment=environment, **tuning)


def save_queue(run: PilotRun, folder: Path) -> None:
    with urllib.request.urlopen(f"{run.sandbox.url}/cache/schedconfig/SANDBOX.all.json") as answer:
        (folder / "queuedata.json").write_bytes(answer.read())


def encoded(definition: dict, **more: object) -> str:
    """Return a definition as aCT writes it."""
    return urlencode({**definition, "StatusCode": "0", **more})


def pilot_calls(sandbox, since: int) -> list[str]:
    return [entry["call"] for entry in sandbox.record(since=since)]


def last_record(sandbox) -> int:
    return max((entry["n"] for entry in sandbox.record()), default=-1) + 1


def read_json(path: Path) -> dict:
    return json.loads(path.read_text())


def environ_of(point: Path) -> dict[str, str]:
    return {"HARVESTER_ID": "h", "HARVESTER_WORKER_ID": "12", "HARVESTER_WORKDIR": str(point)}
