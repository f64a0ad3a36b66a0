"""What of an answer to an update holds for the job as it is on this machine (panda-protocol 3.9)."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ipc.schema import Result, SendUpdate, UpdateAnswered
from workers.reporter.calls_jobs import read_debug_switch
from workers.reporter.exchange import Failure, Reply

_LOG = logging.getLogger("reporter")
_KILL = "tobekilled"
_DEBUG_SWITCH = "job/set_debug_mode"


def read_answer(
    task: SendUpdate, dialect: str, read: Callable[[Reply], Result | Failure], reply: Reply
) -> Result | Failure:
    """Return how a row of the outbox was taken: an update, or one of the other calls that go the same way."""
    if task.call == _DEBUG_SWITCH:
        return read_debug_switch(dialect, reply)
    return _heeded(task, read(reply))


def _heeded(task: SendUpdate, outcome: Result | Failure) -> Result | Failure:
    """Return the outcome without an order to kill a job whose directory is gone: it is over, whatever made it so."""
    if not isinstance(outcome, UpdateAnswered) or _KILL not in outcome.command.lower() or not task.job_dir:
        return outcome
    if Path(task.job_dir).exists():
        return outcome
    _LOG.warning("the order to kill a job whose directory is gone is ignored: %s", task.job_dir)
    words = [word for word in outcome.command.split(",") if word.strip().lower() != _KILL]
    return replace(outcome, command=",".join(words))
