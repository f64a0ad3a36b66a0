"""Whether the command in an answer is meant for the job of the update: one that names another job is not (H053)."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ipc.results import UpdateAnswered
from workers.reporter.dialect_legacy import read_fields
from workers.reporter.exchange import Answer, Outcome, Reply
from workers.reporter.foreign_json import ForeignJsonError
from workers.reporter.quoting import quote

_LOG = logging.getLogger("reporter")
#: Under these names servers and their clients speak of a job.
_NAMES = ("PandaID", "pandaID", "job_id", "jobId", "jobID")


def commanded(read: Callable[[Reply], Outcome], update: str) -> Callable[[Reply], Outcome]:
    """Return `read` without the command of an answer that names another job; all else in it counts.

    Args:
        read: What reads the answer to an update, in either dialect.
        update: The update's body (v1 names).
    """

    def heed(reply: Reply) -> Outcome:
        outcome = read(reply)
        if not isinstance(outcome, UpdateAnswered) or not outcome.command or not isinstance(reply, Answer):
            return outcome
        named, own = _job_named(reply), json.loads(update).get("job_id")
        if named is None or own is None or str(named).strip() == str(own):
            return outcome
        _LOG.warning("the answer to an update of job %s names job %s: its command is not obeyed", own, quote(named))
        return replace(outcome, command="")

    return heed


def _job_named(answer: Answer) -> Any:
    """Return the job that an answer names, None when it names none."""
    try:
        fields = read_fields(answer.body)
    except ForeignJsonError:
        return None
    data = fields.get("data")
    for part in (data, fields):
        if isinstance(part, dict):
            named = next((part[name] for name in _NAMES if part.get(name) not in (None, "", "NULL")), None)
            if named is not None:
                return named
    return None
