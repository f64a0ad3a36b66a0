"""Watches over the pilot's identity: before the first job, at intervals (600 s), and renews its token (3600 s).

Too short a life before the first job ends the hunt with the exit codes 68 or 80, later it fails the job while the
server can still be told (behaviour 10). The reporter looks and renews; whatever it cannot find out stops nothing.
"""

import logging
import math
from dataclasses import replace

from core.hunt import end_hunt
from core.life import active_jobs, fail
from core.state import Turn
from core.tasks import is_open, open_task
from errors.catalogue import process_exit_code
from ipc.results import IdentityChecked, Result
from ipc.tasks import CheckIdentity
from jobs.ledger import TaskRecord
from settings.server import identity_in_use, renewable_token
from workflows.credentials import RUN_LEAST_S, START_LEAST_S, pilot_role
from workflows.request import renewal_allowed


def watch(turn: Turn) -> None:
    """Open the next check or renewal that is due."""
    state = turn.pilot.identity
    moment = turn.now.mono
    if min(state.check_at, state.renew_at) > moment or turn.ledger.ending is not None or is_open(turn, "identity"):
        return
    if not active_jobs(turn) and turn.ledger.hunt.over:
        return
    settings, hunt = turn.settings, turn.ledger.hunt
    if not (settings.verify_proxy and identity_in_use(settings)):
        state = replace(state, check_at=math.inf, cleared=True)
    if not (settings.token_renewal and renewable_token(settings)):
        state = replace(state, renew_at=math.inf)
    turn.change(identity=state)
    if not hunt.queue_text:
        return  # the queue may forbid renewal, and what comes before the queue's description needs no identity
    if state.renew_at <= moment and not renewal_allowed(hunt.queue_text, settings.queue):
        state = replace(state, renew_at=math.inf)
    verify, renew = state.check_at <= moment, state.renew_at <= moment
    if verify or renew:
        at_start = not state.cleared and not active_jobs(turn)
        task = CheckIdentity(
            least_s=START_LEAST_S if at_start else RUN_LEAST_S,
            token_least_s=RUN_LEAST_S,
            verify=verify,
            at_start=at_start,
            renew=renew,
            may_renew=math.isfinite(state.renew_at),
            **pilot_role(settings),
        )
        open_task(turn, "identity", task)
        state = replace(state, renew_at=moment + (settings.token_renewal_s or math.inf) if renew else state.renew_at)
        state = replace(state, check_at=moment + (settings.proxy_check_s or math.inf) if verify else state.check_at)
    turn.change(identity=state)


def next_deadline(turn: Turn) -> float | None:
    """Return when `watch` has something to do next, None when that waits for something else."""
    if turn.ledger.ending is not None or (turn.ledger.hunt.over and not active_jobs(turn)):
        return None
    state = turn.pilot.identity
    times = [at for at in (state.check_at, state.renew_at) if turn.now.mono < at < math.inf]
    return min(times, default=None)


def checked(turn: Turn, task: TaskRecord, result: Result) -> None:
    """Take what was found out."""
    if not isinstance(result, IdentityChecked) or not isinstance(task.task, CheckIdentity):
        return
    if result.note:
        turn.say(logging.INFO if result.renewed else logging.WARNING, f"identity: {result.note}")
    if result.code:
        if not turn.ledger.hunt.over:
            end_hunt(turn, f"{result.code} {result.diag}", process_exit_code(result.code))
        for job in active_jobs(turn):
            fail(turn, job.key, result.code, result.diag)
    _clear(turn)


def check_failed(turn: Turn, _task: TaskRecord, code: int, diag: str) -> None:
    """A check that could not be made stops nothing: the server is the one who decides."""
    turn.say(logging.WARNING, f"identity: it could not be checked: {code} {diag}")
    _clear(turn)


def _clear(turn: Turn) -> None:
    turn.change(identity=replace(turn.pilot.identity, cleared=True))
