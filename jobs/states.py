"""The life of a job: one table of (state, event) pairs (DESIGN 4), and PanDA's words for the states, in one place.

    received → preparing → staging_in → starting → running → staging_out → transferring_log → reporting → done
    any of them before reporting → failing → transferring_log → reporting → done
    reporting → holding (the pilot had to leave before the final update was taken; a later pilot delivers it)

Every pair is in the table: a next state, STAYS (the event is expected here and changes nothing of the state), or
IMPOSSIBLE (the caller has a defect: the pair is reported and the job goes to its safe state, failing).
"""

from enum import Enum
from typing import Final


class JobState(Enum):
    """Where a job is in its life."""

    RECEIVED = "received"
    PREPARING = "preparing"
    STAGING_IN = "staging_in"
    STARTING = "starting"
    RUNNING = "running"
    STAGING_OUT = "staging_out"
    TRANSFERRING_LOG = "transferring_log"
    REPORTING = "reporting"
    DONE = "done"
    FAILING = "failing"
    HOLDING = "holding"
    LOST = "lost"


class JobEvent(Enum):
    """What can happen to a job."""

    ACCEPTED = "accepted"  # the definition is valid and a plan was made of it
    PREPARED = "prepared"
    STAGED_IN = "staged_in"
    PAYLOAD_STARTED = "payload_started"
    PAYLOAD_ENDED = "payload_ended"  # ended well; a payload that failed is an ERROR
    STAGED_OUT = "staged_out"
    ERROR = "error"  # whatever makes the job fail: a task, a limit, a signal, the server's order
    ENDED = "ended"  # while failing: nothing of the job runs any more
    LOG_SETTLED = "log_settled"  # the log is transferred, or given up
    REPORTED = "reported"  # the server took the final update (or told that it needs none)
    SHELVED = "shelved"  # the pilot leaves before the final update was taken
    RESUMED = "resumed"  # a pilot took the journal over


STAYS: Final = "stays"
IMPOSSIBLE: Final = "impossible"
Entry = JobState | str

S, E = JobState, JobEvent

_MOVES: dict[JobState, dict[JobEvent, Entry]] = {
    S.RECEIVED: {E.ACCEPTED: S.PREPARING, E.ERROR: S.FAILING},
    S.PREPARING: {E.PREPARED: S.STAGING_IN, E.ERROR: S.FAILING},
    S.STAGING_IN: {E.STAGED_IN: S.STARTING, E.ERROR: S.FAILING},
    # The payload's end may be the first that a new runner sees of it.
    S.STARTING: {E.PAYLOAD_STARTED: S.RUNNING, E.PAYLOAD_ENDED: S.STAGING_OUT, E.ERROR: S.FAILING},
    # A runner that took the payload over tells its start again.
    S.RUNNING: {E.PAYLOAD_STARTED: STAYS, E.PAYLOAD_ENDED: S.STAGING_OUT, E.ERROR: S.FAILING},
    S.STAGING_OUT: {E.STAGED_OUT: S.TRANSFERRING_LOG, E.ERROR: S.FAILING},
    # The first error stays; the payload's end is part of the killing.
    S.FAILING: {E.ERROR: STAYS, E.PAYLOAD_STARTED: STAYS, E.PAYLOAD_ENDED: STAYS, E.ENDED: S.TRANSFERRING_LOG},
    # An error while the log is under way (a signal, say) is noted; the log goes on, as the report needs it.
    S.TRANSFERRING_LOG: {E.ERROR: STAYS, E.LOG_SETTLED: S.REPORTING},
    # The final update is on disk: nothing that happens later changes it (pitfall P64).
    S.REPORTING: {E.ERROR: STAYS, E.REPORTED: S.DONE, E.SHELVED: S.HOLDING},
    S.HOLDING: {E.ERROR: STAYS, E.REPORTED: S.DONE, E.SHELVED: STAYS, E.RESUMED: S.REPORTING},
    S.DONE: {E.ERROR: STAYS},
    S.LOST: {},
}

#: The complete table.
TABLE: Final[dict[tuple[JobState, JobEvent], Entry]] = {
    (state, event): _MOVES[state].get(event, STAYS if event is E.RESUMED and state is not S.LOST else IMPOSSIBLE)
    for state in JobState
    for event in JobEvent
}

#: States in which the payload's tree may exist.
MAY_HAVE_PAYLOAD: Final = frozenset({S.STARTING, S.RUNNING, S.FAILING})
#: States in which an error still changes what will be reported.
OPEN_TO_ERRORS: Final = frozenset(
    {S.RECEIVED, S.PREPARING, S.STAGING_IN, S.STARTING, S.RUNNING, S.STAGING_OUT, S.TRANSFERRING_LOG}
)
#: States that need nothing more.
SETTLED: Final = frozenset({S.DONE, S.LOST})

_WORDS = {
    S.RECEIVED: "starting",
    S.PREPARING: "starting",
    S.STAGING_IN: "starting",
    S.STARTING: "running",
    S.RUNNING: "running",
    S.STAGING_OUT: "running",
}


def server_word(state: JobState, last_word: str, *, failed: bool) -> str:
    """Return PanDA's word for a job in `state` whose last word was `last_word` ("" before the first).

    The first word is "starting" unless it is final; words never go back (panda-protocol 3.1); the words of reporting
    and after are final. "transferring" is not among them although the server takes it: it means that the server's own
    transfers are under way, so nobody watches a production job in it for lost heartbeats, and the server ignores a
    "running" with an error code that comes after it.
    """
    if state in (S.REPORTING, S.DONE, S.HOLDING, S.LOST):
        return "failed" if failed else "finished"
    if not last_word:
        return "starting"
    return "running" if last_word != "starting" else _WORDS.get(state, last_word)
