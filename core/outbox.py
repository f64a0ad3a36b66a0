"""The outbox: updates wait in the ledger, in order, one in flight per job, until the sink took them (P63-P69).

An update that is not final and failed to be delivered gives way to a newer one of its job; a final one is never given
up. A body that the sink refuses for good is sent once more reduced to what no sink can mind, if it is final.
"""

import json
import logging
import zlib
from dataclasses import replace

from core.state import Turn
from core.tasks import cancel_task, is_open, open_task
from ipc.tasks import SendUpdate
from jobs.ledger import Row, TaskRecord
from jobs.states import JobState

#: What a refused final update is reduced to: identity, state, the error, the file report (panda-protocol 3.2).
_CORE_FIELDS = (
    "job_id",
    "job_status",
    "attempt_nr",
    "site_name",
    "node",
    "pilot_error_code",
    "pilot_error_diag",
    "trans_exit_code",
    "job_output_report",
    "end_time",
)


def queue_update(turn: Turn, job_key: str, call: str, body: dict[str, object], *, final: bool = False) -> None:
    """Put an update at the end of its job's line."""
    sequence = turn.ledger.sequence + 1
    row = Row(sequence=sequence, job_key=job_key, call=call, body=json.dumps(body), final=final)
    turn.change_ledger(sequence=sequence, outbox={**turn.ledger.outbox, sequence: row})


def task_name(row: Row) -> str:
    """Return the name of the task that delivers `row`."""
    return f"update-{row.sequence}"


def send_due(turn: Turn) -> None:
    """Open the delivery of each job's first row whose time has come; hurry what holds an urgent one up."""
    heads: dict[str, Row] = {}
    for row in turn.ledger.outbox.values():
        head = heads.get(row.job_key)
        if head is None:
            heads[row.job_key] = row
        elif _gives_way(turn, head):
            drop_row(turn, head, "a newer update takes its place")
            heads[row.job_key] = row
    for row in heads.values():
        if row.next_try_at <= turn.now.mono and not is_open(turn, task_name(row), row.job_key):
            task = SendUpdate(sequence=row.sequence, call=row.call, body=row.body, final=row.final)
            open_task(turn, task_name(row), _of_job(turn, task, row.job_key), row.job_key)


def _of_job(turn: Turn, task: SendUpdate, job_key: str) -> SendUpdate:
    """Return the delivery with what the sink is to know of the job beside the update."""
    job, dossier = turn.ledger.jobs.get(job_key), turn.ledger.dossiers.get(job_key)
    plan = dossier.plan if dossier is not None else None
    if job is None or plan is None:
        return task
    made = job.state not in (JobState.RECEIVED, JobState.PREPARING)
    return replace(
        task,
        log_lfn=plan.log.transfer.lfn if plan.log is not None else "",
        job_dir=plan.prepare.job_dir if made else "",
    )


def _gives_way(turn: Turn, head: Row) -> bool:
    """Tell whether a row that is followed by another may be dropped: its delivery failed or hangs."""
    if head.final:
        return False
    task = turn.ledger.tasks.get(f"{head.job_key}:{task_name(head)}")
    hangs = (
        task is not None
        and task.issued != 0
        and turn.now.mono - task.issued_at >= turn.settings.tuning.supersede_after_s
    )
    return hangs or head.attempts > 0


def drop_row(turn: Turn, row: Row, why: str) -> None:
    """Remove a row, and its delivery if that is under way."""
    cancel_task(turn, f"{row.job_key}:{task_name(row)}", why)
    turn.change_ledger(outbox={s: r for s, r in turn.ledger.outbox.items() if s != row.sequence})


def row_of(turn: Turn, task: TaskRecord) -> Row | None:
    """Return the row that a SendUpdate task delivers."""
    return turn.ledger.outbox.get(task.task.sequence) if isinstance(task.task, SendUpdate) else None


def delivery_failed(turn: Turn, row: Row, diag: str, *, retry: bool) -> None:
    """Plan the next try of a row, or drop it when it is neither final nor ever going to be taken."""
    if not retry and not row.final:
        turn.say(logging.WARNING, f"update {row.sequence} of {row.job_key} is refused and dropped: {diag}")
        drop_row(turn, row, "refused")
        return
    first = row.first_try_at or turn.now.mono
    attempts = row.attempts + 1
    later = replace(row, attempts=attempts, first_try_at=first, next_try_at=turn.now.mono + _delay_s(turn, row, first))
    if not retry and not row.refused:
        later = replace(later, refused=True, body=_reduced(row.body), next_try_at=turn.now.mono)
    turn.say(logging.WARNING, f"update {row.sequence} of {row.job_key} not delivered (try {attempts}): {diag}")
    turn.change_ledger(outbox={**turn.ledger.outbox, row.sequence: later})


def _reduced(body: str) -> str:
    fields = json.loads(body)
    return json.dumps({name: fields[name] for name in _CORE_FIELDS if name in fields})


def _delay_s(turn: Turn, row: Row, first_try_at: float) -> float:
    """Return the capped, jittered back-off; the jitter comes from the row itself, so that the step stays pure."""
    tuning = turn.settings.tuning
    patient = turn.now.mono - first_try_at > tuning.retry_long_after_s and turn.ledger.ending is None
    cap_s = tuning.retry_long_cap_s if patient or row.refused else tuning.retry_cap_s
    if turn.ledger.ending is not None:
        cap_s = min(cap_s, 2.0)
    delay_s: float = min(cap_s, tuning.retry_first_s * 2 ** min(row.attempts, 16))
    jitter = zlib.crc32(f"{row.job_key}/{row.sequence}/{row.attempts}".encode()) % 1000 / 1000
    return delay_s * (0.75 + 0.25 * jitter)


def next_deadline(turn: Turn) -> float | None:
    """Return when send_due has something to do next, None when only an answer can bring it on."""
    times = [row.next_try_at for row in turn.ledger.outbox.values() if row.next_try_at > turn.now.mono]
    supersede_s = turn.settings.tuning.supersede_after_s
    waiting: dict[str, int] = {}
    for row in turn.ledger.outbox.values():
        waiting[row.job_key] = waiting.get(row.job_key, 0) + 1
    for task in turn.ledger.tasks.values():
        if isinstance(task.task, SendUpdate) and task.issued and waiting.get(task.job_key, 0) > 1:
            at = task.issued_at + supersede_s
            if at > turn.now.mono:
                times.append(at)
    return min(times, default=None)
