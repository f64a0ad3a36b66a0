"""One look at a pilot, put together from its journal, the kernel's process table and, while it runs, its bulletin."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.record import JobRecord
from jobs.states import MAY_HAVE_PAYLOAD
from jobs.states import JobState as S
from people.bulletin_reader import Listener, Picture, is_published
from people.processes import PayloadUse, ProcessFacts, payload_use, pilot_is_alive, processes_of
from people.reader import Facts, OpenTask, read_journal


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerFacts:
    """A worker as the supervisor sees it; `progress` are the members of ipc.schema.Progress."""

    role: str
    phase: str
    pid: int
    restarts: int
    progress: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """A job: where it is, what it uses, how it ended; `outcome` is "" while it is under way.

    `usage` are the members of ipc.schema.Usage as the monitor told last, `payload` is measured now, `since_wall` is
    when the job came to its state, `ran_s` is the payload's whole time, 0 until it has ended.
    """

    job_id: int
    attempt_nr: int
    state: str
    outcome: str
    error_code: int
    error_diag: str
    payload_pid: int
    usage: dict[str, Any] | None
    payload: PayloadUse | None
    since_wall: float
    ran_s: float
    cpu_s: int
    files: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All that `bulkhead status` shows. `source` is bulletin or journal; `alive` tells whether the pilot runs.

    Wall times are epoch seconds.
    """

    main_dir: str
    taken_wall: float
    source: str
    alive: bool
    queue: str
    began_wall: float
    jobs_taken: int
    hunt_over: str
    ending: str
    processes: tuple[ProcessFacts, ...]
    workers: tuple[WorkerFacts, ...]
    jobs: tuple[JobFacts, ...]
    past_jobs: tuple[JobFacts, ...]
    tasks: tuple[OpenTask, ...]
    waiting_updates: int
    waiting_finals: int
    trail: tuple[tuple[float, str], ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as an object of plain values; the trail as objects with `wall` and `text`."""
        return {**asdict(self), "trail": [{"wall": wall, "text": text} for wall, text in self.trail]}


def take_snapshot(main_dir: Path, trail_lines: int, timeout_s: float) -> Snapshot:
    """Look once; wait at most `timeout_s` for the bulletin of a running pilot.

    Raises:
        NoJournalError: the journal cannot be read.
    """
    facts = read_journal(main_dir, trail_lines)
    picture = None
    if facts.run_dir is not None and is_published(facts.run_dir) and pilot_is_alive(facts):
        listener = Listener(facts.run_dir)
        try:
            picture = listener.wait(timeout_s)
        finally:
            listener.close()
    return put_together(facts, picture)


def put_together(facts: Facts, picture: Picture | None) -> Snapshot:
    """Return the snapshot of a journal and the picture that goes with it, if any."""
    head = facts.head
    hunt = head.hunt if head else None
    alive = pilot_is_alive(facts)
    current = {job.key for job in facts.jobs}
    changed = {past.job.key: past.wall for past in facts.history}
    return Snapshot(
        main_dir=str(facts.main_dir),
        taken_wall=time.time(),
        source="bulletin" if picture else "journal",
        alive=alive,
        queue=str((picture or {}).get("queue") or facts.queue),
        began_wall=head.began_wall if head else 0.0,
        jobs_taken=hunt.jobs_taken if hunt else 0,
        hunt_over=hunt.over if hunt else "",
        ending=head.ending.text if head and head.ending else "",
        processes=processes_of(facts),
        workers=_workers(picture),
        jobs=tuple(_job(job, changed.get(job.key, 0.0), _live_usage(picture, job), alive=alive) for job in facts.jobs),
        past_jobs=tuple(
            _job(past.job, past.wall, None, alive=False)
            for past in sorted(facts.history, key=lambda past: past.wall)
            if past.job.key not in current
        ),
        tasks=facts.tasks,
        waiting_updates=len(facts.outbox),
        waiting_finals=sum(row.final for row in facts.outbox),
        trail=facts.trail,
    )


def _workers(picture: Picture | None) -> tuple[WorkerFacts, ...]:
    return tuple(
        WorkerFacts(
            role=str(worker["role"]),
            phase=str(worker["phase"]),
            pid=int(worker["pid"]),
            restarts=int(worker["restarts"]),
            progress=tuple(worker["progress"]),
        )
        for worker in (picture or {}).get("workers", ())
    )


def _live_usage(picture: Picture | None, job: JobRecord) -> dict[str, Any] | None:
    for seen in (picture or {}).get("jobs", ()):
        if seen["job_id"] == job.job_id and seen["usage"]:
            return dict(seen["usage"])
    return None


def _job(job: JobRecord, changed_wall: float, usage: dict[str, Any] | None, *, alive: bool) -> JobFacts:
    over = job.state in (S.DONE, S.HOLDING)
    return JobFacts(
        job_id=job.job_id,
        attempt_nr=job.attempt_nr,
        state=job.state.value,
        outcome=("failed" if job.failed else "finished") if over else "",
        error_code=job.error_code,
        error_diag=job.error_diag,
        payload_pid=job.payload_pid,
        usage=usage or (asdict(job.usage) if job.usage else None),
        payload=payload_use(job.payload_pid) if alive and job.state in MAY_HAVE_PAYLOAD else None,
        since_wall=_since(job, changed_wall),
        ran_s=max(0.0, job.stamps.ended - job.stamps.started) if job.stamps.started else 0.0,
        cpu_s=job.cpu_time_s,
        files=tuple(asdict(file) for file in (*job.outputs, *job.log)),
    )


def _since(job: JobRecord, changed_wall: float) -> float:
    stamps = job.stamps
    entered = {
        S.RECEIVED: stamps.received,
        S.STAGING_IN: stamps.stage_in,
        S.STARTING: stamps.staged_in,
        S.RUNNING: stamps.started,
        S.STAGING_OUT: stamps.ended,
        S.FAILING: stamps.ended,
        S.REPORTING: stamps.settled,
    }
    return entered.get(job.state) or changed_wall
