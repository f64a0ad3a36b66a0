"""A server with jobs, and pilots started against it."""

import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from benchmarks.door import SCRIPT, Door
from benchmarks.house import House
from benchmarks.pilot import RunningPilot
from benchmarks.scenario import Bench, WrongOutcomeError
from benchmarks.waiting import wait_for
from sandbox.client import Sandbox

_places = itertools.count()
_UPDATES = ("update_job", "update_jobs_bulk")


@dataclass(frozen=True, slots=True)
class Job:
    """A queued job and the files through which its payload is seen and held."""

    job_id: int
    mark: Path
    gate: Path

    def started(self, timeout_s: float = 30.0) -> float:
        """Wait for the payload's start and return its wall time."""
        return wait_for(lambda: self._read("start"), timeout_s, "the payload started")

    def ended(self, timeout_s: float = 30.0) -> float:
        """Wait for the payload's end and return its wall time."""
        return wait_for(lambda: self._read("end"), timeout_s, "the payload ended")

    def release(self) -> None:
        """Let a payload that waits at its gate go on."""

        def push() -> bool:
            try:
                descriptor = os.open(self.gate, os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return False
            os.write(descriptor, b"go\n")
            os.close(descriptor)
            return True

        wait_for(push, 30.0, "the payload waits at its gate")

    def _read(self, word: str) -> float | None:
        lines = self.mark.read_text().splitlines() if self.mark.exists() else []
        return next((float(line.split()[1]) for line in lines if line.startswith(f"{word} ")), None)


class Station:
    """The server and the place of the pilots of one scenario; nothing is left of it at the end."""

    def __init__(self, bench: Bench, *options: str) -> None:
        """Start the server with more `options` of its command line."""
        self._bench = bench
        self.place = bench.scratch / f"s{next(_places)}"
        self.place.mkdir(parents=True)
        self.door = Door()
        self.sandbox = Sandbox(self.place / "storage", *options)
        self._runs = itertools.count()

    def __enter__(self) -> "Station":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sandbox.stop()
        self.door.close()
        shutil.rmtree(self.place, ignore_errors=True)

    def job(
        self,
        *,
        inputs: Sequence[int] = (),
        outputs: Sequence[int] = (1000,),
        exit_code: int = 0,
        held: bool = False,
    ) -> Job:
        """Queue a job; a held one waits until released."""
        number = next(_places)
        mark, gate = self.place / f"mark{number}", self.place / f"gate{number}"
        payload: dict[str, Any] = {"mark": str(mark), "exit_code": exit_code}
        if held:
            os.mkfifo(gate)
            payload["gate"] = str(gate)
        (job_id,) = self.sandbox.make_jobs(
            1, inputs=inputs, outputs=outputs, payload=payload, transform=f"{self.door.base}/{SCRIPT}"
        )
        return Job(job_id, mark, gate)

    def pilot(
        self, *options: str, house: House | None = None, place: Path | None = None, starter: Sequence[str] = ()
    ) -> RunningPilot:
        """Start a pilot in a place of its own."""
        place = place or self.place / f"p{next(self._runs)}"
        return RunningPilot(house or self._bench.house, place, [*self.command_line(), *options], starter)

    def command_line(self) -> list[str]:
        """Return the options of all pilots here: those that the pilot in use was measured with."""
        url = self.sandbox.url
        parts = urlsplit(url)
        return [
            *("--pilot-user=generic", "-q", "SANDBOX", "-j", "test", "-w", "generic"),
            *("--url", f"{parts.scheme}://{parts.hostname}", "-p", str(parts.port)),
            *("--queuedata-url", f"{url}/cache/schedconfig/{{pandaqueue}}.all.json"),
            *("--storagedata-url", f"{url}/cache/ddmendpoints.json"),
            *("--baseurls", f"{url}/transforms,{self.door.base}"),
            *("-b", "-t", "-y", "-x", "1"),
        ]

    def mark(self) -> int:
        """Return a number to give to `since` of the sandbox's record: the requests that come from now on."""
        entries = self.sandbox.record()
        return entries[-1]["n"] + 1 if entries else 0

    def requested(self, call: str, since: int) -> float:
        """Return the wall time of the first request of a kind.

        Raises:
            WrongOutcomeError: there was none.
        """
        for entry in self.sandbox.record(call, since):
            return float(entry["wall"])
        raise WrongOutcomeError(f"no request {call}")

    def updates(self, job: Job) -> list[dict[str, Any]]:
        """Return the updates of a job so far, each with `wall` and `answer` beside the fields that were sent."""
        found = []
        for entry in self.sandbox.record():
            body = entry.get("body")
            if entry["call"] in _UPDATES and isinstance(body, dict):
                found += [
                    {**update, "wall": entry["wall"], "answer": entry["answer"], "status": entry["status"]}
                    for update in body.get("job_list") or [body]
                    if update.get("job_id") == job.job_id
                ]
        return found

    def update(self, job: Job, job_status: str, timeout_s: float = 30.0) -> dict[str, Any]:
        """Wait for the first update with a status that the server answered, and return it."""

        def look() -> dict[str, Any] | None:
            return next((u for u in self.updates(job) if u["job_status"] == job_status and u["status"] == 200), None)

        return wait_for(look, timeout_s, f"an update {job_status}", 0.01)

    def final(self, job: Job, state: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for the job's final update and return it.

        Raises:
            WrongOutcomeError: none in time, another state than wanted, or one that the server would turn into another.
        """
        try:
            seen = self.sandbox.wait_final(job.job_id, timeout_s)
        except TimeoutError as error:
            raise WrongOutcomeError(f"no final update: {error}") from None
        if (said := seen["final"]["job_status"]) != state or seen["verdict"]["status"] != state:
            raise WrongOutcomeError(f"the job is {said} ({seen['verdict']}) instead of {state}")
        return self.update(job, state)
