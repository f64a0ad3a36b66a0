"""What must hold (DESIGN 8): after each step, at each commit, whenever a pilot leaves, and when no job is left."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sim_feeding import RANGES, REPORT, TAR

from core.actions import EndPayload, Say, Send, StartWorker
from core.ending import _STOP_GRACE_S
from core.events import Event, GuardianDied, Heard, SignalArrived, WorkerDied
from core.state import Phase, Pilot
from errors.catalogue import signal_code
from errors.codes import ErrorCode
from ipc.codec import decode, encode
from ipc.results import UpdateAnswered
from ipc.schema import Assign, Done, Failed, Observed
from ipc.tasks import CleanUp, SendUpdate, StageOut, Task, TransferLog
from jobs.ledger import Ending, Hunt, Ledger, Row, TaskRecord
from jobs.record import Dossier, JobRecord
from jobs.states import OPEN_TO_ERRORS, JobState

if TYPE_CHECKING:
    from sim_world import World

_FINAL_WORDS = ("finished", "failed")
_WORDS = ("starting", "running")
_LEASED_PHASES = (Phase.RUNNING, Phase.STOPPED)
_MOVE = re.compile(r"job=\d+ (\w+) -> (\w+) \((\w+)\)")
_SLACK_S = 0.3
_WRONG_RESULT = int(ErrorCode.INTERNALPILOTPROBLEM)
_GUARDIAN_EXIT = 137


class SimError(AssertionError):
    """An invariant does not hold."""


def require(holds: object, text: str) -> None:
    """Fail with `text` unless it holds.

    Raises:
        SimError: it does not.
    """
    if not holds:
        raise SimError(text)


class Checks:
    """The memory that the invariants need; everything known here was committed."""

    def __init__(self, world: "World", *, round_trip: bool) -> None:
        self.world = world
        self.round_trip = round_trip
        self.known: dict[str, JobRecord] = {}
        self.finals: dict[str, str] = {}  # the final bodies as composed, by job
        self.reducible: set[str] = set()  # jobs whose final update may be reduced
        self.leases: set[str] = set()
        self.causes: dict[str, set[int]] = {}
        self.common_causes: set[int] = set()
        self.words: dict[str, str] = {}
        self.ending: Ending | None = None
        self.expected_exit: int | None = None
        self.began_at = 0.0
        self.allowance_s = 0.0
        self.no_reporter = False

    # ---------------------------------------------------------------- lives
    def pilot_begins(self) -> None:
        """A pilot begins in a new world of processes; updates that it takes over get new numbers."""
        self.leases.clear()
        self.words.clear()
        self.no_reporter = False

    def supervisor_begins(self, pilot: Pilot) -> None:
        """A supervisor begins with a ledger."""
        require(not any(task.issued for task in pilot.ledger.tasks.values()), "a lease outlived its supervisor")
        if pilot.ledger.ending is None:
            self.ending = self.expected_exit = None

    def stood_still(self, gap_s: float) -> None:
        """Time passed in which the pilot could do nothing."""
        self.allowance_s += gap_s

    def all_died(self) -> None:
        """The pilot is gone with everything; whatever it was about to say is lost."""
        self.world.faults.counts["(everything died)"] += 1

    def blame(self, key: str, code: int) -> None:
        """A job may fail with this code."""
        self.causes.setdefault(key, set()).add(int(code))

    def blame_dir(self, job_dir: str, code: int) -> None:
        """As `blame`, for the job in a directory."""
        job_id = int(job_dir.rpartition("-")[2])
        self.blame(f"{job_id}.{job_id % 3}", code)

    # ---------------------------------------------------------------- each step
    def step(self, before: Pilot, after: Pilot, event: Event, actions: list[Any]) -> None:
        """Check one step, committed or not."""
        self._said(actions)
        if isinstance(event, WorkerDied):
            self._poisons(before)
        if after.stopping:
            for action in actions:
                starts = isinstance(action, StartWorker)
                assigns = isinstance(action, Send) and isinstance(action.message, Assign)
                require(not starts and not assigns, f"begun while the pilot stops: {action}")
        old, new = before.ledger, after.ledger
        if old.tasks is not new.tasks or before.workers is not after.workers:
            self._leases_live(after)
        if old.jobs is not new.jobs:
            for key, job in new.jobs.items():
                was = old.jobs.get(key)
                if was is not job and was is not None:
                    require(was.error_code in (0, job.error_code), f"the first error of {key} was changed")
                require(job.state is not JobState.LOST, f"{key} is lost")
        self._assigned(new, actions)
        if old.ending is None and new.ending is not None:
            self._ending_begins(before, after, event)
        if isinstance(event, Heard) and not isinstance(event.message, (Done, Failed, Observed)):
            return
        if isinstance(event, Heard):
            self._heard(before, after, event)

    def _poisons(self, pilot: Pilot) -> None:
        """A delivery that kills its worker again and again is reduced, too."""
        for task in pilot.ledger.tasks.values():
            if isinstance(task.task, SendUpdate) and task.deaths + 1 >= pilot.settings.tuning.poison_deaths:
                self.reducible.add(task.job_key)

    def _said(self, actions: list[Any]) -> None:
        for action in actions:
            if isinstance(action, Say):
                require("a defect" not in action.text, action.text)
                if "died" in action.text and " times in " in action.text:
                    self.common_causes.add(int(ErrorCode.WORKERRESTARTSSPENT))
                    self.no_reporter |= "role=reporter" in action.text
            elif isinstance(action, EndPayload):
                self.world.faults.counts["(last means)"] += 1

    def _leases_live(self, pilot: Pilot) -> None:
        for task in pilot.ledger.tasks.values():
            if task.issued:
                worker = pilot.workers[task.role]
                lives = worker.incarnation == task.issued and worker.phase in _LEASED_PHASES
                require(lives, f"{task.lease} is held by nobody: {worker.phase} {worker.incarnation}")

    def _assigned(self, ledger: Ledger, actions: list[Any]) -> None:
        for action in actions:
            if isinstance(action, Send) and isinstance(action.message, Assign):
                lease = action.message.lease
                require(lease not in self.leases, f"the lease {lease} is given out again")
                self.leases.add(lease)
                task = action.message.task
                if isinstance(task, SendUpdate):
                    row = ledger.outbox.get(task.sequence)
                    require(row is not None, f"{lease} delivers what is not in the outbox")
                    first = min(r.sequence for r in ledger.outbox.values() if row and r.job_key == row.job_key)
                    require(first == task.sequence, f"{lease} overtakes update {first}")

    def _heard(self, before: Pilot, after: Pilot, event: Heard) -> None:
        """A message under a lease that is not valid must not change a job."""
        message: Any = event.message
        task = before.ledger.tasks.get(message.lease.split("/", 1)[0])
        worker = before.workers[event.role]
        valid = (
            task is not None
            and task.lease == message.lease
            and task.issued == event.incarnation == worker.incarnation
            and worker.phase in _LEASED_PHASES
        )
        if valid:
            if isinstance(message, Failed) and isinstance(task.task, SendUpdate) and not message.retry:
                self.reducible.add(task.job_key)
            if isinstance(message, Done) and isinstance(task.task, SendUpdate):
                if not isinstance(message.result, UpdateAnswered):
                    self.reducible.add(task.job_key)
                elif "gdb" in message.result.command or {
                    "tobekilled",
                    "debug,tobekilled",
                    "badattemptnr",
                    "alreadydone",
                } & {message.result.command}:
                    self.blame(task.job_key, ErrorCode.PANDAKILL)
            return
        self.world.faults.counts["(stale message)"] += 1
        for key, job in before.ledger.jobs.items():
            now = after.ledger.jobs.get(key)
            same = now is not None and (now.state is job.state or self._time_is_short(after))
            require(same or self._budget(after), f"{message.lease} is not valid, but moved {key}")

    def _time_is_short(self, pilot: Pilot) -> bool:
        ending = pilot.ledger.ending
        late = pilot.ledger.began_wall + pilot.settings.lifetime_s < self.world.now().wall
        reserve_s = pilot.settings.tuning.report_reserve_s
        return late or (ending is not None and self.world.t >= ending.deadline_at - reserve_s)

    @staticmethod
    def _budget(pilot: Pilot) -> bool:
        return any(worker.last_chance or worker.deaths for worker in pilot.workers.values())

    def _ending_begins(self, before: Pilot, after: Pilot, event: Event) -> None:
        ending = after.ledger.ending
        if ending is None:
            return
        if isinstance(event, SignalArrived):
            code = signal_code(event.name, classic=after.settings.tuning.signal_codes == "classic")
            self.expected_exit = 128 + event.number
        else:
            require(isinstance(event, GuardianDied), f"{event} began an ending")
            code, self.expected_exit = int(ErrorCode.KILLSIGNAL), _GUARDIAN_EXIT
        require(ending.error_code == code, f"the ending has code {ending.error_code}, not {code}")
        self.common_causes.add(code)
        self.began_at, self.allowance_s = self.world.t, 0.0
        for key, job in before.ledger.jobs.items():
            if job.state in OPEN_TO_ERRORS and not job.muted:
                self._code_is_told(before.ledger, after.ledger, key, job.error_code or code)
                noted = after.ledger.jobs[key].error_code
                require(noted == (job.error_code or code), f"{key} goes on with code {noted}")

    @staticmethod
    def _code_is_told(old: Ledger, new: Ledger, key: str, code: int) -> None:
        rows = [row for row in new.outbox.values() if row.job_key == key and row.sequence > old.sequence]
        require(rows, f"nothing is said of {key} at the end's beginning")
        body = json.loads(rows[0].body)
        told = abs(int(body.get("pilot_error_code", 0)))
        require(not rows[0].final and told == code, f"{key}: the first word after the signal is {rows[0]}")

    # ---------------------------------------------------------------- each commit
    def commit(self, old: Ledger, new: Ledger) -> None:
        """Check what became durable."""
        if old.jobs is not new.jobs:
            for key, job in new.jobs.items():
                if old.jobs.get(key) is not job:
                    self.known[key] = job
        if old.outbox is not new.outbox:
            self._outbox(old, new)
        if self.round_trip:
            self._round_trips(old, new)

    def _outbox(self, old: Ledger, new: Ledger) -> None:
        for sequence, row in new.outbox.items():
            was = old.outbox.get(sequence)
            if was is row:
                continue
            if row.final:
                self._final_row(row, new)
            elif was is None and row.job_key:
                self._word(row)
        for sequence, row in old.outbox.items():
            if row.final and sequence not in new.outbox:
                job = self.world.server.jobs[new_id(row)]
                moved = any(other.final and other.job_key == row.job_key for other in new.outbox.values())
                require(job.settled or moved, f"the final update of {row.job_key} was dropped")

    def _final_row(self, row: Row, ledger: Ledger) -> None:
        composed = self.finals.setdefault(row.job_key, row.body)
        finals = [r for r in ledger.outbox.values() if r.job_key == row.job_key and r.final]
        require(len(finals) == 1, f"{row.job_key} has {len(finals)} final updates")
        if row.body == composed:
            return
        require(row.refused, f"the final update of {row.job_key} was changed: {composed} {row.body}")
        require(row.job_key in self.reducible, f"the final update of {row.job_key} was reduced, but never refused")
        full, reduced = json.loads(composed), json.loads(row.body)
        require(reduced.items() <= full.items(), f"the final update of {row.job_key} is not a part of the first")

    def _word(self, row: Row) -> None:
        word = json.loads(row.body)["job_status"]
        last = self.words.get(row.job_key, word)
        require(word in _WORDS, f"{row.job_key}: {word} in an update that is not final")
        require(_WORDS.index(word) >= _WORDS.index(last), f"{row.job_key}: {word} after {last}")
        self.words[row.job_key] = word

    def _round_trips(self, old: Ledger, new: Ledger) -> None:
        self._same(changed(old.jobs, new.jobs), JobRecord)
        self._same(changed(old.dossiers, new.dossiers), Dossier)
        self._same(changed(old.outbox, new.outbox), Row)
        self._same((task.task for task in changed(old.tasks, new.tasks)), Task)
        self._same(changed(old.tasks, new.tasks), TaskRecord)
        if old.hunt is not new.hunt:
            self._same((new.hunt,), Hunt)
        if old.ending is not new.ending and new.ending is not None:
            self._same((new.ending,), Ending)

    @staticmethod
    def _same(values: Iterable[Any], kind: Any) -> None:
        for value in values:
            require(decode(encode(value), kind) == value, f"{value} is not what it was after a round trip")

    # ---------------------------------------------------------------- what the workers begin
    def payload_starts(self, key: str) -> None:
        """A payload is about to be started."""
        job = self.world.server.jobs[int(key.partition(".")[0])]
        staged = f"-{job.job_id}" in {path[path.rfind("-") :] for path in self.world.staged_in}
        fed = RANGES in self.world.feed(f"{self.world.pilot.main_dir}/.bulkhead/control/{key}").granted
        require(fed or job.kind != "fed", f"the payload of {key} starts before there are events for it")
        require(staged or job.kind == "bare", f"the payload of {key} starts before its inputs are there")

    def task_begins(self, task: Any) -> None:
        """A worker begins a task."""
        if isinstance(task, StageOut):
            payload = self._payload_in(task.job_dir)
            stopped = self._is_stopped(payload.control_dir.rpartition("/")[2]) and not payload.running
            require(payload.ended_well == 1 or stopped, f"outputs of {task.job_dir} before the payload ended well")
        elif isinstance(task, TransferLog):
            payload = self._payload_in(task.job_dir)
            if payload.running:
                self.world.faults.counts["(log beside a running payload)"] += 1
        elif isinstance(task, CleanUp):
            # A job whose files are kept has its secrets removed alone: the path is then one below the directory.
            job_dir = task.paths[0].removesuffix("/panda_secrets.json")
            job = self.world.server.jobs[int(job_dir.rpartition("-")[2])]
            require(job.settled, f"{job.key} is cleaned away before the server has its report")
            require(not self._payload_in(job_dir).running, f"{job.key} is cleaned while its payload runs")

    def _payload_in(self, job_dir: str) -> Any:
        job_id = int(job_dir.rpartition("-")[2])
        key = f"{job_id}.{job_id % 3}"
        return self.world.payload(f"{self.world.pilot.main_dir}/.bulkhead/control/{key}")

    def traced(self, lfn: str) -> None:
        """Check that a trace is of a transfer that was made."""
        require(lfn in self.world.moved, f"a trace of {lfn}, which nobody moved")

    # ---------------------------------------------------------------- ends
    def left(self, pilot: Pilot) -> None:
        """Check a pilot that left in order."""
        ledger, tuning = pilot.ledger, pilot.settings.tuning
        for key, job in ledger.jobs.items():
            require(job.state in (JobState.HOLDING, JobState.DONE), f"the pilot left with {key} in {job.state.value}")
            finals = [row for row in ledger.outbox.values() if row.job_key == key and row.final]
            require(job.state is JobState.DONE or len(finals) == 1, f"{key} is held without its final update")
            tried = job.state is JobState.DONE or finals[0].attempts or ledger.ending is not None
            require(tried or self.no_reporter, f"the final update of {key} was never tried")
        if ledger.ending is not None:
            require(pilot.exit_code == self.expected_exit, f"exit code {pilot.exit_code}, not {self.expected_exit}")
            limit_s = tuning.kill_grace_s + _STOP_GRACE_S + self.allowance_s + _SLACK_S
            took_s = self.world.t - self.began_at
            require(took_s <= limit_s, f"the pilot left {took_s:.3f} s after the signal")
        holding = any(job.state is JobState.HOLDING for job in ledger.jobs.values())
        if ledger.ending is None and holding:
            require(pilot.exit_code != 0, "the pilot left 0 with a job held")
        for payload in self.world.payloads.values():
            excused = payload.control_dir in self.world.not_ended
            require(excused or not payload.running, f"the pilot left while the payload of {payload.control_dir} runs")
        self.world.tally.ends["pilot left with a job held" if holding else "pilot left with nothing"] += 1

    def after_pilot(self, ledger: Ledger) -> Ledger:
        """Return what the next pilot takes over; check that nothing is missing from it."""
        for key in self.known:
            if key not in ledger.jobs:
                job = self.world.server.jobs[int(key.partition(".")[0])]
                require(job.settled, f"{key} is neither reported nor in the ledger")
        return ledger

    def after_all(self) -> None:
        """Check every job that the server handed out."""
        ends = self.world.tally.ends
        for job in self.world.server.jobs.values():
            require(len(job.accepted) <= 1, f"{job.key} has {len(job.accepted)} final updates accepted")
            if job.key not in self.known:
                # Neither the answer nor the job ever came to a ledger: nobody can report what nobody knows.
                ends["job never heard of"] += 1
                require(not job.words, f"{job.key} was spoken of, but never committed")
                continue
            require(job.settled, f"{job.key} was never reported")
            self._reported(job)
            state = job.accepted[0]["job_status"] if job.accepted else ("bad attempt" if job.bad else "closed")
            ends[f"job {state}"] += 1

    def _is_stopped(self, key: str) -> bool:
        """Tell whether the kill file ended the payload: then the job is well all the same."""
        job = self.world.pilot.ledger.jobs.get(key) or self.known.get(key)
        return job is not None and job.stopped

    def _reported(self, job: Any) -> None:
        payload = self.world.payloads.get(f"{self.world.pilot.main_dir}/.bulkhead/control/{job.key}")
        require(payload is None or payload.starts <= 1, f"the payload of {job.key} was started more than once")
        if not job.accepted:
            return
        body = job.accepted[0]
        code = abs(body["pilot_error_code"])
        if body["job_status"] == "finished":
            require(code == 0 and self.known[job.key].error_code == 0, f"{job.key} finished with error {code}")
            well = payload is not None and (payload.ended_well == 1 or self._is_stopped(job.key))
            require(well, f"{job.key} finished without its payload")
            if job.kind == "fed" and payload is not None and (payload.starts or not self._is_stopped(job.key)):
                self._events_are_stored(job, body)
            if job.kind == "full":
                out = any(path.endswith(f"-{job.job_id}") for path in self.world.staged_out)
                require(out, f"{job.key} finished without its outputs")
                report = json.loads(body["job_output_report"])
                require(len(report) == 2, f"{job.key} finished with the report {report}")
            return
        allowed = self.causes.get(job.key, set()) | self.common_causes | self._standing_causes(job)
        require(code in allowed, f"{job.key} failed with {code} {body['pilot_error_diag']}, which nothing caused")

    def _events_are_stored(self, job: Any, body: dict[str, Any]) -> None:
        control_dir = f"{self.world.pilot.main_dir}/.bulkhead/control/{job.key}"
        feed, told = self.world.feed(control_dir), body.get("n_events", 0)
        stored = any(path.endswith(f"-{job.job_id}") for path in self.world.staged_tars)
        require(stored or TAR in feed.given_up, f"{job.key} finished without its events")
        require(feed.is_over(REPORT), f"{job.key} finished before its events were told")
        whole = "pilot_timing" in body  # a report that was refused and reduced tells of none
        require(not whole or told == int(REPORT in feed.granted), f"{job.key} tells of {told} events")
        require(len(json.loads(body["job_output_report"])) == 1, f"{job.key} reports more than its log")

    def _standing_causes(self, job: Any) -> set[int]:
        causes = {int(ErrorCode.BADJOBDEFINITION)} if job.kind == "broken" else set()
        payload = self.world.payloads.get(f"{self.world.pilot.main_dir}/.bulkhead/control/{job.key}")
        if payload is not None and payload.claimed and payload.exit is None:
            causes.add(int(ErrorCode.PAYLOADLOST))
        if payload is not None and payload.exit is not None:
            causes.add(payload.exit.error_code)
        if self.world.faults.counts["worker killed by its own fault"] or self.world.poisoned:
            causes.add(int(ErrorCode.POISONTASK))
        return causes - {0}


def changed(old: dict[Any, Any], new: dict[Any, Any]) -> list[Any]:
    """Return the values that are new or not what they were."""
    return [] if old is new else [value for key, value in new.items() if old.get(key) is not value]


def new_id(row: Row) -> int:
    """Return the PandaID of a row."""
    return int(row.job_key.partition(".")[0])
