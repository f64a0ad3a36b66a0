"""What `bulkhead status` says, as titled tables of text; plain.py and terminal.py put them on the screen."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from people.processes import PayloadUse
from people.snapshot import JobFacts, Snapshot
from people.words import clock_text, duration_text, size_text, state_text

Row = tuple[str, ...]
_COMMAND_CHARS = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A titled table. `right` are the columns that hold numbers; without columns the rows are lines of text."""

    title: str
    columns: Row = ()
    rows: tuple[Row, ...] = ()
    right: frozenset[int] = frozenset()


def sections_of(snapshot: Snapshot) -> list[Section]:
    """Return the whole sheet; what there is nothing to say about is left out."""
    sections = [
        _pilot(snapshot),
        _processes(snapshot),
        _jobs("Jobs under way", snapshot.jobs, snapshot.taken_wall),
        _jobs("Jobs before", snapshot.past_jobs, snapshot.taken_wall),
        Section(title="Last events", rows=tuple((clock_text(wall), text) for wall, text in snapshot.trail)),
    ]
    return [section for section in sections if section.rows]


def _pilot(snapshot: Snapshot) -> Section:
    rows = [
        ("directory", snapshot.main_dir),
        ("queue", snapshot.queue or "not known yet"),
        ("pilot", _condition(snapshot)),
        ("jobs taken", str(snapshot.jobs_taken)),
        ("updates waiting", _waiting(snapshot)),
    ]
    if snapshot.ending:
        rows.append(("ends because", snapshot.ending))
    elif snapshot.hunt_over:
        rows.append(("no further job", snapshot.hunt_over))
    return Section(title="Pilot", rows=tuple(rows))


def _condition(snapshot: Snapshot) -> str:
    if not snapshot.alive:
        left = len(snapshot.jobs)
        return "has ended" if not left and not snapshot.waiting_updates else _left_behind(left)
    age = duration_text(snapshot.taken_wall - snapshot.began_wall) if snapshot.began_wall else "just now"
    heard = "" if snapshot.source == "bulletin" else "; its bulletin is silent, so this is what its journal says"
    return f"runs since {age}{heard}"


def _left_behind(jobs: int) -> str:
    return f"is gone with {jobs} job(s) open: the next pilot started with the same -a takes them over"


def _waiting(snapshot: Snapshot) -> str:
    if not snapshot.waiting_updates:
        return "none"
    return f"{snapshot.waiting_updates}, {snapshot.waiting_finals} of them final"


def _processes(snapshot: Snapshot) -> Section:
    workers = {worker.role: worker for worker in snapshot.workers}
    rows = []
    for process in snapshot.processes:
        worker = workers.get(process.role)
        restarts = str(worker.restarts) if worker else ""
        used = (duration_text(process.cpu_s), size_text(process.rss_bytes), duration_text(process.age_s))
        rows.append((process.role, str(process.pid), process.state, *used, restarts, _doing(process.title)))
    return Section(
        title="Processes",
        columns=("what", "pid", "", "cpu", "memory", "age", "restarts", "doing"),
        rows=tuple(rows),
        right=frozenset({1, 3, 4, 5, 6}),
    )


def _doing(title: str) -> str:
    ours, named, rest = title.rpartition("bulkhead: ")
    if not named:
        return ours[:_COMMAND_CHARS] or rest[:_COMMAND_CHARS]
    return rest[rest.find("[") + 1 : rest.rfind("]")] if "[" in rest else ""


def _jobs(title: str, jobs: tuple[JobFacts, ...], wall: float) -> Section:
    rows = tuple((str(job.job_id), str(job.attempt_nr), *_told(job, wall)) for job in jobs)
    columns = ("PandaID", "attempt", "state", "since" if title != "Jobs before" else "ended", "use", "note")
    return Section(title=title, columns=columns, rows=rows, right=frozenset({0, 1}))


def _told(job: JobFacts, wall: float) -> Iterator[str]:
    yield job.outcome if job.state == "done" else state_text(job.state)
    yield clock_text(job.since_wall) if job.state == "done" else duration_text(wall - job.since_wall)
    yield f"ran {duration_text(job.ran_s)}, cpu {job.cpu_s} s" if job.ran_s else use_text(job.payload, job.usage)
    yield f"{job.error_code} {job.error_diag}" if job.error_code else _files(job)


def _files(job: JobFacts) -> str:
    moved = [file for file in job.files if file["status"] == "transferred"]
    total = sum(int(file["size_bytes"]) for file in moved)
    return f"{len(moved)} file(s), {size_text(total)} out" if moved else ""


def use_text(now: PayloadUse | None, usage: dict[str, Any] | None) -> str:
    """Return what a payload uses in a few words: measured now, or else as last told; "" when nothing is known."""
    if now is not None:
        processes = f"{now.processes} process{'es' if now.processes > 1 else ''}"
        return f"cpu {duration_text(now.cpu_s)}, memory {size_text(now.rss_bytes)}, {processes}"
    if not usage:
        return ""
    memory_kb = max(usage["max_pss_kb"], usage["max_rss_kb"], usage["avg_pss_kb"], usage["avg_rss_kb"])
    memory = f", memory {size_text(memory_kb * 1024)}" if memory_kb > 0 else ""
    return f"cpu {usage['cpu_time_s']} s{memory}"
