"""The jobs of the server: handing them out and the rules for their updates (panda-protocol.md 3.1, 3.8, 12)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.event_table import EventTable
from sandbox.verdict import Verdict, judge

STATES = ("starting", "running", "holding", "transferring", "finished", "failed")
FINAL = ("finished", "failed")
#: States that a job does not come out of; a daemon may have put it there without the pilot.
OVER = ("finished", "failed", "cancelled", "closed")
NO_COMMAND = "NULL"
KILL = "tobekilled"
DONE = "alreadydone"
_NUMBER = re.compile(r"^\d+\.*\d+$")


class JobExistsError(ValueError):
    """A job with this PandaID and attempt number is already there."""


@dataclass(slots=True)
class Job:
    """One job as the server knows it."""

    definition: dict[str, Any]
    state: str = "activated"
    states: list[str] = field(default_factory=list)
    updates_accepted: int = 0
    updates_rejected: int = 0
    finals_accepted: int = 0
    finals_rejected: int = 0
    final: dict[str, Any] | None = None
    verdict: Verdict | None = None
    command: str = NO_COMMAND
    command_times: int | None = None
    commands_sent: int = 0
    pilot_secrets: dict[str, Any] | None = None
    debug_mode: bool | None = None
    batch_id: str | None = None
    node: str | None = None
    events: EventTable = field(default_factory=EventTable)

    @property
    def job_id(self) -> int:
        """The PandaID."""
        return int(self.definition["PandaID"])

    @property
    def attempt_nr(self) -> int:
        """The attempt an update has to name."""
        given = self.definition.get("attemptNr")
        # Hostile definitions are handed out on purpose; the database behind a real server would hold a number.
        return int(given) if isinstance(given, int | str) and str(given).lstrip("-").isdigit() else 0

    def describe(self) -> dict[str, Any]:
        """Return all of it as a JSON object, with `job_id` and `attempt_nr`."""
        return {"job_id": self.job_id, "attempt_nr": self.attempt_nr, **asdict(self)}

    def take_command(self) -> str:
        """Return the command for the next answer and count it."""
        command = self.command
        if command != NO_COMMAND:
            self.commands_sent += 1
            if self.command_times is not None and self.commands_sent >= self.command_times:
                self.command = NO_COMMAND
        return command


class JobStore:
    """All jobs by PandaID, in the order in which they came."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}

    def add(self, definitions: Sequence[Mapping[str, Any]]) -> list[int]:
        """Queue jobs; a higher attempt number replaces the job of the same PandaID.

        Raises:
            JobExistsError: The same job and attempt is already there; nothing is added then.
            KeyError: A definition without PandaID; nothing is added then.
        """
        new: dict[int, Job] = {}
        for definition in definitions:
            job = Job(dict(definition))
            old = self._jobs.get(job.job_id)
            if job.job_id in new or (old is not None and old.attempt_nr >= job.attempt_nr):
                raise JobExistsError(f"job {job.job_id} attempt {job.attempt_nr} is already there")
            new[job.job_id] = job
        for job_id, job in new.items():
            self._jobs.pop(job_id, None)
            self._jobs[job_id] = job
        return list(new)

    def clear(self) -> None:
        """Forget all jobs."""
        self._jobs.clear()

    def get(self, job_id: int) -> Job | None:
        """Return the job or None."""
        return self._jobs.get(job_id)

    def all(self) -> list[Job]:
        """Return all jobs in their order."""
        return list(self._jobs.values())

    def secrets_for(self, job_id: int) -> dict[str, Any]:
        """Return what an answer says of the pilot's secrets for a job: nothing, or all of them."""
        job = self._jobs.get(job_id)
        return {"pilotSecrets": job.pilot_secrets} if job is not None and job.pilot_secrets is not None else {}

    def set_state(self, job_id: int, state: str | None) -> None:
        """Put a job into a state, as people and daemons beside the pilot do; None forgets it.

        Raises:
            KeyError: There is no such job.
        """
        if state is None:
            del self._jobs[job_id]
        else:
            self._jobs[job_id].state = state

    def acquire(self, n_jobs: int, node: str | None) -> list[Job]:
        """Hand out the next jobs; they are `sent` from here on, whether the answer arrives or not."""
        taken = [job for job in self._jobs.values() if job.state == "activated"][: max(n_jobs, 0)]
        for job in taken:
            job.state = "sent"
            job.states.append("sent")
            job.node = node
        return taken

    def batch_changed(self, update: Mapping[str, Any]) -> bool:
        """Tell whether the job's batch id is another one and neither is a number of several digits.

        Meant to be told `tobekilled`, but releases 0.8.1 and 1.0 stumble over it: StatusCode 30 to every such update.
        """
        job, new = self._jobs.get(update["job_id"]), update.get("batch_id")
        if job is None or not job.batch_id or not new or job.final is not None:
            return False
        return job.batch_id != new and not _NUMBER.search(job.batch_id) and not _NUMBER.search(new)

    def update(self, update: Mapping[str, Any]) -> str:
        """Apply one checked update and return the command of its answer.

        The first final update counts; what comes later is not stored. An unknown job and a wrong attempt are
        told `tobekilled`.
        """
        job = self._jobs.get(update["job_id"])
        if job is None:
            return KILL
        if update.get("attempt_nr") not in {None, job.attempt_nr}:
            return _reject(job, update, KILL)
        if job.final is not None:
            return _reject(job, update, _command_after_final(update["job_status"]))
        if job.state in OVER:
            return _reject(job, update, DONE)
        _store(job, update)
        return job.take_command()


def _command_after_final(status: str) -> str:
    """Only a second final update is told; what is not final is ignored without a word until the server has judged."""
    return DONE if status in FINAL else NO_COMMAND


def _reject(job: Job, update: Mapping[str, Any], command: str) -> str:
    job.updates_rejected += 1
    if update["job_status"] in FINAL:
        job.finals_rejected += 1
    return command


def _store(job: Job, update: Mapping[str, Any]) -> None:
    status = update["job_status"]
    job.updates_accepted += 1
    if update.get("batch_id"):
        job.batch_id = update["batch_id"]
    if update.get("node"):
        job.node = update["node"]
    if status in FINAL:
        job.finals_accepted += 1
        job.final = dict(update)
        job.verdict = judge(job.definition, update)
        killed = KILL in job.command and status == "failed"
        status = "cancelled" if killed else job.verdict.status
    elif status == "starting" and job.state == "running":
        status = "running"
    elif status in {"starting", "running"} and job.state in {"holding", "transferring"}:
        status = job.state
    job.state = status
    job.states.append(status)
