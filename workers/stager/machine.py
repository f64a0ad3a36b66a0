"""The stager's decisions: which item runs on which slot, what follows a failure, what is too slow. Pure: no I/O.

A slot is a place for one mover child. An attempt is one order on one slot; it ends by its result, its error, the death
of its child or one of two limits (P76): the stall limit, since the last byte, and the wall limit. Then the item's next
way is tried, and after the last way its first again, up to `rounds` times; ways that failed for good are left out.

When this process itself was stopped, all limits move on by the time that it missed: not the transfers were slow.
"""

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from errors.codes import ErrorCode
from ipc.parts import Attempt, TransferredFile
from ipc.results import CleanedUp, LogTransferred, Result, Staged
from ipc.schema import Progress
from ipc.tasks import CleanUp, TransferLog
from movers.base import MoverError
from settings.settings import Tuning
from workers.stager.plan import Item, StagerTask, Way, Work, archive_limit_s, discard_item, plan, wall_limit_s

#: While something runs the machine wants to be woken this often, which is how it sees that it was stopped.
TICK_S = 1.0
_STOPPED_S = 2.0
#: Children without work are ended after this time.
IDLE_S = 3.0
#: No more attempts of one task are told.
MAX_ATTEMPTS = 1000
_FOREVER = float("inf")
#: How an attempt ended that could not tidy up after itself.
_DIED = "died"
_KILLED = "killed"


# ---------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class Assigned:
    """The supervisor gave a task."""

    lease: str
    task: StagerTask


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The supervisor takes a lease back."""

    lease: str


@dataclass(frozen=True, slots=True)
class Told:
    """A child wrote a line: done_bytes, total_bytes, result or error."""

    slot: int
    order: int
    line: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ChildDied:
    """The child of a slot ended, or could not be started; `text` says how."""

    slot: int
    text: str


@dataclass(frozen=True, slots=True)
class Ticked:
    """Time went by."""


Event: TypeAlias = Assigned | Cancelled | Told | ChildDied | Ticked


# ---------------------------------------------------------------- actions
@dataclass(frozen=True, slots=True)
class Give:
    """Write an order to the child of a slot; start the child where there is none."""

    slot: int
    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kill:
    """Kill all that runs on a slot; the next order there gets a new child."""

    slot: int


@dataclass(frozen=True, slots=True)
class Dismiss:
    """End the idle children."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Tell the supervisor that a lease ended well."""

    lease: str
    result: Result


@dataclass(frozen=True, slots=True)
class Fail:
    """Tell the supervisor that a lease failed."""

    lease: str
    code: int
    diag: str
    retry: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the supervisor of the attempts that a lease's work consisted of; their times are those of the machine."""

    lease: str
    attempts: tuple[Attempt, ...]


Action: TypeAlias = Give | Kill | Dismiss | Finish | Fail | Tell


@dataclass(slots=True)
class _Attempt:
    work: Work
    item: Item
    order: int
    started: float
    stall_at: float
    wall_at: float


class StagerMachine:
    """All work of the stager. `handle` takes one event at a time; moments are monotonic seconds."""

    def __init__(self, tuning: Tuning) -> None:
        self._tuning = tuning
        self._work: dict[str, Work] = {}
        self._leftovers = Work("", CleanUp(root="", paths=()), "clean-up", [[]])
        self._running: dict[int, _Attempt] = {}
        self._order = 0
        self._last = 0.0
        self._dismiss_at = _FOREVER
        self._children = False
        self._actions: list[Action] = []

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in `event` and return what is to be done, in order."""
        self._allow_for_stop(now)
        match event:
            case Assigned():
                self._assign(event, now)
            case Cancelled():
                self._drop(event.lease)
            case Told():
                self._told(event, now)
            case ChildDied():
                attempt = self._running.pop(event.slot, None)
                if attempt is not None:
                    self._failed(attempt, attempt.item.fallback_code(), event.text, now, left=_DIED)
            case Ticked():
                self._check_limits(now)
        self._dispatch(now)
        self._watch_idle(now)
        actions, self._actions = self._actions, []
        return actions

    def next_deadline(self) -> float | None:
        """Return when the machine wants a `Ticked` at the latest, None for never."""
        moments = [self._dismiss_at]
        for attempt in self._running.values():
            moments += [attempt.stall_at, attempt.wall_at, self._last + TICK_S]
        for work in self._work.values():
            moments.append(work.deadline)
            moments += [item.not_before for item in work.delayed]
        first = min(moments)
        return None if first == _FOREVER else first

    def progress(self) -> tuple[Progress, ...]:
        """Return how far each lease is."""
        return tuple(self._progress(work) for work in self._work.values())

    def _progress(self, work: Work) -> Progress:
        running = [attempt.item for attempt in self._running.values() if attempt.work is work]
        return Progress(
            lease=work.lease,
            step=work.step,
            name=running[0].name if running else "",
            bytes_done=work.over_bytes + sum(item.done_bytes for item in running),
            bytes_total=work.total_bytes,
            files_done=work.files_done,
            files_total=work.files_total,
        )

    # ------------------------------------------------------------ events
    def _allow_for_stop(self, now: float) -> None:
        missed = now - self._last
        self._last = now
        if not self._running or missed <= TICK_S + _STOPPED_S:
            return
        for attempt in self._running.values():
            attempt.stall_at += missed
            attempt.wall_at += missed

    def _assign(self, event: Assigned, now: float) -> None:
        self._drop(event.lease)
        try:
            work = plan(event.lease, event.task, now, self._tuning)
        except MoverError as error:
            self._actions.append(Fail(event.lease, error.code, error.text, retry=False))
            return
        self._work[event.lease] = work
        self._advance(work)

    def _drop(self, lease: str) -> None:
        """Forget a lease; what runs for it is killed, its partial files go."""
        if self._work.pop(lease, None) is None:
            return
        for slot in [slot for slot, attempt in self._running.items() if attempt.work.lease == lease]:
            attempt = self._running.pop(slot)
            self._actions.append(Kill(slot))
            self._discard(attempt.item, attempt.item.ways[attempt.item.way])

    def _discard(self, item: Item, way: Way) -> None:
        """Have the partial file of an attempt that could not tidy up removed, as soon as there is a slot for it."""
        if item.transfer is not None:
            self._leftovers.ready.append(discard_item(way.message))

    def _told(self, event: Told, now: float) -> None:
        attempt = self._running.get(event.slot)
        if attempt is None or attempt.order != event.order:
            return
        line, item = event.line, attempt.item
        if "done_bytes" in line:
            if line["done_bytes"] != item.done_bytes:
                item.done_bytes = line["done_bytes"]
                attempt.stall_at = now + self._tuning.stall_limit_s
        elif "total_bytes" in line:
            self._learn_size(attempt, line["total_bytes"])
        elif "result" in line:
            del self._running[event.slot]
            self._succeeded(attempt, line["result"], now)
        elif "error" in line:
            del self._running[event.slot]
            error = line["error"]
            way = item.ways[item.way]
            way.spent, way.missing = not error["retry"], error["missing"]
            may_miss = item.transfer is not None and item.transfer.missing_ok
            if may_miss and all(each.missing for each in item.ways):
                self._succeeded(attempt, {"missing": True}, now)
            else:
                self._failed(attempt, error["code"], error["text"], now)

    def _learn_size(self, attempt: _Attempt, size_bytes: int) -> None:
        limit = archive_limit_s if attempt.item.kind == "archive" else wall_limit_s
        attempt.work.total_bytes += size_bytes - max(0, attempt.item.size_bytes)
        attempt.item.size_bytes = size_bytes
        attempt.wall_at = attempt.started + limit(size_bytes, self._tuning)

    def _check_limits(self, now: float) -> None:
        for slot, attempt in list(self._running.items()):
            if self._running.get(slot) is not attempt or now < min(attempt.stall_at, attempt.wall_at):
                continue
            del self._running[slot]
            self._actions.append(Kill(slot))
            if now >= attempt.wall_at:
                text = f"took longer than {attempt.wall_at - attempt.started:.0f} s"
            else:
                text = f"no byte moved for {self._tuning.stall_limit_s:g} s"
            self._failed(attempt, attempt.item.timeout_code(), text, now, left=_KILLED)
        for work in [work for work in self._work.values() if now >= work.deadline]:
            item = work.stages[work.stage][0]
            self._give_up(work, item.timeout_code(), f"{item.name}: not done in the time given")

    # ------------------------------------------------------------ what follows
    def _succeeded(self, attempt: _Attempt, result: dict[str, Any], now: float) -> None:
        item, work = attempt.item, attempt.work
        if work is self._leftovers:
            return
        item.result, item.ended_after_s = result, now - item.first_start
        moved = result.get("size_bytes", 0) if item.kind != "archive" else max(0, item.size_bytes)
        if "missing" not in result:
            _note_attempt(attempt, now, size_bytes=moved)
        work.total_bytes += moved - max(0, item.size_bytes)
        work.over_bytes += moved
        work.files_done += 1
        work.open_items -= 1
        self._advance(work)

    def _failed(self, attempt: _Attempt, code: int, text: str, now: float, left: str = "") -> None:
        """End an attempt: the next way, the next round after a pause, or the end of the whole task."""
        item, work = attempt.item, attempt.work
        item.done_bytes = 0
        if work is self._leftovers:
            return
        _note_attempt(attempt, now, code, text)
        failed = item.ways[item.way]
        if item.failure is None or not failed.missing:
            # A place of last resort that does not have the file must not hide what was wrong elsewhere.
            item.failure = (failed, code, text)
        again = self._choose_way(item, now)
        if left and not (again and item.ways[item.way].destination == failed.destination):
            self._discard(item, failed)
        if again:
            (work.delayed if item.not_before > now else work.ready).append(item)
            return
        failed, code, text = item.failure
        if item.kind == "transform" and code in (ErrorCode.STAGEINFAILED, ErrorCode.MISSINGINPUTFILE):
            code = ErrorCode.TRFDOWNLOADFAILURE
        self._give_up(work, int(code), _told_failure(item, failed, text), retry=left == _DIED)

    def _choose_way(self, item: Item, now: float) -> bool:
        """Set the item's next way, round and earliest start; False when all was tried."""
        if all(way.spent for way in item.ways):
            return False
        while True:
            item.way += 1
            if item.way == len(item.ways):
                item.way, item.round = 0, item.round + 1
                if item.round >= item.rounds:
                    return False
                pause = self._tuning.retry_first_s * 2.0 ** (item.round - 1)
                item.not_before = now + min(pause, self._tuning.retry_cap_s)
            if not item.ways[item.way].spent:
                return True

    def _give_up(self, work: Work, code: int, diag: str, *, retry: bool = False) -> None:
        """Fail a lease. Every way was tried as often as it may help: to try it all again helps only dying children."""
        self._drop(work.lease)
        self._tell(work)
        self._actions.append(Fail(work.lease, code, diag, retry=retry))

    def _advance(self, work: Work) -> None:
        """Go to the next stage, or finish, once all items of the stage are over."""
        if not work.next_stage():
            del self._work[work.lease]
            self._tell(work)
            self._actions.append(Finish(work.lease, _result(work)))

    def _tell(self, work: Work) -> None:
        if work.attempts:
            self._actions.append(Tell(work.lease, tuple(work.attempts)))

    # ------------------------------------------------------------ slots
    def _dispatch(self, now: float) -> None:
        free = [slot for slot in range(max(1, self._tuning.transfer_parallel)) if slot not in self._running]
        for work in [*self._work.values(), self._leftovers]:
            if work.delayed:
                work.ready.extend(item for item in work.delayed if item.not_before <= now)
                work.delayed = [item for item in work.delayed if item.not_before > now]
            while free and work.ready:
                self._begin(free.pop(0), work, work.ready.popleft(), now)

    def _begin(self, slot: int, work: Work, item: Item, now: float) -> None:
        self._order += 1
        if item.first_start < 0:
            item.first_start = now
        stall_at = now + self._tuning.stall_limit_s
        self._running[slot] = _Attempt(work, item, self._order, now, stall_at, now + item.limit_s)
        self._actions.append(Give(slot, {"id": self._order, **item.ways[item.way].message}))
        self._children = True

    def _watch_idle(self, now: float) -> None:
        if not self._children or self._work or self._running:
            self._dismiss_at = _FOREVER
        elif self._dismiss_at == _FOREVER:
            self._dismiss_at = now + IDLE_S
        elif now >= self._dismiss_at:
            self._dismiss_at, self._children = _FOREVER, False
            self._actions.append(Dismiss())


def _note_attempt(attempt: _Attempt, now: float, code: int = 0, text: str = "", size_bytes: int = -1) -> None:
    """Keep an attempt at a file that was asked to be traced."""
    item, work = attempt.item, attempt.work
    copy = item.ways[item.way].copy
    if copy is None or not work.traced or len(work.attempts) >= MAX_ATTEMPTS:
        return
    work.attempts.append(
        Attempt(
            lfn=item.name,
            kind=item.kind,
            copytool=copy.copytool,
            endpoint=copy.endpoint,
            url=copy.source if item.inward else copy.surl or copy.destination,
            size_bytes=size_bytes if size_bytes >= 0 else item.size_bytes,
            code=int(code),
            text=text,
            began_wall=item.first_start,
            started_wall=attempt.started,
            ended_wall=now,
        )
    )


def _told_failure(item: Item, way: Way, text: str) -> str:
    if way.copy is None:
        return f"{item.name}: {text}"
    place = f" at {way.copy.endpoint}" if way.copy.endpoint else ""
    return f"{item.name}: {way.copy.copytool}{place}: {text}"


def _result(work: Work) -> Result:
    if isinstance(work.task, CleanUp):
        return CleanedUp()
    if isinstance(work.task, TransferLog):
        return LogTransferred(file=_file(work.stages[-1][0]))
    return Staged(files=tuple(_file(item) for item in work.stages[-1]))


def _file(item: Item) -> TransferredFile:
    result, transfer = item.result, item.transfer
    missing = TransferredFile(lfn=item.name, kind=item.kind, status="missing", duration_s=item.ended_after_s)
    copy = item.ways[item.way].copy
    if "missing" in result or transfer is None or copy is None:
        return missing
    return replace(
        missing,
        status="transferred",
        size_bytes=result["size_bytes"],
        checksum=result["checksum"],
        copytool=copy.copytool,
        endpoint=copy.endpoint,
        surl=copy.surl or (result["url"] if item.kind in ("output", "log") else copy.source),
    )
