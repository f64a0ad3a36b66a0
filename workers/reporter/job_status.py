"""What the server knows of a job, asked once after a restart (panda-protocol 1.7)."""

from ipc.results import JobStatusTold
from ipc.tasks import AskJobStatus
from settings.settings import Settings
from workers.reporter.answers import garbage
from workers.reporter.calls import Call
from workers.reporter.calls_jobs import JobStatus, get_job_status
from workers.reporter.exchange import Conversation, Failure
from workers.reporter.server_either import ServerEither
from workers.reporter.server_legacy import ServerLegacy


def status_question(task: AskJobStatus, settings: Settings, server: ServerEither | ServerLegacy) -> Conversation:
    """Return the conversation; it is not tried again, as the answers to updates tell the same a little later."""

    def make(dialect: str) -> Call[JobStatusTold]:
        made = get_job_status(settings, [task.job_id], dialect=dialect)
        return Call(made.request, lambda reply: _told(task.job_id, made.read(reply)))

    return server.ask("job status", min(task.limit_s, settings.http_timeout_s), make)


def _told(job_id: int, found: tuple[JobStatus, ...] | Failure) -> JobStatusTold | Failure:
    if isinstance(found, Failure):
        return Failure(text=found.text, code=found.code, retry=False)
    mine = next((status for status in found if status.job_id == job_id), None)
    if mine is None:
        return garbage("no state of the job that was asked for")
    return JobStatusTold(status=mine.status, attempt_nr=mine.attempt_nr)
