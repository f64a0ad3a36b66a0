"""The pilot's secrets in an answer to an update replace those of the job's definition (panda-protocol 3.9).

They are for the real-time logs alone, so they are kept where those are: in the Watch, which is given again with them.
"""

import json
import logging
from dataclasses import replace

from core.state import Turn
from core.tasks import cancel_task, open_task
from ipc.tasks import Watch
from workflows.realtime import with_secrets

_TASK = "watch"


def take(turn: Turn, key: str, text: str) -> None:
    """Let the job's lines go out with the new secrets, if they go anywhere."""
    task = turn.ledger.tasks.get(f"{key}:{_TASK}")
    if task is None or not isinstance(task.task, Watch) or task.task.stream is None:
        return
    stream = with_secrets(task.task.stream, json.loads(text))
    if stream != task.task.stream:
        turn.say(logging.INFO, f"job={key} the server gave new secrets for the real-time logs")
        cancel_task(turn, task.key, "new secrets")
        open_task(turn, _TASK, replace(task.task, stream=stream), key)
