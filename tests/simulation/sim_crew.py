"""A model of the workers: processes that hold leases, answer after a while, and die in every way there is."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sim_feeding import feed_on, heed
from sim_payloads import well
from sim_server import failure

from errors.codes import ErrorCode
from ipc.observations import Attempted, LimitExceeded, PayloadStarted, Usage
from ipc.parts import Attempt, TransferredFile
from ipc.results import (
    CleanedUp,
    Inspected,
    LogTransferred,
    PayloadEnded,
    PayloadKilled,
    Prepared,
    Pulsed,
    Staged,
    TracesSent,
    UpdateAnswered,
)
from ipc.schema import SCHEMA_VERSION, Assign, Beat, Cancel, Done, Failed, Heed, Hello, Observed, Progress, Stop
from ipc.tasks import (
    AcquireJob,
    CleanUp,
    FeedEvents,
    FetchQueue,
    Inspect,
    KillPayload,
    PrepareJob,
    Pulse,
    RunPayload,
    SendTraces,
    SendUpdate,
    StageIn,
    StageOut,
    StageTar,
    TransferLog,
    Watch,
)

if TYPE_CHECKING:
    from sim_world import World

_OWN_FAULTS = (-11, -6, 1)
_REQUEST_LIMIT_S = 120.0
_DURATIONS = {
    PrepareJob: 0.02,
    StageIn: 3.0,
    StageOut: 3.0,
    StageTar: 3.0,
    TransferLog: 2.0,
    CleanUp: 0.05,
    Inspect: 25,
    Pulse: 0,
}


class Process:
    """One incarnation of a worker."""

    def __init__(self, world: "World", role: str, incarnation: int, life: int) -> None:
        self.world = world
        self.role = role
        self.incarnation = incarnation
        self.life = life
        self.alive = True
        self.frozen = False
        self.given: dict[str, Any] = {}  # as sent; a stopped process has not read it yet
        self.leases: dict[str, Any] = {}
        self.inbox: list[Callable[[], None]] = []
        self.calls: list[tuple[str, Any]] = []
        self.calling: str = ""
        self.quiet_at = 0.0  # nothing sent overtakes what was sent before
        self._begin()

    # ---------------------------------------------------------------- life
    def _begin(self) -> None:
        world, hit = self.world, self.world.faults.hit
        if world.dooms(self.role):
            world.at(0.01 + world.rng.random() * 2, self.die, -9)
        if hit("worker dies before hello"):
            world.at(0.004, self.die, -11)
        elif not hit("worker never says hello"):
            schema = SCHEMA_VERSION + 1 if hit("wrong schema") else SCHEMA_VERSION
            hello = Hello(schema=schema, role=self.role, incarnation=self.incarnation, pid=self.incarnation)
            world.at(0.005 + world.rng.random() * 0.01, self.do, lambda: self.send(hello))
            world.at(world.settings.tuning.beat_s, self.beat)
        if hit("worker silent"):
            world.at(world.rng.random() ** 2 * 30, self.freeze)
        if hit("worker stopped and continued"):
            world.at(world.rng.random() * 30, self.freeze)
            world.at(30 + world.rng.random() * world.settings.tuning.silence_s, self.thaw)

    def beat(self) -> None:
        """Send a sign of life, and plan the next."""
        if self.alive and self.life == self.world.life:
            if not self.frozen:
                moves = tuple(Progress(lease=lease, step="under way") for lease in self.leases)
                self.send(Beat(progress=moves))
            self.world.at(self.world.settings.tuning.beat_s, self.beat)

    def do(self, act: Callable[[], None]) -> None:
        """Act, unless dead; later, when stopped."""
        if self.alive:
            if self.frozen:
                self.inbox.append(act)
            else:
                act()

    def freeze(self) -> None:
        """Fall silent."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on after a SIGCONT."""
        self.frozen = False
        acts, self.inbox = self.inbox, []
        for act in acts:
            self.do(act)

    def die(self, exit_code: int) -> None:
        """End, and let the supervisor see it."""
        if self.alive:
            self.vanish()
            self.world.worker_died(self, exit_code)

    def vanish(self) -> None:
        """End without a word."""
        self.alive = False
        self.world.processes.pop((self.role, self.incarnation), None)

    def given_up(self) -> None:
        """Be killed by the supervisor; what was sent before may still be on its way."""
        for lease, task in self.given.items():
            if not self.world.faults.calm and self.world.rng.random() < 0.5:
                self.world.faults.counts["answer late"] += 1
                late = self._false_answer(lease, task)
                self.world.at(self.world.rng.random() * 20, self.world.hear, self, late)
        self.vanish()

    # ---------------------------------------------------------------- messages
    def receive(self, message: object) -> None:
        """Take a message of the supervisor."""
        if isinstance(message, Assign):
            self.assign(message.lease, message.task)
        elif isinstance(message, Cancel):
            self.cancel(message.lease)
        elif isinstance(message, Heed):
            heed(self, message)
        elif isinstance(message, Stop) and not self.world.faults.hit("worker silent"):
            self.world.at(0.01 + self.world.rng.random() * 0.2, self.die, 0)

    def send(self, message: object) -> None:
        """Send a message: in order, unless the run has it otherwise."""
        world = self.world
        at = world.t + 0.0005 + world.rng.random() * 0.002
        if world.faults.hit("answers out of order"):
            at += world.rng.random() * 2
        else:
            at = self.quiet_at = max(at, self.quiet_at)
        world.at(at - world.t, world.hear, self, message)

    def cancel(self, lease: str) -> None:
        """Stop the work under a lease."""
        self.leases.pop(lease, None)
        self.calls = [call for call in self.calls if call[0] != lease]
        if self.calling == lease:
            self.calling = ""
            self._next_call()

    def end(self, lease: str, answer: object) -> None:
        """Tell how the work under a lease ended, if it was not cancelled."""
        if lease not in self.leases:
            return
        task = self.leases.pop(lease)
        self.given.pop(lease, None)
        hit, world = self.world.faults.hit, self.world
        if isinstance(answer, Failed):
            message: Any = replace(answer, lease=lease)
        elif not isinstance(task, (SendUpdate, AcquireJob)) and hit("result of another kind"):
            world.blame(task, ErrorCode.INTERNALPILOTPROBLEM)
            message = Done(lease=lease, result=Prepared() if not isinstance(task, PrepareJob) else CleanedUp())
        else:
            message = Done(lease=lease, result=answer)
        self.send(message)
        if hit("answer twice"):
            world.at(world.rng.random() * 5, self.do, lambda: self.send(message))
        if hit("answer with an old lease"):
            key, attempt, incarnation = lease.rsplit("/", 2)
            for old in (f"{key}/{int(attempt) - 1}/{incarnation}", f"{key}/{attempt}/{int(incarnation) - 1}"):
                self.send(self._false_answer(old, task))

    def _false_answer(self, lease: str, task: Any) -> Any:
        """Return an answer that would do harm if it counted: all is well."""
        if isinstance(task, SendUpdate):
            return Done(lease=lease, result=_stored())
        if isinstance(task, (StageIn, StageOut)):
            return Done(lease=lease, result=_staged(task))
        if isinstance(task, TransferLog):
            return Done(lease=lease, result=LogTransferred(file=_file(task.transfer)))
        if isinstance(task, RunPayload):
            return Done(lease=lease, result=well())
        if isinstance(task, KillPayload):
            return Done(lease=lease, result=PayloadKilled())
        return Failed(lease=lease, code=int(ErrorCode.GENERALERROR), diag="too late", retry=False)

    # ---------------------------------------------------------------- work
    def assign(self, lease: str, task: Any) -> None:
        """Begin a task."""
        self.leases[lease] = task
        world, hit = self.world, self.world.faults.hit
        world.begins(self, task)
        if world.is_poisoned(task) or hit("worker killed by its own fault"):
            world.at(world.rng.random() * 2, self.die, world.rng.choice(_OWN_FAULTS))
        elif hit("worker killed"):
            world.at(world.rng.random() * 4, self.die, -9)
        if isinstance(task, SendTraces):
            self._trace(lease, task)
        elif self.role == "reporter":
            self.calls.append((lease, task))
            if not self.calling:
                self._next_call()
        elif isinstance(task, RunPayload):
            world.at(0.005, self.do, lambda: self._run(lease, task))
        elif isinstance(task, FeedEvents):
            world.at(0.005, self.do, lambda: feed_on(self, lease, task))
        elif isinstance(task, KillPayload):
            self._kill(lease, task)
        elif isinstance(task, Watch):
            self._watch(lease, task)
        else:
            took_s = 0.001 + world.rng.random() * _DURATIONS[type(task)]
            world.at(took_s, self.do, lambda: self._finish(lease, task))

    def _trace(self, lease: str, task: SendTraces) -> None:
        """Send traces in the lane that is theirs: they may take long, and nothing hangs on them."""
        world = self.world
        for attempt in task.attempts:
            if not attempt.code:
                world.checks.traced(attempt.lfn)
        fate = world.rng.random()
        took_s = 0.05 if fate < 0.7 else world.rng.random() * 40
        count = len(task.attempts)
        dropped = TracesSent(sent=0, dropped=count, curl_code=28, note="no answer")
        answer = TracesSent(sent=count) if fate < 0.8 else dropped
        world.at(took_s, self.do, lambda: self.end(lease, answer))

    def _tell_attempts(self, lease: str, task: Any) -> None:
        transfers = (task.transfer,) if isinstance(task, TransferLog) else task.transfers
        told = [Attempt(lfn=each.lfn, kind=each.kind, copytool="cp", endpoint="", url="") for each in transfers]
        self.world.moved.update(each.lfn for each in told)
        self.send(Observed(lease=lease, observation=Attempted(attempts=tuple(told))))

    def _finish(self, lease: str, task: Any) -> None:
        """Have done a task of the stager, or the runner's first; its effect stays even if nobody hears of it."""
        if lease not in self.leases:
            return
        world, hit = self.world, self.world.faults.hit
        if hit("task fails, try again"):
            world.blame(task, ErrorCode.STAGEINFAILED)
            self.end(lease, failure(ErrorCode.STAGEINFAILED, "it did not work", retry=True))
        elif hit("task fails"):
            world.blame(task, ErrorCode.STAGEOUTFAILED)
            self.end(lease, failure(ErrorCode.STAGEOUTFAILED, "it will not work", retry=False))
        else:
            world.did(task)
            if isinstance(task, (StageIn, StageOut, TransferLog)) and task.traced:
                self._tell_attempts(lease, task)
            self.end(lease, _result(task))

    def _run(self, lease: str, task: RunPayload) -> None:
        if lease not in self.leases:
            return
        payload = self.world.payload(task.control_dir)
        if payload.claim():
            self.world.start_payload(payload)
        if payload.running:
            self.send(Observed(lease=lease, observation=PayloadStarted(pid=77, started_wall=self.world.now().wall)))
            payload.waiting.append((self, lease))
        else:
            self.payload_over(lease, payload.verdict())

    def payload_over(self, lease: str, result: PayloadEnded | None) -> None:
        """See the payload's end."""
        task = self.leases.get(lease)
        if isinstance(task, FeedEvents):
            feed_on(self, lease, task)
            return
        if result is None:
            raise AssertionError("a payload is neither over nor running")
        self.end(lease, result)

    def _kill(self, lease: str, task: KillPayload) -> None:
        world = self.world
        took_s = world.rng.random() * (40.0 if world.faults.hit("kill hangs") else task.grace_s)

        def strike() -> None:
            if lease in self.leases:
                world.kill_payload(world.payload(task.control_dir))
                world.at(0.01, self.do, lambda: self.end(lease, PayloadKilled()))

        world.at(took_s, self.do, strike)

    def _watch(self, lease: str, task: Watch) -> None:
        world = self.world

        def usage() -> None:
            if lease in self.leases:
                self.send(Observed(lease=lease, observation=Usage(cpu_time_s=5, max_pss_kb=100, cores=0.5)))

        world.at(world.rng.random() * 10, self.do, usage)
        if world.faults.hit("limit exceeded"):
            world.blame(task, ErrorCode.LOOPINGJOB)
            fact = LimitExceeded(code=int(ErrorCode.LOOPINGJOB), diag="nothing moves")
            world.at(world.rng.random() * 40, self.do, lambda: self._observe(lease, fact))
        if world.faults.hit("kill file"):
            stop = LimitExceeded(code=int(ErrorCode.KILLPAYLOAD), diag="asked for by a file")
            world.at(world.rng.random() * 40, self.do, lambda: self._observe(lease, stop))
        if world.faults.hit("task fails"):
            world.blame(task, ErrorCode.GENERALERROR)
            problem = failure(ErrorCode.GENERALERROR, "cannot watch", retry=world.rng.random() < 0.5)
            world.at(world.rng.random() * 20, self.do, lambda: self.end(lease, problem))

    def _observe(self, lease: str, fact: LimitExceeded) -> None:
        if lease in self.leases:
            self.send(Observed(lease=lease, observation=fact))

    # ---------------------------------------------------------------- the reporter's calls, one at a time
    def _next_call(self) -> None:
        if not self.calls:
            return
        lease, task = self.calls.pop(0)
        self.calling = lease
        world, hit, rng = self.world, self.world.faults.hit, self.world.rng
        there_s = 0.002 + rng.random() * 0.05
        if hit("server slow"):
            there_s += rng.random() * 60
        away = failure(ErrorCode.COMMUNICATIONFAILURE, "no answer", retry=True)
        if world.server.is_down(world.t):
            answer_s = 0.01 if rng.random() < 0.7 else _REQUEST_LIMIT_S
            world.at(answer_s, self.do, lambda: self._reply(lease, away))
        elif hit("server answers 5xx"):
            world.at(there_s, self.do, lambda: self._reply(lease, away))
        elif hit("server hangs") or hit("request dropped before the work"):
            world.at(rng.choice((0.1, 5.0, _REQUEST_LIMIT_S)), self.do, lambda: self._reply(lease, away))
        else:
            world.at(there_s, self._arrive, lease, task)

    def _arrive(self, lease: str, task: SendUpdate | AcquireJob | FetchQueue) -> None:
        """Reach the server, whether or not the process that sent the request still lives."""
        world = self.world
        answer = world.server.handle(task)
        if world.faults.hit("answer dropped after the work"):
            answer = failure(ErrorCode.COMMUNICATIONFAILURE, "the connection broke", retry=True)
        world.at(0.001 + world.rng.random() * 0.02, self.do, lambda: self._reply(lease, answer))

    def _reply(self, lease: str, answer: object) -> None:
        if self.calling != lease:
            return
        self.calling = ""
        self.end(lease, answer)
        self._next_call()


def _stored() -> UpdateAnswered:
    return UpdateAnswered(stored=True)


def _file(transfer: Any) -> TransferredFile:
    return TransferredFile(lfn=transfer.lfn, kind=transfer.kind, status="transferred", size_bytes=9, checksum="md5:1")


def _staged(task: StageIn | StageOut) -> Staged:
    return Staged(files=tuple(_file(transfer) for transfer in task.transfers))


def _result(task: Any) -> Any:
    if isinstance(task, (StageIn, StageOut)):
        return _staged(task)
    if isinstance(task, StageTar):
        return Staged(files=(_file(task.transfer),))
    if isinstance(task, TransferLog):
        return LogTransferred(file=_file(task.transfer))
    if isinstance(task, Inspect):
        return Inspected(text="payload.stdout\nline", end_payload=task.words[0] == "gdb")
    if isinstance(task, Pulse):
        return Pulsed()
    return Prepared() if isinstance(task, PrepareJob) else CleanedUp()
