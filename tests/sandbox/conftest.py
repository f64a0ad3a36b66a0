import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from sandbox.client import Sandbox

JSON_HEADERS = {"Content-Type": "application/json", "Accept": "application/json"}


@dataclass(frozen=True)
class Reply:
    status: int
    content_type: str
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Pilot:
    """A client that sends whatever a test wants, one connection per request."""

    def __init__(self, url: str) -> None:
        self._where = urlsplit(url).netloc

    def ask(self, method, path, body=None, headers=None, timeout_s=10.0) -> Reply:
        connection = http.client.HTTPConnection(self._where, timeout=timeout_s)
        try:
            connection.request(method, path, body, JSON_HEADERS if headers is None else headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        return Reply(response.status, response.headers.get_content_type(), text)

    def post(self, call: str, /, **arguments) -> Any:
        module = "metaconfig" if call == "get_resource_types" else "pilot"
        return self.ask("POST", f"/api/v1/{module}/{call}", json.dumps(arguments))

    def update(self, job_id: int, status: str, **more) -> Any:
        """Send an update and return the command of the answer."""
        answer = self.post("update_job", job_id=job_id, job_status=status, **{"attempt_nr": 1, **more}).json
        assert answer["success"], answer
        return answer["data"]["command"]


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("storage")) as sandbox:
        yield sandbox


@pytest.fixture
def server(running) -> Sandbox:
    running.reset()
    return running


@pytest.fixture
def pilot(server) -> Pilot:
    return Pilot(server.url)


@pytest.fixture
def pilot_of() -> Callable[[Sandbox], Pilot]:
    return lambda sandbox: Pilot(sandbox.url)


@pytest.fixture
def report_of() -> Callable[[dict], str]:
    def make(job: dict, **changes) -> str:
        names = job["definition"]["outFiles"].split(",")
        entry = {"guid": "g", "fsize": 1, "adler32": "0a1b2c3d", "surl": "file://x", "endpoint": "SANDBOX_DATADISK"}
        return json.dumps({name: {**entry, **changes} for name in names})

    return make


@pytest.fixture
def spec_fields() -> list[dict]:
    path = Path(__file__).resolve().parents[2] / "sandbox" / "update_fields.json"
    return json.loads(path.read_text(encoding="utf-8"))["fields"]
