"""A job that was handed out is on disk before it is told of."""

import stat

from ipc.results import JobAcquired
from ipc.tasks import AcquireJob
from jobs.ledger import fingerprint
from workers.reporter.keeping import keep_job, kept_job

JOB = JobAcquired(definition='{"PandaID": 1}')


def _task(tmp_path, taken=""):
    return AcquireJob(request="{}", keep_at=str(tmp_path / "acquired-0.json"), taken=taken)


def test_a_kept_job_is_the_answer_until_it_was_dealt_with(tmp_path):
    assert kept_job(_task(tmp_path)) is None
    keep_job(_task(tmp_path), JOB)
    assert kept_job(_task(tmp_path)) == JOB
    assert kept_job(_task(tmp_path, taken=fingerprint(JOB.definition))) is None
    assert stat.S_IMODE((tmp_path / "acquired-0.json").stat().st_mode) == 0o600


def test_without_a_place_nothing_is_kept(tmp_path):
    keep_job(AcquireJob(request="{}"), JOB)
    assert kept_job(AcquireJob(request="{}")) is None
    assert not list(tmp_path.iterdir())


def test_a_place_that_cannot_be_written_does_not_stop_the_job(tmp_path):
    task = AcquireJob(request="{}", keep_at=str(tmp_path / "gone" / "acquired-0.json"))
    keep_job(task, JOB)
    assert kept_job(task) is None
