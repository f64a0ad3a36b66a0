"""A sandbox as a child process, for the command line and the tests; the standard library only."""

import contextlib
import http.client
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from sandbox.storage import relative_path

_HOME = Path(__file__).resolve().parent.parent
_POLL_S = 10.0
_ANSWER_S = 30.0
_END_S = 5.0

Entry = dict[str, Any]


class SandboxError(Exception):
    """The sandbox did not start, or refused what it was asked for."""


class Sandbox:
    """A running sandbox; use it as a context manager.

    The server ends with `stop()`, and by itself when this process ends. It is in a session of its own, so that a
    Ctrl-C meant for the pilot does not take the server away.

    Attributes:
        url: Base URL for pilots.
        control_url: Base URL of the control endpoints, open also while the sandbox is down.
        storage: The storage directory.
        pid: The server's process id.
    """

    def __init__(self, storage: Path, *options: str, start_s: float = 20.0) -> None:
        """Start the server and wait until it listens.

        Args:
            storage: The storage directory.
            options: More options of `python -m sandbox`; paths have to be absolute.
            start_s: Seconds to wait for it.

        Raises:
            SandboxError: It did not come up in time.
        """
        self.storage = storage.resolve()
        command = [sys.executable, "-m", "sandbox", "--storage", str(self.storage), "--end-with-stdin", *options]
        self._process = subprocess.Popen(
            command,
            cwd=_HOME,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._process.pid
        try:
            where = self._first_line(time.monotonic() + start_s)
        except BaseException:
            self.stop()
            raise
        self.url: str = where["url"]
        self.control_url: str = where["control_url"]

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server and wait for it; harmless when it has ended."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def add_jobs(self, definitions: Sequence[Mapping[str, Any]]) -> list[int]:
        """Queue job definitions and return their PandaIDs."""
        return list(self._post("/sandbox/jobs", {"jobs": list(definitions)})["job_ids"])

    def make_jobs(self, count: int = 1, **recipe: Any) -> list[int]:
        """Make jobs with input files, queue them and return their PandaIDs.

        Args:
            count: Number of jobs.
            recipe: Members of `sandbox.make_jobs.Recipe`.
        """
        return list(self._post("/sandbox/make_jobs", {"count": count, **recipe})["job_ids"])

    def fault(self, call: str, kind: str, **more: Any) -> None:
        """Arm a fault: `times` (1; None = until cleared), `only_final`, `skip`, `seconds`."""
        self._post("/sandbox/fault", {"call": call, "kind": kind, **more})

    def clear_faults(self) -> None:
        """Disarm all faults."""
        self._ask("DELETE", "/sandbox/faults")

    def command(self, job_id: int, command: str, times: int | None = None, **more: Any) -> None:
        """Put a command into the answers to the job's updates, always or so many times; `pilot_secrets` too."""
        self._post("/sandbox/command", {"job_id": job_id, "command": command, "times": times, **more})

    def set_state(self, job_id: int, state: str | None) -> None:
        """Put a job into a state at the server, as a daemon there would; None forgets it."""
        self._post("/sandbox/state", {"job_id": job_id, "state": state})

    def set_events(self, job_id: int, count: int, span: int = 1) -> None:
        """Say how many event ranges of how many events a job has, before it asks for the first."""
        self._post("/sandbox/events", {"job_id": job_id, "count": count, "span": span})

    def set_queue(self, **fields: Any) -> None:
        """Change fields of the queue document."""
        self._post("/sandbox/queue", fields)

    def down(self, seconds: float | None = None) -> None:
        """Close the pilot's port for some seconds, or until `up()`; it is closed on return."""
        self._post("/sandbox/down", {"seconds": seconds})

    def up(self) -> None:
        """Open the pilot's port again; it is open on return."""
        self._post("/sandbox/up", {})

    def reset(self) -> None:
        """Forget jobs, faults, commands, queue changes and the record."""
        self._post("/sandbox/reset", {})

    def record(self, call: str | None = None, since: int = 0) -> list[Entry]:
        """Return the requests so far, those of one call when named."""
        query = {"since": since} if call is None else {"since": since, "call": call}
        return list(self._ask("GET", f"/sandbox/record?{urlencode(query)}")["records"])

    def jobs(self) -> list[Entry]:
        """Return the state of all jobs."""
        return list(self._ask("GET", "/sandbox/jobs"))

    def job(self, job_id: int) -> Entry:
        """Return the state of one job."""
        return dict(self._ask("GET", f"/sandbox/jobs/{job_id}"))

    def wait_for(self, predicate: Callable[[Entry], bool], timeout_s: float, since: int = 0) -> Entry:
        """Return the first request from number `since` on for which the predicate holds.

        Raises:
            TimeoutError: No such request came in time; the text names the calls that came.
        """
        deadline = time.monotonic() + timeout_s
        calls: list[str] = []
        while True:
            left = deadline - time.monotonic()
            query = urlencode({"since": since, "timeout": max(0.0, min(left, _POLL_S))})
            page = self._ask("GET", f"/sandbox/wait?{query}")
            for entry in page["records"]:
                if predicate(entry):
                    return dict(entry)
            calls += [f"{entry['call']}:{entry['status']}" for entry in page["records"]]
            since = page["next"]
            if left <= 0:
                raise TimeoutError(f"no such request within {timeout_s} s; there were {calls}")

    def wait_final(self, job_id: int, timeout_s: float) -> Entry:
        """Wait until the job's final update is stored and return the job's state.

        Raises:
            TimeoutError: None came in time.
        """
        deadline = time.monotonic() + timeout_s
        since = 0
        while True:
            job = self.job(job_id)
            if job["finals_accepted"]:
                return job
            entry = self.wait_for(_names_job(job_id), deadline - time.monotonic(), since)
            since = entry["n"] + 1

    def stored_path(self, scope: str, lfn: str) -> Path:
        """Return the place of a file in the storage (the deterministic rule)."""
        return self.storage / relative_path(scope, lfn)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("POST", path, json.dumps(body))

    def _ask(self, method: str, path: str, body: str | None = None) -> Any:
        connection = http.client.HTTPConnection(urlsplit(self.control_url).netloc, timeout=_ANSWER_S + _POLL_S)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status != http.client.OK:
            raise SandboxError(f"{method} {path}: {response.status} {text}")
        return json.loads(text)

    def _first_line(self, deadline: float) -> dict[str, Any]:
        descriptor = self._process.stdout.fileno() if self._process.stdout else -1
        text = b""
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            data = os.read(descriptor, 4096) if ready else b""
            if not data:
                raise SandboxError("the sandbox did not start" if ready else "the sandbox did not start in time")
            text += data
        return dict(json.loads(text))


_UPDATES = {"update_job", "update_jobs_bulk", "updateJob"}


def _names_job(job_id: int) -> Callable[[Entry], bool]:
    def names(entry: Entry) -> bool:
        return entry["call"] in _UPDATES and str(job_id) in json.dumps(entry["body"])

    return names
