"""The built-in test job: `[Pilot] pandajob = fake` in the configuration file (behaviour 2). No server hears of it."""

import json

from ipc.results import JobAcquired, NoJob
from ipc.tasks import AcquireJob
from settings.settings import Settings
from workers.reporter.exchange import Conversation, LocalCall, Outcome, Reply
from workers.reporter.server_v1 import Exchange

JOB_ID = 1
_LABELS = {"production": "managed", "user": "user"}
_OUTPUT, _LOG = "fake.out.txt", "fake.job.log.tgz"
_SCOPE = "test"


def fake_definition(settings: Settings) -> str:
    """Return the job: `sleep 1` without files, or ("normal") a moment's work with an output and a log."""
    definition: dict[str, object] = {
        "PandaID": JOB_ID,
        "attemptNr": 1,
        "taskID": 1,
        "jobName": "built-in test job",
        "prodSourceLabel": _LABELS[settings.fake_type],
        "transformation": "/bin/sleep",
        "jobPars": "1",
    }
    if settings.fake_command == "normal":
        definition.update(
            transformation="/bin/sh",
            jobPars=f"-c 'echo done > {_OUTPUT}'",
            outFiles=f"{_OUTPUT},{_LOG}",
            logFile=_LOG,
            realDatasets="test.out,test.log",
            scopeOut=_SCOPE,
            scopeLog=_SCOPE,
        )
    return json.dumps(definition)


class FakeSource:
    """The one job, then the end."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._given = False

    def acquire(self, _task: AcquireJob) -> Conversation:
        """Give the job."""
        return Exchange(
            what="built-in job",
            limit_s=self._settings.http_timeout_s,
            ask=lambda: LocalCall(run=bytes),
            read=self._read,
        )

    def _read(self, _reply: Reply) -> Outcome:
        if self._given:
            return NoJob(reason="the built-in job was given", end=True)
        self._given = True
        return JobAcquired(definition=fake_definition(self._settings))
