"""A real pilot against a real PanDA server; the sandbox gives the queue's documents and the storage only.

What has to be set is said in docs/real-servers.md.
"""

import json
import os
import shlex
import ssl
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from pilotrun import PilotRun

from sandbox.client import Sandbox
from tests.waiting import wait_until

#: Name to meaning of the environment variables without which the tests are skipped.
NEEDED = {
    "BULKHEAD_PANDA_SERVER": "the server's base URL, https://127.0.0.1:25443",
    "BULKHEAD_PANDA_PROXY": "a PEM file with certificate and key of an identity with the production role",
    "BULKHEAD_PANDA_CA": "the authorities' directory (hashed names) or PEM file",
    "BULKHEAD_PANDA_COMMAND": "a command that looks behind the server: see docs/real-servers.md",
}
_COMMAND_S = 60.0
_ASK_S = 30.0


@dataclass(frozen=True, slots=True)
class RealServer:
    """How to reach the server and how to look behind it."""

    url: str
    proxy: str
    authorities: str
    command: str

    @staticmethod
    def from_environment() -> "RealServer":
        """Read the variables of `NEEDED`.

        Raises:
            KeyError: One is missing.
        """
        return RealServer(*(os.environ[name] for name in NEEDED))

    def run(self, *words: str, given: str = "") -> str:
        """Run the site's command with some words; return the last line of its output: the server prints, too.

        Raises:
            subprocess.CalledProcessError: It failed.
        """
        line = [*shlex.split(self.command), *words]
        done = subprocess.run(line, input=given, capture_output=True, text=True, check=True, timeout=_COMMAND_S)
        return (done.stdout.splitlines() or [""])[-1]

    def insert(self, definition: dict) -> int:
        """Put a job into the server's tables, activated; return its PandaID."""
        return int(self.run("insert", given=json.dumps(definition)))

    def tell(self, job_id: int, command: str) -> None:
        """Put a command for the pilot into the job's row."""
        self.run("command", str(job_id), command)

    def kill(self, job_id: int) -> None:
        """Kill a job as its owner does."""
        self.run("kill", str(job_id))

    def settle(self, job_id: int) -> str:
        """Let the server judge the job's output report; return the job's state after that."""
        return self.run("settle", str(job_id))

    def show(self, job_id: int) -> dict:
        """Return the job's row with lower case column names, and `files`: name to the row of each file."""
        return dict(json.loads(self.run("show", str(job_id))))

    def get(self, path: str, **arguments: object) -> dict:
        """Return the answer of a v1 call of method GET."""
        query = urlencode(arguments, doseq=True)
        context = ssl.create_default_context()
        where = {"capath" if Path(self.authorities).is_dir() else "cafile": self.authorities}
        context.load_verify_locations(**where)
        context.load_cert_chain(self.proxy)
        asked = urllib.request.Request(f"{self.url}/api/v1/{path}?{query}", headers={"Accept": "application/json"})
        with urllib.request.urlopen(asked, timeout=_ASK_S, context=context) as answer:
            return dict(json.load(answer))

    def status(self, job_id: int) -> str:
        """Return the job's state in the server's words."""
        return str(self.get("pilot/get_job_status", job_ids=[job_id])["data"][0]["status"])


class RealRun(PilotRun):
    """A pilot that asks the real server for jobs.

    Attributes:
        url: Where the pilot looks for the server.
    """

    def __init__(self, places: Sandbox, server: RealServer) -> None:
        super().__init__(places)
        self.server = server
        self.url = server.url

    def command(self, *options: str, **tuning: object) -> list[str]:
        """Return the command line, with the real server's address and identity."""
        words = super().command(*options, **tuning)
        url = urlsplit(self.url)
        words[words.index("--url") + 1] = f"{url.scheme}://{url.hostname}"
        words[words.index("-p") + 1] = str(url.port)
        dialect = os.environ.get("BULKHEAD_PANDA_API", "")
        words += ["--server-api", dialect] if dialect else []
        return [*words, "--cacert", self.server.proxy, "--capath", self.server.authorities]

    def job(self, **recipe: object) -> int:
        """Make a job with its input files and give it to the server; return its PandaID."""
        (made,) = self.sandbox.make_jobs(1, **recipe)
        return self.server.insert(self.sandbox.job(made)["definition"])

    def wait_status(self, job_id: int, *states: str, timeout_s: float = 30.0) -> None:
        """Wait until the server says one of these states."""
        try:
            wait_until(lambda: self.server.status(job_id) in states, timeout_s, f"not {states}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None
