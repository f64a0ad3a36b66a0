"""What a job with events comes to (event-service 10). Pure."""

from errors.codes import ErrorCode
from events.ledger import SOFTKILL, STAGED, Ledger
from events.words import Finish


def outcome(ledger: Ledger, *, well: bool) -> Finish:
    """Return the job's events, error and sub-status; the error of a payload that did not end `well` is its own."""
    ranges = list(ledger.ranges.values())
    stored = sum(each.accepted and not each.code for each in ranges)
    untold = sum(each.event == STAGED for each in ranges)
    failed = [each for each in ranges if each.code]
    fatal = next((each for each in failed if each.fatal), None)
    code, text = 0, ""
    if fatal is not None:
        code, text = int(ErrorCode.ESFATAL), fatal.text
    elif well and not ledger.told:
        code, text = int(ErrorCode.PAYLOADEXECUTIONFAILURE), "it ended before it was told that there are no more events"
    elif well and failed and not stored and not untold:
        code, text = int(ErrorCode.ESRECOVERABLE), f"none of {len(failed)} event ranges is stored: {failed[0].text}"
    return Finish(n_events=stored, code=code, text=text, sub_status=_word(ledger, stored, len(failed), bool(fatal)))


def _word(ledger: Ledger, stored: int, failed: int, fatal: bool) -> str:
    if fatal:
        return "pilot_fatal"
    if ledger.drain == SOFTKILL:
        return "softkilled"
    if not failed:
        return "all_success"
    if not stored:
        return "all_failed"
    return "mostly_failed" if failed > stored else "partly_failed"
