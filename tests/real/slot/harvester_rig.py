"""Starts Harvester's own plug-ins in a process of their own and asks them; see harvester_peer.py."""

import json
import os
import subprocess
from pathlib import Path

import pytest

PEER = Path(__file__).with_name("harvester_peer.py")
SOURCE = os.environ.get("BULKHEAD_HARVESTER_SOURCE", "")
PYTHON = os.environ.get("BULKHEAD_HARVESTER_PYTHON", "")

needs_harvester = pytest.mark.skipif(
    not (SOURCE and PYTHON),
    reason="set BULKHEAD_HARVESTER_SOURCE to a checkout of Harvester and BULKHEAD_HARVESTER_PYTHON to a Python with "
    "what it needs (future, rpyc, requests, pyjwt, pycryptodomex, panda-common 0.1.1)",
)


class Plugin:
    """One of Harvester's plug-ins; use it as a context manager."""

    def __init__(self, home: Path, module: str, name: str, path: str = "", **options: object) -> None:
        home.mkdir(exist_ok=True)
        self._stderr = (home / "stderr.txt").open("ab")
        self._process = subprocess.Popen(
            [PYTHON, str(PEER), str(home), SOURCE, f"pandaharvester.{module}", name, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={**os.environ, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"},
            start_new_session=True,
        )
        self.home = home

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        self._process.kill()
        self._process.communicate()
        self._stderr.close()

    def ask(self, call: str, **fields: object) -> object:
        """Return what Harvester's own code answers."""
        self._process.stdin.write(json.dumps({"call": call, **fields}).encode() + b"\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, (self.home / "stderr.txt").read_text()[-3000:]
        said = json.loads(line)
        assert "error" not in said, said
        return said["answer"]


class Messenger(Plugin):
    """The shared file messenger for one worker."""

    def __init__(self, home: Path, point: Path, map_type: str = "OneToOne", **options: object) -> None:
        super().__init__(home, "harvestermessenger.shared_file_messenger", "SharedFileMessenger", **options)
        self.point, self._map_type = point, map_type
        self.jobs: list[dict] = []

    def call(self, name: str, *arguments: object, jobs: list[dict] | None = None, new: bool = False) -> object:
        jobs = self.jobs if jobs is None else jobs
        ids = [job["PandaID"] for job in jobs]
        worker = {"point": str(self.point), "map_type": self._map_type, "ids": ids, "new": new}
        return self.ask(name, worker=worker, jobs=jobs, arguments=arguments)

    def feed(self, *jobs: dict) -> None:
        """Make the access points and hand jobs over."""
        self.jobs = list(jobs)
        assert self.call("setup_access_points") is True
        assert self.call("feed_jobs") is True

    def status(self, job: dict) -> str:
        """Return what Harvester takes for the job's state, "" for none yet."""
        return self.call("get_work_attributes")[str(job["PandaID"])].get("jobStatus", "")
