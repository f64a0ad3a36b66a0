"""The description of the worker node: once at the pilot's start, and nothing follows from it (panda-protocol 1.7)."""

import logging

from core.state import Turn
from core.tasks import open_task
from ipc.results import NodeDescribed, Result
from jobs.ledger import TaskRecord
from workflows.node import node_task


def describe_node(turn: Turn) -> None:
    """Open the task, if the experiment wants it and the queue, whose site it names, is known."""
    queue_text = turn.ledger.hunt.queue_text
    task = node_task(turn.settings, queue_text, turn.pilot.main_dir) if queue_text else None
    if task is not None:
        open_task(turn, "node", task)


def described(turn: Turn, _task: TaskRecord, result: Result) -> None:
    """Say what went wrong, if anything did; it is not tried again."""
    if isinstance(result, NodeDescribed) and result.note:
        turn.say(logging.WARNING, f"the worker node map: {result.note}")


def description_failed(turn: Turn, _task: TaskRecord, code: int, diag: str) -> None:
    """Go on without."""
    turn.say(logging.WARNING, f"the worker node is not described: {code} {diag}")
