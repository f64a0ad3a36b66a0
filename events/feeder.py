"""The feeder's decisions (event-service 3, 5, 7, 8, 10): ranges in, outputs out, reports. Pure: no I/O, no clock.

init -> prefetch -> starting -> feeding -> draining -> stopping -> done. Everything that must survive is in the ledger:
a feeder that is made of the entries of a dead one goes on where that one was. What was asked for and not answered is
asked for again under the same name.
"""

from collections import deque
from collections.abc import Iterable
from enum import Enum

from errors.codes import ErrorCode
from events.channel import ACKNOWLEDGED, NO_MORE, Output, RangeError, Ready, range_message
from events.delivery import Delivery
from events.ending import outcome
from events.ledger import ERROR, FETCHED, OUTPUT, SENT, SOFTKILL, Entry, Range, replay
from events.supply import Supply
from events.words import (
    Action,
    Begun,
    Drain,
    EndPayload,
    Event,
    GiveUp,
    Heard,
    Note,
    Open,
    PayloadOver,
    RangesCame,
    RangesFailed,
    Reply,
    ReportFailed,
    ReportTaken,
    Rules,
    Say,
    TarFailed,
    TarStaged,
)


class Phase(Enum):
    """Where the feeding is (section 5)."""

    INIT = "init"
    PREFETCH = "prefetch"
    STARTING = "starting"
    FEEDING = "feeding"
    DRAINING = "draining"
    STOPPING = "stopping"
    DONE = "done"


class Feeder:
    """One job's feeding. `handle` takes one event at a time; moments are monotonic seconds."""

    def __init__(self, rules: Rules, entries: Iterable[Entry] = ()) -> None:
        """Go on from what the ledger says."""
        self.phase = Phase.INIT
        self.unread = 0
        self._rules = rules
        self._actions: list[Action] = []
        self.ledger = replay(entries)
        self._delivery = Delivery(rules, self.ledger, self._note, self._actions)
        self._supply = Supply(rules, self.ledger, self._note, self._actions)
        #: Ranges whose peer may not have heard of them, as the one who sent them died.
        self._doubtful = {each.peer: each.id for each in self.ledger.in_state(SENT)}
        self._busy: dict[str, float] = {}
        self._waiting: deque[str] = deque()
        self._began_at = 0.0
        self._drain_at = 0.0
        self._over: PayloadOver | None = None
        self._settled = False
        self._quiet_at = 0.0
        self._flush_until = 0.0
        self._told_to_end = False

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in `event`, return what is to be done, in order; the notes are to be durable before the rest is done."""
        if self.phase is not Phase.DONE:
            self._take(event, now)
        if self.phase not in (Phase.DONE, Phase.INIT):
            self._advance(now)
        actions = sorted(self._actions, key=lambda action: not isinstance(action, Note))
        self._actions.clear()
        return actions

    def next_deadline(self) -> float | None:
        """Return when a Ticked is needed at the latest, None for never."""
        times = [self._delivery.next_deadline()]
        if self.phase is Phase.STOPPING:
            times.append(self._flush_until if self._settled else self._quiet_at)
        elif self.phase is not Phase.DONE:
            times += [] if self._told_to_end else [self._drain_limit(), self._silence_limit()]
            times.append(self._supply.next_deadline())
        return min((at for at in times if at is not None), default=None)

    # ------------------------------------------------------------ what came
    def _take(self, event: Event, now: float) -> None:
        match event:
            case Begun():
                self._begin(now)
            case Heard():
                self._hear(event, now)
            case RangesCame() | RangesFailed():
                self._supply.answered(event, now)
                self._supplied()
            case PayloadOver() if self._over is None:
                self._over, self.phase = event, Phase.STOPPING
                self._quiet_at, self._flush_until = now + self._rules.settle_s, now + self._rules.flush_s
            case Drain():
                self._drain(event.text)
                self._delivery.hurry()
            case _:
                self._take_delivery(event, now)

    def _take_delivery(self, event: Event, now: float) -> None:
        match event:
            case TarStaged():
                self._delivery.staged(event.tar)
            case TarFailed():
                if self._delivery.tar_failed(event, now):
                    self._drain(f"{self._rules.stage_out_failures} stage-outs failed")
            case ReportTaken():
                self._delivery.taken(event)
                self._obey(event.command)
            case ReportFailed():
                self._delivery.report_failed(event, now)

    def _begin(self, now: float) -> None:
        self._began_at = now
        self._busy = {each.id: now for each in self.ledger.in_state(SENT)}
        self.phase = Phase.PREFETCH
        self._delivery.begin(now)
        if self.ledger.drain:
            self._drain_at = now
        if self.ledger.drain == SOFTKILL:
            self._delivery.hurry()
        if self.ledger.ranges:
            self._start()
        elif self.ledger.supply_over or self.ledger.drain:  # what was said of it may not have been heard
            self._give_up_empty()

    def _start(self) -> None:
        self.phase = Phase.DRAINING if self.ledger.drain else Phase.STARTING
        self._actions.append(Open())

    def _hear(self, event: Heard, now: float) -> None:
        if self.phase is Phase.STARTING:
            self.phase = Phase.FEEDING
        if self.phase is Phase.STOPPING:
            self._quiet_at = now + self._rules.settle_s
        message = event.message
        for each in self._busy:
            if self.ledger.ranges[each].peer == event.peer:
                self._busy[each] = now
        if isinstance(message, Ready):
            self._ready(event.peer, now)
            return
        self._doubtful.pop(event.peer, None)
        if isinstance(message, Output):
            self._output(event, message, now)
        elif isinstance(message, RangeError):
            self._range_error(message)
        else:
            self.unread += message.broken
            self._actions.append(Say(f"a message of the payload that says nothing: {message.text!r}"))
        if event.needs_reply:
            self._actions.append(Reply(event.peer, ACKNOWLEDGED))

    def _ready(self, peer: str, now: float) -> None:
        again = self._doubtful.pop(peer, None)
        if again is not None and now - self._began_at <= self._rules.again_s:
            self._actions.append(Reply(peer, range_message(self.ledger.ranges[again].data)))
            return
        self._waiting.append(peer)

    def _output(self, event: Heard, message: Output, now: float) -> None:
        known = self._in_work(message.range_id)
        if known is None:
            return
        if event.problem or not message.paths:
            text = event.problem or "an output without a file"
            self._note({"ev": ERROR, "id": known.id, "code": int(ErrorCode.MISSINGOUTPUTFILE), "text": text})
            return
        self._note({
            "ev": OUTPUT,
            "id": known.id,
            "paths": list(message.paths),
            "size": event.size_bytes,
            "cpu": message.cpu_s,
            "wall": message.wall_s,
            "other": list(message.other),
        })  # fmt: skip
        self._delivery.ready(now, event.size_bytes)

    def _range_error(self, message: RangeError) -> None:
        known = self._in_work(message.range_id)
        code = ErrorCode.ESFATAL if message.fatal else ErrorCode.UNKNOWNPAYLOADFAILURE
        if known is not None:
            self._note({
                "ev": ERROR, "id": known.id, "code": int(code), "text": message.text, "fatal": message.fatal,
            })  # fmt: skip
        if message.fatal:
            self._drain(message.text)

    def _in_work(self, range_id: str) -> Range | None:
        """Return a range that was handed out and of which nothing was heard since; what is said twice counts once."""
        known = self.ledger.ranges.get(range_id)
        if known is None or known.event == FETCHED:
            self.unread += 1
            self._actions.append(Say(f"the payload speaks of range {range_id!r}, which it was not given"))
            return None
        self._busy.pop(range_id, None)
        return known if known.event == SENT else None

    # ------------------------------------------------------------ the supply
    def _supplied(self) -> None:
        """Start the payload with the first ranges; if there will be none, it is over before it began."""
        if self.phase is Phase.PREFETCH and self.ledger.ranges:
            self._start()
        elif self.phase is Phase.PREFETCH and self.ledger.supply_over:
            self._give_up_empty()

    def _give_up_empty(self) -> None:
        """End before the payload's start: there is nothing to feed it with."""
        self.phase = Phase.DONE
        if self.ledger.supply_error:
            text = f"no event ranges: {self.ledger.supply_error}"
            self._actions.append(GiveUp(int(ErrorCode.COMMUNICATIONFAILURE), text))
        else:
            text = self.ledger.drain or "the first answer had no event ranges"
            self._actions.append(GiveUp(int(ErrorCode.ESNOEVENTS), text))

    def _drain(self, text: str) -> None:
        if not self.ledger.drain:
            self._note({"ev": "drain", "id": "", "text": text})
            self._actions.append(Say(f"no more events are handed out: {text}"))
        if self.phase is Phase.PREFETCH:
            self._give_up_empty()
        elif self.phase in (Phase.STARTING, Phase.FEEDING):
            self.phase = Phase.DRAINING

    def _obey(self, command: str) -> None:
        if command == SOFTKILL:
            self._drain(SOFTKILL)
            self._delivery.hurry()
        elif command == "tobekilled" and not self._told_to_end:
            self._told_to_end = True
            self._actions.append(EndPayload(int(ErrorCode.PANDAKILL), "the server's answer to a report of events"))

    # ------------------------------------------------------------ what follows
    def _advance(self, now: float) -> None:
        if self.phase is Phase.STOPPING:
            self._waiting.clear()
            if not self._settled and now >= self._quiet_at:
                self._settle()
        else:
            self._hand_out(now)
            self._supply.ask(now)
            self._limits(now)
        self._delivery.advance(now, last=self._settled)
        if self._settled and (self._delivery.idle or now >= self._flush_until):
            self.phase = Phase.DONE
            self._actions.append(outcome(self.ledger, well=self._over is not None and self._over.well))

    def _hand_out(self, now: float) -> None:
        while self._waiting:
            known = self._supply.take() if self.phase is not Phase.DRAINING else None
            if known is not None:
                peer = self._waiting.popleft()
                self._note({"ev": SENT, "id": known.id, "peer": peer})
                self._busy[known.id] = now
                self._actions.append(Reply(peer, range_message(known.data)))
            elif self.phase is Phase.DRAINING or self._supply.empty:
                self._drain_at = self._drain_at or now
                if not self.ledger.told:
                    self._note({"ev": "told", "id": ""})
                if not self.ledger.drain:
                    self._drain("the server has no more")
                self._actions += [Reply(peer, NO_MORE) for peer in self._waiting]
                self._waiting.clear()
            else:
                return

    def _drain_limit(self) -> float | None:
        return self._drain_at + self._rules.drain_s if self._drain_at and self._rules.drain_s else None

    def _silence_limit(self) -> float | None:
        oldest = min(self._busy.values(), default=None)
        return oldest + self._rules.silent_range_s if oldest is not None and self._rules.silent_range_s else None

    def _limits(self, now: float) -> None:
        if self.phase is Phase.DRAINING and not self._drain_at:
            self._drain_at = now
        drained, silent = self._drain_limit(), self._silence_limit()
        if self._told_to_end:
            return
        if drained is not None and now >= drained:
            text = f"the payload did not end within {self._rules.drain_s:g} s of {NO_MORE!r}"
        elif silent is not None and now >= silent:
            text = f"no word of an event range for {self._rules.silent_range_s:g} s"
        else:
            return
        self._told_to_end = True
        self._actions.append(EndPayload(int(ErrorCode.LOOPINGJOB), text))

    def _settle(self) -> None:
        """The payload is over and has said its last: what it was given and did not speak of has failed."""
        self._settled = True
        well = self._over is not None and self._over.well and self.ledger.told
        code = ErrorCode.UNKNOWNPAYLOADFAILURE if well else ErrorCode.PAYLOADEXECUTIONFAILURE
        for known in list(self.ledger.in_state(SENT)):
            text = "the payload ended without a word of this range"
            self._note({"ev": ERROR, "id": known.id, "code": int(code), "text": text})

    def _note(self, entry: Entry) -> None:
        self.ledger.apply(entry)
        self._actions.append(Note(entry))
