"""What has happened so far, told from pictures: phases with their times, bytes, processes, restarts. Pure: no I/O."""

from dataclasses import dataclass, field
from typing import Any

from jobs.states import JobState
from people.bulletin_reader import Picture
from people.processes import PayloadUse
from people.words import state_text

#: The phases of a job that goes well, in order.
PHASES = tuple(
    state.value
    for state in (
        JobState.RECEIVED,
        JobState.PREPARING,
        JobState.STAGING_IN,
        JobState.STARTING,
        JobState.RUNNING,
        JobState.STAGING_OUT,
        JobState.TRANSFERRING_LOG,
        JobState.REPORTING,
    )
)
_DONE = JobState.DONE.value
#: Which phase a step of the stager's progress belongs to.
_STEP_PHASES = {"stage-in": JobState.STAGING_IN.value, "stage-out": JobState.STAGING_OUT.value}


@dataclass(frozen=True, slots=True)
class News:
    """One line worth telling, with its epoch time."""

    wall: float
    text: str


@dataclass(slots=True)
class Phase:
    """A phase of a job; `ended_wall` is 0 while it lasts. Bytes and files as the stager last told them."""

    state: str
    began_wall: float
    ended_wall: float = 0.0
    bytes_done: int = 0
    bytes_total: int = 0
    files_done: int = 0
    files_total: int = 0


@dataclass(slots=True)
class JobStory:
    """One job so far."""

    job_id: int
    began_wall: float
    phases: list[Phase] = field(default_factory=list)
    error_code: int = 0
    error_diag: str = ""
    payload_pid: int = 0
    usage: dict[str, Any] | None = None
    payload_use: PayloadUse | None = None
    over_wall: float = 0.0

    def phase(self, state: str) -> Phase | None:
        """Return the phase of that state, None when the job did not come to it (yet)."""
        return next((phase for phase in self.phases if phase.state == state), None)


@dataclass(slots=True)
class WorkerStory:
    """One worker now, and how often its like was started again, also under supervisors before."""

    role: str
    pid: int
    phase: str
    restarts: int = 0
    doing: str = ""


class Story:
    """The whole run so far."""

    def __init__(self, guardian_pid: int, began_wall: float) -> None:
        """Begin when the pilot is started."""
        self.began_wall = began_wall
        self.guardian_pid = guardian_pid
        self.supervisor_pid = 0
        self.supervisor_restarts = 0
        self.jobs: dict[int, JobStory] = {}
        self.workers: dict[str, WorkerStory] = {}
        self.waiting_updates = 0
        self.last_news: list[News] = []
        self.over = False
        self._leaving = False

    def supervisor_seen(self, pid: int, wall: float) -> list[News]:
        """A supervisor publishes."""
        again = self.supervisor_pid == 0 and self.supervisor_restarts > 0
        self.supervisor_pid = pid
        if not again:
            return self.tell(wall, f"the pilot runs: guardian {self.guardian_pid}, supervisor {pid}")
        return self.tell(wall, f"the supervisor is back as process {pid} with its journal; the job goes on")

    def supervisor_lost(self, pid: int, wall: float) -> list[News]:
        """Its process ended while the guardian lives: no news when it had nothing left to do."""
        self.supervisor_pid = 0
        if self._leaving:
            return []
        self.supervisor_restarts += 1
        return self.tell(wall, f"the supervisor, process {pid}, is dead; the guardian starts it again")

    def see(self, picture: Picture) -> list[News]:
        """Take in a picture; return what is new in it."""
        wall = float(picture["wall"])
        self.waiting_updates = int(picture["waiting_updates"])
        working = any(job["state"] not in (_DONE, JobState.HOLDING.value) for job in picture["jobs"])
        self._leaving = bool(picture["over"] or picture["ending"]) and not working
        news: list[News] = []
        for worker in picture["workers"]:
            news += self._see_worker(worker, wall)
        seen = set()
        for job in picture["jobs"]:
            seen.add(job["job_id"])
            news += self._see_job(job, wall)
        for story in self.jobs.values():
            if story.job_id not in seen and not story.over_wall:
                news += self._move(story, _DONE, wall)
        self._see_progress(picture)
        return news

    def pilot_ended(self, wall: float) -> None:
        """Nothing more comes."""
        self.supervisor_pid = 0
        self.over = True
        for job in self.jobs.values():
            for phase in job.phases:
                phase.ended_wall = phase.ended_wall or wall
            job.over_wall = job.over_wall or wall

    def _see_worker(self, worker: dict[str, Any], wall: float) -> list[News]:
        role, pid, restarts = worker["role"], int(worker["pid"]), int(worker["restarts"])
        known = self.workers.get(role)
        if known is None:
            self.workers[role] = WorkerStory(role, pid, worker["phase"])
            return []
        before, known.phase = known.pid, worker["phase"]
        known.doing = ", ".join(entry["step"] for entry in worker["progress"])
        if pid == before or not pid:
            return []
        known.pid = pid
        # A new supervisor begins with new workers: only what it counts itself is a restart.
        if before and restarts:
            known.restarts += 1
            return self.tell(wall, f"the {role}, process {before}, is dead; process {pid} has taken its place")
        return []

    def _see_job(self, job: dict[str, Any], wall: float) -> list[News]:
        news: list[News] = []
        story = self.jobs.get(job["job_id"])
        if story is None:
            story = self.jobs[job["job_id"]] = JobStory(job["job_id"], wall)
        story.payload_pid = int(job["payload_pid"])
        story.usage = job["usage"] or story.usage
        if job["error_code"] and not story.error_code:
            story.error_code, story.error_diag = int(job["error_code"]), str(job["error_diag"])
            news += self.tell(wall, f"job {story.job_id}: error {story.error_code}: {story.error_diag}")
        if not story.phases or story.phases[-1].state != job["state"]:
            news += self._move(story, job["state"], wall)
        return news

    def _move(self, story: JobStory, state: str, wall: float) -> list[News]:
        if story.phases:
            story.phases[-1].ended_wall = story.phases[-1].ended_wall or wall
        if state == _DONE:
            if story.over_wall:
                return []
            story.over_wall = wall
            word = "failed" if story.error_code else "finished"
            return self.tell(wall, f"job {story.job_id}: {word}, and the server knows")
        story.phases.append(Phase(state, wall))
        return self.tell(wall, f"job {story.job_id}: {state_text(state)}")

    def _see_progress(self, picture: Picture) -> None:
        for worker in picture["workers"]:
            for entry in worker["progress"]:
                job_id = str(entry["lease"]).partition(".")[0]
                story = self.jobs.get(int(job_id)) if job_id.isdigit() else None
                phase = story.phase(_STEP_PHASES.get(entry["step"], "")) if story else None
                if phase is not None and not phase.ended_wall:
                    phase.bytes_done = int(entry["bytes_done"])
                    phase.bytes_total = int(entry["bytes_total"])
                    phase.files_done = int(entry["files_done"])
                    phase.files_total = int(entry["files_total"])

    def tell(self, wall: float, text: str) -> list[News]:
        """Keep and return a line."""
        news = News(wall, text)
        self.last_news = [*self.last_news[-5:], news]
        return [news]
