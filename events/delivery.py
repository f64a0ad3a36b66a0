"""What becomes of outputs: archives, their way to the storage, the server's word on them. Part of the feeder. Pure."""

from collections.abc import Callable

from errors.codes import ErrorCode
from events.groups import group_of, make_group
from events.ledger import ERROR, OUTPUT, REJECTED, REMOVED, REPORTED, STAGED, TARRED, Entry, Ledger, Range, Tar
from events.reports import Report, due_reports
from events.words import Action, Count, MakeTar, Remove, ReportFailed, ReportTaken, Rules, Say, TarFailed, Tell

#: How often a report is tried once the payload is over.
_LAST_TRIES = 3


class Delivery:
    """One archive and one report are under way at a time."""

    def __init__(self, rules: Rules, ledger: Ledger, note: Callable[[Entry], None], actions: list[Action]) -> None:
        self._rules = rules
        self._ledger = ledger
        self._note = note
        self._actions = actions
        self._making = ""
        self._ready_at: float | None = None
        self._ready_bytes = 0
        self._close_at = 0.0
        self._retry_at = 0.0
        self._failures = 0
        self._hurried = False
        self._last = False
        self._telling: Report | None = None
        self._tries: dict[str, int] = {}
        self._tell_at: dict[str, float] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is left to be brought or told, or what is left was tried often enough."""
        if self._making or self._telling is not None or any(self._ledger.in_state(OUTPUT, TARRED)):
            return False
        return not self._open_reports()

    def begin(self, now: float) -> None:
        """Take up what a feeder before had begun."""
        if self._ledger.tars:
            self._close_at = now + self._rules.gap_s
        for each in self._ledger.in_state(OUTPUT):
            self.ready(now, each.size_bytes)

    def ready(self, now: float, size_bytes: int) -> None:
        """An output is there."""
        self._ready_at = now if self._ready_at is None else self._ready_at
        self._ready_bytes += size_bytes

    def hurry(self) -> None:
        """Wait for no gap any more: what is ready goes."""
        self._hurried = True

    def staged(self, tar: Tar) -> None:
        """An archive is on its storage."""
        if tar.lfn == self._making:
            self._making, self._failures = "", 0
        members = [each for each in self._ledger.in_state(TARRED) if each.tar == tar.lfn]
        for each in members:
            self._note({
                "ev": STAGED, "id": each.id, "tar": tar.lfn, "endpoint": tar.endpoint, "size": tar.size_bytes,
                "checksum": tar.checksum,
            })  # fmt: skip

    def tar_failed(self, event: TarFailed, now: float) -> bool:
        """An archive failed: its ranges wait for another one, or fail if this was the last. True after too many."""
        if event.lfn != self._making:
            return False
        self._making = ""
        self._failures += 1
        self._retry_at = now + self._rules.stage_out_retry_s
        self._actions.append(Say(f"{event.lfn} was not brought to a storage: {event.text}"))
        for each in [each for each in self._ledger.in_state(TARRED) if each.tar == event.lfn]:
            if each.id in event.missing:
                self._fail(each, ErrorCode.MISSINGOUTPUTFILE, "its file is gone")
            elif self._last:
                self._fail(each, ErrorCode.STAGEOUTFAILED, event.text)
            else:
                self._note({"ev": OUTPUT, "id": each.id, "paths": list(each.paths), "size": each.size_bytes})
                self.ready(now, each.size_bytes)
        return self._failures >= self._rules.stage_out_failures

    def _fail(self, each: Range, code: ErrorCode, text: str) -> None:
        self._note({"ev": ERROR, "id": each.id, "code": int(code), "text": text})

    def taken(self, event: ReportTaken) -> None:
        """The server answered a report."""
        report = self._telling
        if report is None or report.name != event.name:
            return
        self._telling = None
        results = (*event.results, *([None] * len(report.ids)))[: len(report.ids)]
        stored = []
        for range_id, result in zip(report.ids, results, strict=True):
            each = self._ledger.ranges[range_id]
            if result is False:
                self._note({"ev": REJECTED, "id": range_id})
                self._actions.append(Say(f"the server refused what was reported of range {range_id}"))
                continue
            self._note({"ev": REPORTED, "id": range_id})
            if not each.code:
                stored.append(each)
        if stored:
            self._actions.append(Count(self._count()))
        self._clear_away(stored)

    def _count(self) -> int:
        return sum(each.accepted and not each.code for each in self._ledger.ranges.values())

    def _clear_away(self, stored: list[Range]) -> None:
        """Have the files of ranges removed that the server knows to be stored, and archives of which all is told."""
        if not stored:
            return
        tars = {each.tar for each in stored}
        open_tars = {each.tar for each in self._ledger.in_state(STAGED)}
        files = [path for each in stored for path in each.paths]
        for each in stored:
            self._note({"ev": REMOVED, "id": each.id})
        self._actions.append(Remove((*files, *sorted(tars - open_tars))))

    def report_failed(self, event: ReportFailed, now: float) -> None:
        """A report was not taken: it is sent again later, the last ones only a few times."""
        if self._telling is None or self._telling.name != event.name:
            return
        self._telling = None
        tries = self._tries.get(event.name, 0) + 1
        self._tries[event.name] = tries
        pauses = self._rules.report_retry_s
        pause_s = pauses[min(tries, len(pauses)) - 1]
        self._tell_at[event.name] = now + (min(pause_s, self._rules.last_retry_s) if self._last else pause_s)
        self._actions.append(Say(f"a report of events was not taken (try {tries}): {event.text}"))

    def advance(self, now: float, *, last: bool) -> None:
        """Begin what may begin; `last` once nothing more will come of the payload: then nothing waits."""
        if last and not self._last:
            self._last = True
            self._tries.clear()
            self._tell_at.clear()
        self._make(now)
        self._tell(now)

    def next_deadline(self) -> float | None:
        """Return when `advance` has something to do, None when only an answer can bring it on."""
        times = []
        if not self._making and self._ready_at is not None:
            times.append(self._due_at())
        if self._telling is None:
            times += [self._tell_at.get(report.name, 0.0) for report in self._open_reports()]
        return min(times, default=None)

    # ------------------------------------------------------------ archives
    def _due_at(self) -> float:
        at = (self._ready_at or 0.0) + self._rules.settle_s
        return max(at, self._retry_at) if self._hurried else max(at, self._close_at, self._retry_at)

    def _make(self, now: float) -> None:
        if self._making:
            return
        begun = next(self._ledger.in_state(TARRED), None)
        if begun is not None:  # a feeder before had closed it
            members = [each for each in self._ledger.in_state(TARRED) if each.tar == begun.tar]
            self._making = begun.tar
            self._actions.append(MakeTar(group_of(begun.tar, members)))
            return
        full = self._ready_bytes >= self._rules.archive_bytes and now >= self._retry_at
        due = self._ready_at is not None and (full or now >= self._due_at())
        ready = list(self._ledger.in_state(OUTPUT)) if due or self._last else []
        if not ready:
            return
        group = make_group(ready, self._ledger.tars)
        for range_id in group.ids:
            self._note({"ev": TARRED, "id": range_id, "tar": group.lfn})
        self._making, self._ready_at, self._ready_bytes = group.lfn, None, 0
        for each in self._ledger.in_state(OUTPUT):  # what waits for the next one
            self.ready(now, each.size_bytes)
        self._close_at = now + self._rules.gap_s
        self._actions.append(MakeTar(group))

    # ------------------------------------------------------------ reports
    def _open_reports(self) -> list[Report]:
        reports = due_reports(self._ledger, self._rules.storage_ids)
        if not self._last:
            return reports
        return [report for report in reports if self._tries.get(report.name, 0) < _LAST_TRIES]

    def _tell(self, now: float) -> None:
        if self._telling is not None:
            return
        for report in self._open_reports():
            if now >= self._tell_at.get(report.name, 0.0):
                self._telling = report
                self._actions.append(Tell(report))
                return
