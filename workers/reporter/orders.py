"""What of an answer to an update holds for the job as it is on this machine (panda-protocol 3.9)."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ipc.results import UpdateAnswered
from ipc.tasks import SendUpdate
from workers.reporter.addressee import commanded
from workers.reporter.calls_jobs import read_debug_switch
from workers.reporter.exchange import Outcome, Reply
from workers.reporter.finals import kept_whole

_LOG = logging.getLogger("reporter")
_KILL = "tobekilled"
_DEBUG_SWITCH = "job/set_debug_mode"


def reader_of(task: SendUpdate, dialect: str, read: Callable[[Reply], Outcome]) -> Callable[[Reply], Outcome]:
    """Return what reads the answer to a row of the outbox: an update, or one of the other calls that go the same way.

    Args:
        task: The row.
        dialect: "v1" or "legacy".
        read: What reads the answer to an update in that dialect.
    """
    if task.call == _DEBUG_SWITCH:
        return lambda reply: read_debug_switch(dialect, reply)
    whole = kept_whole(commanded(read, task.body), task)
    return lambda reply: _heeded(task, whole(reply))


def _heeded(task: SendUpdate, outcome: Outcome) -> Outcome:
    """Return the outcome without an order to kill a job whose directory is gone: it is over, whatever made it so."""
    if not isinstance(outcome, UpdateAnswered) or _KILL not in outcome.command.lower() or not task.job_dir:
        return outcome
    if Path(task.job_dir).exists():
        return outcome
    _LOG.warning("the order to kill a job whose directory is gone is ignored: %s", task.job_dir)
    words = [word for word in outcome.command.split(",") if word.strip().lower() != _KILL]
    return replace(outcome, command=",".join(words))
