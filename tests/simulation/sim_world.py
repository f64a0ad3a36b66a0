"""The world around the pure core: a virtual clock, workers, payloads, a server, and everything that dies in it.

One world is one seed: a pilot with its jobs, and the pilots after it until no job is left. Nothing here depends on
anything but the seed, so a seed that failed fails again.
"""

import heapq
import random
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sim_checks import Checks, SimError
from sim_crew import Process
from sim_faults import Tally, make_faults
from sim_feeding import Feed
from sim_payloads import Payload, killed, lost, well
from sim_payloads import failed as failed_payload
from sim_plans import MAIN_DIR, make_settings, queue_text
from sim_server import Server

from core.actions import EndPayload, KillWorker, Leave, Say, Send, StartWorker
from core.events import Begun, Event, GuardianDied, Heard, SignalArrived, Suspended, Tick, WorkerDied
from core.state import Pilot
from core.step import next_deadline, step
from errors.exceptions import BulkheadError
from host.clock import Now
from ipc.schema import Assign
from ipc.tasks import RunPayload, StageIn, StageOut, StageTar, TransferLog
from jobs.journal import Journal
from jobs.ledger import Ledger, inherited, reopened
from supervision.recovery import _merged

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGXCPU, signal.SIGUSR1)
TRAIL = 40
_WALL = 1.8e9
_MAX_SUSPENSIONS = 100
_MAX_PILOTS = 6
_FAULTY_PILOTS = 3
_GUARDIAN_BURST = 5
_MAX_STEPS_PER_JOB = 6000
_MAX_TICKS_AT_ONCE = 6


class World:
    """One simulated run."""

    def __init__(
        self, seed: int, tally: Tally, *, journal: bool = False, round_trip: bool = False, whole: bool = False
    ) -> None:
        self.seed = seed
        self.tally = tally
        self.rng = random.Random(seed)
        self.faults = make_faults(self.rng, tally.faults)
        self.settings = make_settings(self.rng, outages=self.faults.has("server down for good"))
        jobs = self.rng.choice((1, 2, 4, 6))
        self.server = Server(self.faults, jobs, queue_text(self.rng), whole=whole)
        self.max_steps = _MAX_STEPS_PER_JOB * (jobs + 1)
        self.t = self.rng.choice((50.0, 1000.0, 9e5))
        self.wall_offset = _WALL - self.t
        self.heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.pushed = 0
        self.trail: deque[tuple[float, object, list[Any]]] = deque(maxlen=TRAIL)
        self.steps = 0
        # the pilot's processes
        self.life = 0
        self.up = False
        self.guardian_alive = True
        self.supervisor_deaths: list[float] = []
        self.seen_signals: list[int] = []
        self.processes: dict[tuple[str, int], Process] = {}
        self.doomed_roles: set[str] = set()
        # facts that outlive them
        self.payloads: dict[str, Payload] = {}
        self.feeds: dict[str, Feed] = {}
        self.staged_tars: set[str] = set()
        self.not_ended: set[str] = set()
        self.staged_in: set[str] = set()
        self.staged_out: set[str] = set()
        self.suspensions = 0
        self.moved: set[str] = set()
        self.poisoned: dict[str, bool] = {}
        self.committed = Ledger()
        self.directory = tempfile.TemporaryDirectory() if journal else None
        self.journal: Journal | None = None
        self.pilots = 0
        self.deadline: float | None = None
        self.deadline_of: Pilot | None = None
        self.checks = Checks(self, round_trip=round_trip)
        self.pilot = Pilot(settings=self.settings, main_dir=MAIN_DIR)

    # ---------------------------------------------------------------- time
    def now(self) -> Now:
        """Return this moment."""
        return Now(self.t, self.t + self.wall_offset)

    def at(self, delay_s: float, act: Callable[..., None], *arguments: Any) -> None:
        """Plan something."""
        self.pushed += 1
        heapq.heappush(self.heap, (self.t + delay_s, self.pushed, act, arguments))

    # ---------------------------------------------------------------- the whole run
    def run(self) -> None:
        """Let pilots come and go until no job is left.

        Raises:
            SimError: an invariant does not hold; the text has the seed and the trail.
        """
        try:
            left = Ledger()
            while self.pilots == 0 or left.jobs or any(row.job_key for row in left.outbox.values()):
                if self.pilots >= _MAX_PILOTS:
                    raise SimError(f"after {self.pilots} pilots jobs are left: {list(left.jobs)}")
                self._begin_pilot(left)
                self._live()
                left = self.checks.after_pilot(self.committed)
            self.checks.after_all()
        except (AssertionError, BulkheadError, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise SimError(self.story(error)) from error
        finally:
            self.tally.runs += 1
            self.tally.steps += self.steps
            self.tally.jobs += len(self.server.jobs)
            self.tally.pilots += self.pilots
            self._close_journal()
            if self.directory is not None:
                self.directory.cleanup()

    def story(self, error: BaseException) -> str:
        """Return what failed, with the seed and the last events."""
        lines = [f"{type(error).__name__}: {error}", f"seed {self.seed}, faults {sorted(self.faults.chances)}"]
        for t, event, actions in self.trail:
            told = "; ".join(action.text if isinstance(action, Say) else str(action)[:160] for action in actions)
            lines.append(f"  {t:14.3f} {str(event)[:240]}\n{'':17}-> {told}")
        return "\n".join(lines)

    def _begin_pilot(self, left: Ledger) -> None:
        """Start a pilot: in a new place it takes the old one's jobs over, in the old one it keeps the journal."""
        self.pilots += 1
        self.checks.pilot_begins()
        self.heap = []
        self.processes = {}
        self.guardian_alive, self.seen_signals, self.supervisor_deaths = True, [], []
        self.server.down_for_good = False
        if self.pilots > 1:
            self.t = self.rng.choice((self.t + 600.0, 60.0))  # perhaps after a boot
            self.wall_offset = max(self.wall_offset + self.t, _WALL) + 86400.0 - self.t
            self.server.down_until = 0.0
            self.faults.calm = self.pilots > _FAULTY_PILOTS
            self.server.left = 0 if self.faults.calm else self.server.left
            for payload in self.payloads.values():
                self._lose(payload)
        self.doomed_roles = {role for role in ("reporter", "stager", "runner", "monitor") if self._is_doomed()}
        if self.pilots > 1 and self.rng.random() < 0.5:
            ledger = _merged(reopened(Ledger()), inherited(left))
            self._open_journal()
        else:
            ledger = inherited(left)
            if self.pilots == 1:
                self._open_journal()
        self._begin_supervisor(ledger)
        for kind, delay_s, act in (
            ("signal", 60.0, self._signal),
            ("guardian dies", 60.0, self._guardian_dies),
        ):
            if self.faults.hit(kind):
                self.at(self.rng.random() ** 2 * delay_s, act)

    def _is_doomed(self) -> bool:
        return self.faults.hit("death loop")

    def dooms(self, role: str) -> bool:
        """Tell whether workers of this role die again and again."""
        return role in self.doomed_roles and not self.faults.calm

    def _begin_supervisor(self, ledger: Ledger) -> None:
        self.life += 1
        self.up = True
        self.commit(self.committed, ledger)
        self.pilot = Pilot(settings=self.settings, main_dir=MAIN_DIR, ledger=ledger)
        self.checks.supervisor_begins(self.pilot)
        self.turn(Begun())
        for number in self.seen_signals:
            self.tell(self.life, _signal_event(number))

    def _live(self) -> None:
        """Advance from event to event until the pilot left, or nothing of it lives."""
        ticks, ticked_at = 0, -1.0
        while True:
            if self.up and self.pilot.left:
                self.checks.left(self.pilot)
                self._settle()
                return
            if not self.up and not self.heap:
                self._settle()
                return
            if self.steps > self.max_steps:
                raise SimError(f"no end after {self.steps} steps")
            if self.deadline_of is not self.pilot:
                self.deadline_of, self.deadline = self.pilot, next_deadline(self.pilot, self.now())
            deadline = self.deadline if self.up else None
            head = self.heap[0][0] if self.heap else None
            if deadline is None and head is None:
                raise SimError("stuck: neither a deadline nor anything under way")
            if head is None or (deadline is not None and deadline <= head):
                self.t = max(self.t, deadline or 0.0)
                ticks = ticks + 1 if self.t <= ticked_at + 1e-9 else 1
                ticked_at = self.t
                if ticks > _MAX_TICKS_AT_ONCE:
                    raise SimError(f"busy loop: the deadline {deadline} stays in the past")
                self.turn(Tick())
            else:
                self._next_event()

    def _next_event(self) -> None:
        at, _, act, arguments = heapq.heappop(self.heap)
        self.t = max(self.t, at)
        act(*arguments)
        if self.faults.hit("host suspended"):
            self._suspend()
        if self.faults.hit("wall clock jumps"):
            self.wall_offset += self.rng.choice((-3600.0, -5.0, 5.0, 3600.0))
        if self.faults.hit("power cut"):
            self._power_cut()
        # The loop sends a Tick after each batch of events.
        if self.up and not self.pilot.left and (not self.heap or self.heap[0][0] > self.t + 1.0):
            self.turn(Tick())

    def _settle(self) -> None:
        """Let what is on its way to the server arrive; then nothing of the pilot is left."""
        self.up = False
        self.life += 1
        for process in list(self.processes.values()):
            process.vanish()
        while self.heap:
            at, _, act, arguments = heapq.heappop(self.heap)
            self.t = max(self.t, at)
            if getattr(act, "__name__", "") == "_arrive":
                act(*arguments)

    # ---------------------------------------------------------------- one step
    def tell(self, life: int, event: Event) -> None:
        """Give the supervisor an event, if it is still the same one."""
        if self.up and life == self.life and not self.pilot.left:
            self.turn(event)

    def turn(self, event: Event) -> None:
        """Do as the loop does: step, commit, act; the supervisor may die in between."""
        before = self.pilot
        began = time.perf_counter()
        after, actions = step(before, event, self.now())
        self.tally.step_s += time.perf_counter() - began
        self.steps += 1
        self.deadline_of = None
        self.trail.append((self.t, event, actions))
        self.checks.step(before, after, event, actions)
        hit = self.faults.hit
        if hit("supervisor dies before the commit"):
            self._supervisor_dies()
            return
        self.pilot = after
        if after.ledger is not before.ledger:
            self.commit(before.ledger, after.ledger)
        if hit("supervisor dies after the commit"):
            self._not_done(actions)
            self._supervisor_dies()
            return
        stop_at = self.rng.randrange(len(actions) + 1) if hit("supervisor dies between two actions") else -1
        for number, action in enumerate(actions):
            if number == stop_at:
                self._not_done(actions[number:])
                break
            self._perform(action)
        if stop_at >= 0:
            self._supervisor_dies()

    def _not_done(self, actions: list[Any]) -> None:
        """Note whose payload was to be ended by a supervisor that died: its shim will do it, when the slot is gone."""
        self.not_ended.update(action.control_dir for action in actions if isinstance(action, EndPayload))

    def commit(self, before: Ledger, after: Ledger) -> None:
        """Make a ledger durable."""
        self.tally.commits += 1
        if self.journal is not None:
            self.journal.commit(before, after, self.now().wall)
        self.checks.commit(before, after)
        self.committed = after

    def _perform(self, action: object) -> None:
        if isinstance(action, Send):
            self.at(0.0005, self._deliver, action)
        elif isinstance(action, StartWorker):
            process = Process(self, action.role, action.incarnation, self.life)
            self.processes[action.role, action.incarnation] = process
        elif isinstance(action, KillWorker):
            process_or_none = self.processes.get((action.role, action.incarnation))
            if process_or_none is not None:
                process_or_none.given_up()
        elif isinstance(action, EndPayload):
            self.kill_payload(self.payload(action.control_dir))
        elif not isinstance(action, (Say, Leave)):
            raise SimError(f"an unknown action: {action}")

    def _deliver(self, action: Send) -> None:
        process = self.processes.get((action.role, action.incarnation))
        if process is not None:
            if isinstance(action.message, Assign):
                process.given[action.message.lease] = action.message.task
            process.do(lambda: process.receive(action.message))

    # ---------------------------------------------------------------- what the workers do to the world
    def hear(self, process: Process, message: Any) -> None:
        """Bring a worker's message to the supervisor that forked it."""
        self.tell(process.life, Heard(process.role, process.incarnation, message))

    def worker_died(self, process: Process, exit_code: int) -> None:
        """Let the supervisor see a death."""
        event = WorkerDied(process.role, process.incarnation, exit_code)
        self.at(0.001, self.tell, process.life, event)

    def payload(self, control_dir: str) -> Payload:
        """Return the facts about a payload."""
        return self.payloads.setdefault(control_dir, Payload(control_dir))

    def feed(self, control_dir: str) -> Feed:
        """Return what is on disk of the feeding of a payload."""
        return self.feeds.setdefault(control_dir, Feed())

    def start_payload(self, payload: Payload) -> None:
        """Start a payload, which will end one way or another."""
        key = _key_of(payload.control_dir)
        self.checks.payload_starts(key)
        payload.start()
        result, rng = well(), self.rng
        if self.faults.hit("payload fails"):
            result = failed_payload(rng.choice((1, 65, 127)))
        elif self.faults.hit("payload killed"):
            result = killed()
        elif self.faults.hit("shim killed"):
            payload.shim_alive = False
        if result.error_code:
            self.checks.blame(key, result.error_code)
        self.at(rng.choice((0.0, 0.05, 5.0, 30.0)) * rng.random(), self.end_payload, payload, result)

    def end_payload(self, payload: Payload, result: Any) -> None:
        """End a payload by itself, and wake the runner that waits for it."""
        payload.end(result)
        self._wake(payload)

    def kill_payload(self, payload: Payload) -> None:
        """End a payload from outside; one that never started never will."""
        if payload.claim():
            payload.never = True
        payload.end(killed())
        self._wake(payload)

    def _lose(self, payload: Payload) -> None:
        """End a payload with its shim: nobody will ever know its exit."""
        payload.shim_alive = False
        payload.end(lost("power"))

    def _wake(self, payload: Payload) -> None:
        waiting, payload.waiting = payload.waiting, []
        for process, lease in waiting:
            process.do(lambda process=process, lease=lease: process.payload_over(lease, payload.verdict()))

    def is_poisoned(self, task: Any) -> bool:
        """Tell whether a task crashes every worker that gets it."""
        if not self.faults.has("worker poisoned"):
            return False
        name = f"{type(task).__name__} {getattr(task, 'job_dir', '')}"
        if name not in self.poisoned:
            self.poisoned[name] = self.faults.hit("worker poisoned")
        return self.poisoned[name]

    def begins(self, _process: Process, task: Any) -> None:
        """See a task that is begun."""
        self.checks.task_begins(task)

    def did(self, task: Any) -> None:
        """Take the effect of a task that was done."""
        if isinstance(task, StageIn):
            self.staged_in.add(task.job_dir)
        elif isinstance(task, StageOut):
            self.staged_out.add(task.job_dir)
        elif isinstance(task, StageTar):
            self.staged_tars.add(task.job_dir)

    def blame(self, task: Any, code: int) -> None:
        """Note a code that the job of a task may be failed with."""
        if isinstance(task, (RunPayload, StageIn, StageOut, TransferLog)) or hasattr(task, "job_dir"):
            self.checks.blame_dir(task.job_dir, code)

    # ---------------------------------------------------------------- what happens to the pilot from outside
    def _signal(self) -> None:
        number = int(self.rng.choice(SIGNALS))
        self.seen_signals.append(number)
        self.tell(self.life, _signal_event(number))
        if self.faults.hit("second signal"):
            self.at(self.rng.random() * 10, self._signal)

    def _guardian_dies(self) -> None:
        if self.guardian_alive:
            self.guardian_alive = False
            self.at(0.001, self.tell, self.life, GuardianDied())
            for payload in list(self.payloads.values()):
                if payload.running:
                    result = lost("ended by its launcher: the pilot was gone")
                    self.at(self.settings.tuning.orphan_grace_s, self.end_payload, payload, result)

    def _suspend(self) -> None:
        """Let everything stand still; the clock goes on. Not for ever: each time a hung worker is forgiven (P96)."""
        self.suspensions += 1
        if self.suspensions > _MAX_SUSPENSIONS:
            return
        gap_s = self.rng.choice((3.0, 60.0, 7200.0))
        self.t += gap_s
        self.heap = [(at + gap_s, number, act, arguments) for at, number, act, arguments in self.heap]
        self.checks.stood_still(gap_s)
        if self.up and not self.pilot.left:
            self.turn(Suspended(gap_s))

    def _power_cut(self) -> None:
        """End everything at once."""
        self.checks.all_died()
        for process in list(self.processes.values()):
            process.vanish()
        for payload in self.payloads.values():
            self._lose(payload)
        self.heap = []
        self.up = False
        self.life += 1

    def _supervisor_dies(self) -> None:
        """End the supervisor: its workers see that and leave; the guardian starts it again, if it may."""
        self.up = False
        self.life += 1
        for process in list(self.processes.values()):
            self.at(self.rng.random() * 0.05, process.vanish)
        recent = [at for at in self.supervisor_deaths if self.t - at < 300.0]
        self.supervisor_deaths = [*recent, self.t]
        if not self.guardian_alive or len(self.supervisor_deaths) > _GUARDIAN_BURST:
            self.checks.all_died()
            self.at(self.settings.tuning.orphan_grace_s, self._power_cut)
            return
        pause_s = 0.05 + self.rng.random()
        self.checks.stood_still(pause_s)
        self.at(pause_s, self._restart)

    def _restart(self) -> None:
        if not self.guardian_alive:
            self._power_cut()
            return
        if self.journal is not None:
            loaded = self.journal.load()
            if loaded != self.committed:
                raise SimError("the journal does not hold what was committed")
        self._begin_supervisor(reopened(self.committed))

    # ---------------------------------------------------------------- the real journal, in some of the runs
    def _open_journal(self) -> None:
        self.committed = Ledger()
        if self.directory is not None:
            self._close_journal()
            self.journal = Journal(Path(self.directory.name) / f"journal{self.pilots}.sqlite")

    def _close_journal(self) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None


def _key_of(control_dir: str) -> str:
    return control_dir.rpartition("/")[2]


def _signal_event(number: int) -> SignalArrived:
    return SignalArrived(number, signal.Signals(number).name)


def run_seed(seed: int, tally: Tally, **rides: bool) -> None:
    """Simulate one seed; `rides` are the costly checks that go along: journal, round_trip, whole (the real plans)."""
    World(seed, tally, **rides).run()
