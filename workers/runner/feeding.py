"""One payload that is fed with events: the channel, the ledger on disk, and the feeder's wishes told to the supervisor.

Nothing is remembered that is not in the ledger or in the control directory of the payload.
"""

import logging
from dataclasses import replace
from pathlib import Path

from errors.catalogue import diagnostics
from errors.codes import ErrorCode
from events.channel import Output, read_message
from events.feeder import Feeder
from events.words import (
    Action,
    AskRanges,
    Begun,
    Count,
    EndPayload,
    Event,
    Finish,
    GiveUp,
    Heard,
    MakeTar,
    Note,
    Open,
    PayloadOver,
    Remove,
    Reply,
    Rules,
    Say,
    Tell,
    Ticked,
)
from host.clock import Now, now
from ipc.observations import ChannelOpen, EventsCounted, LimitExceeded, Wanted
from ipc.results import EventsFed
from ipc.schema import Heed
from ipc.tasks import FeedEvents
from settings.settings import Tuning
from workers.runner.channel import Channel, Letter
from workers.runner.control import look
from workers.runner.machine import CLAIM_LIMIT_S
from workers.runner.ranges import LedgerFile, measured, remove
from workers.runner.watch import ProcessWatch
from workers.runner.wishes import answer_of, ranges_wanted, report_wanted, tar_wanted
from workers.worker import Desk

#: Messages of a payload that are taken in before the loop turns to others.
_AT_ONCE = 200
_SOON_S = 0.05
_REMIND_S = 60.0

_log = logging.getLogger("runner")


class Feeding:
    """The work under the lease of a FeedEvents. `look_at` is when to look again."""

    def __init__(self, lease: str, task: FeedEvents, desk: Desk, tuning: Tuning) -> None:
        """Take the task; the first call of `look` begins it."""
        self.over = False
        self._lease = lease
        self._task = task
        self._desk = desk
        self._rules = _rules(task, tuning)
        self._control_dir = Path(task.control_dir)
        self._watch = ProcessWatch(desk, self.wake)
        self._channel: Channel | None = None
        self._ledger: LedgerFile | None = None
        self._feeder: Feeder | None = None
        self._wishes: dict[str, tuple[Wanted, float]] = {}
        self._wake_at: float | None = 0.0
        self._nameless_since: float | None = None
        self._gone = False
        self._dropped = 0

    @property
    def title(self) -> str:
        """What people see of it."""
        return f"job {self._task.job_id}, {self._feeder.phase.value if self._feeder else 'init'} events"

    @property
    def look_at(self) -> float | None:
        """Return when to look again, None for not before something happens."""
        deadline = self._feeder.next_deadline() if self._feeder is not None else None
        reminders = [at for _, at in self._wishes.values()]
        return min((at for at in (self._wake_at, deadline, *reminders) if at is not None), default=None)

    def wake(self) -> None:
        """Look at everything again at the next tick."""
        self._wake_at = 0.0

    def payload_gone(self, control_dir: str) -> None:
        """Hear that other work saw the end of a payload."""
        if control_dir == self._task.control_dir:
            self._gone = True
            self.wake()

    def close(self) -> None:
        """Let go of the channel and the ledger; the payload is not touched."""
        self._watch.close()
        if self._channel is not None:
            self._desk.unwatch(self._channel.descriptor)
            self._channel.close()
            self._channel = None
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def look(self, moment: Now) -> None:
        """Read the channel, look after the payload, do what is due."""
        self._wake_at = None
        if self.over:
            return
        try:
            if self._feeder is None:
                self._ledger = LedgerFile(self._control_dir)
                self._feeder = Feeder(self._rules, self._ledger.entries)
                self._handle(Begun(), moment)
            self._read_channel(moment)
            self._look_at_payload(moment)
            self._handle(Ticked(), moment)
            self._remind(moment)
        except OSError as error:
            self._fail(ErrorCode.MESSAGEHANDLINGFAILURE, str(error), retry=True)

    def heed(self, message: Heed, moment: Now) -> None:
        """Take what became of a wish."""
        self._wishes.pop(message.name, None)
        if self._feeder is not None and not self.over:
            try:
                self._handle(answer_of(message, self._task, self._missing), moment)
            except OSError as error:
                self._fail(ErrorCode.MESSAGEHANDLINGFAILURE, str(error), retry=True)
        self.wake()

    # ------------------------------------------------------------ what comes in
    def _read_channel(self, moment: Now) -> None:
        for _ in range(_AT_ONCE):
            letter = self._channel.receive() if self._channel is not None else None
            if letter is None:
                return
            if letter.text is None:
                self._dropped += 1
                _log.warning("a message of the payload is no text or too long: job=%d", self._task.job_id)
                text = ""
            else:
                text = letter.text
            self._handle(self._heard(letter, text), moment)
        self.wake()

    def _heard(self, letter: Letter, text: str) -> Heard:
        message = read_message(text)
        if not isinstance(message, Output):
            return Heard(peer=letter.peer, message=message, needs_reply=letter.needs_reply)
        paths, size, problem = measured(message, self._task.job_dir)
        return Heard(
            peer=letter.peer,
            message=replace(message, paths=paths),
            needs_reply=letter.needs_reply,
            size_bytes=size,
            problem=problem,
        )

    def _look_at_payload(self, moment: Now) -> None:
        facts = look(self._control_dir)
        self._watch.add(facts.shim if facts.shim_alive else None)
        self._watch.add(facts.payload if facts.payload_alive else None)
        nameless = facts.claimed and not facts.ended_early and facts.shim is None
        self._nameless_since = (self._nameless_since or moment.mono) if nameless else None
        lost = self._nameless_since is not None and moment.mono - self._nameless_since > CLAIM_LIMIT_S
        named = facts.shim is not None and not facts.shim_alive
        dead = (named or lost or self._gone) and not facts.payload_alive
        if facts.exit is not None or facts.ended_early or dead:
            well = facts.exit is not None and facts.exit.exit_code == 0
            self._handle(PayloadOver(well=well), moment)
        elif nameless or (facts.payload is not None and not facts.payload_alive):
            self._wake_at = moment.mono + _SOON_S

    def _missing(self, lfn: str) -> tuple[str, ...]:
        if self._feeder is None:
            return ()
        members = [each for each in self._feeder.ledger.ranges.values() if each.tar == lfn]
        return tuple(each.id for each in members if not all(Path(path).is_file() for path in each.paths))

    # ------------------------------------------------------------ what goes out
    def _handle(self, event: Event, moment: Now) -> None:
        if self._feeder is None or self._ledger is None or self.over:
            return
        actions = self._feeder.handle(event, moment.mono)
        notes = [action.entry for action in actions if isinstance(action, Note)]
        if notes:
            self._ledger.append(notes, moment.wall)
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        match action:
            case Reply():
                if self._channel is not None:
                    self._channel.send(action.peer, action.text)
            case Open():
                self._open()
            case AskRanges():
                self._want(ranges_wanted(self._task, action))
            case MakeTar():
                self._want(tar_wanted(self._task, action.group))
            case Tell():
                self._want(report_wanted(self._task, action.report))
            case Remove():
                remove(action.paths, self._task.job_dir)
            case Say():
                _log.info("%s: job=%d", action.text, self._task.job_id)
            case _:
                self._say(action)

    def _say(self, action: Action) -> None:
        match action:
            case Count():
                self._desk.observed(self._lease, EventsCounted(n_events=action.n_events))
            case EndPayload():
                diag = diagnostics(action.code, action.text)
                self._desk.observed(self._lease, LimitExceeded(code=action.code, diag=diag))
            case GiveUp():
                self._fail(action.code, action.text)
            case Finish():
                self.over = True
                diag = diagnostics(action.code, action.text) if action.code else ""
                self._desk.done(
                    self._lease,
                    EventsFed(
                        n_events=action.n_events,
                        error_code=action.code,
                        error_diag=diag,
                        sub_status=action.sub_status,
                    ),
                )

    def _open(self) -> None:
        if self._channel is None:
            self._channel = Channel(self._task.channel, self._task.job_dir)
            self._desk.watch(self._channel.descriptor, self.wake)
            _log.info("the channel for events is open at %s: job=%d", self._task.channel, self._task.job_id)
        self.wake()
        self._desk.observed(self._lease, ChannelOpen())

    def _want(self, wanted: Wanted) -> None:
        self._wishes[wanted.name] = (wanted, now().mono + _REMIND_S)
        self._desk.observed(self._lease, wanted)

    def _remind(self, moment: Now) -> None:
        """Tell wishes again that nobody answered: a message may be lost on its way, and to ask twice does no harm."""
        for wanted, at in list(self._wishes.values()):
            if moment.mono >= at:
                self._want(wanted)

    def _fail(self, code: int, text: str, *, retry: bool = False) -> None:
        if not self.over:
            self.over = True
            self._desk.failed(self._lease, code, diagnostics(code, text), retry=retry)


def _rules(task: FeedEvents, tuning: Tuning) -> Rules:
    pauses = (tuning.es_retry_s, 3 * tuning.es_retry_s, 6 * tuning.es_retry_s)
    return Rules(
        core_count=task.core_count,
        storage_ids={store.endpoint: store.storage_id for store in task.stores},
        gap_s=task.gap_s,
        drain_s=tuning.es_drain_s,
        silent_range_s=task.silent_range_s,
        retry_s=pauses,
        report_retry_s=(*pauses, 180 * tuning.es_retry_s),
        stage_out_retry_s=tuning.es_stage_out_retry_s,
    )
