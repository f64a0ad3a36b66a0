"""A pilot without a world: events in, actions out, for tests of single decisions."""

import json
from types import SimpleNamespace

from core.actions import Send, StartWorker
from core.events import Begun, Heard, Tick
from core.state import Pilot
from core.step import next_deadline, step
from host.clock import Now
from ipc.parts import Copy, Transfer
from ipc.results import JobAcquired, QueueFetched
from ipc.schema import SCHEMA_VERSION, Assign, Done, Failed, Hello
from ipc.tasks import AcquireJob, CleanUp, FetchQueue, PrepareJob, RunPayload, StageIn, StageOut, TransferLog, Watch
from jobs.record import Plan
from settings.settings import Settings

JOB = '{"PandaID": 5, "attemptNr": 1}'
KEY = "5.1"
QUEUE_TEXT = json.dumps({"nickname": "Q", "state": "ACTIVE", "status": "online", "timefloor": 60})


def plan(*_arguments):
    """Return a plan with every step, in place of the standard workflow's."""

    def transfer(kind):
        return Transfer(lfn=kind, kind=kind, copies=(Copy(copytool="cp", source="/a", destination="/b"),))

    return Plan(
        site_name="Q",
        core_count=1,
        is_analysis=False,
        files=(),
        prepare=PrepareJob(job_dir="/j", control_dir="/c"),
        stage_in=StageIn(job_dir="/j", transfers=(transfer("input"),)),
        run=RunPayload(job_id=5, job_dir="/j", control_dir="/c", command="x", environment=()),
        stage_out=StageOut(job_dir="/j", transfers=(transfer("output"),)),
        log=TransferLog(job_dir="/j", archive_path="/l", top_name="t", exclude=(), extras=(), transfer=transfer("log")),
        watch=Watch(job_id=5, job_dir="/j", control_dir="/c"),
        clean=CleanUp(root="/m", paths=("/j",)),
    )


class Rig:
    """Drives the real step; `now` is moved by hand."""

    def __init__(self, settings=None, ledger=None):
        fields = {"ledger": ledger} if ledger is not None else {}
        self.pilot = Pilot(settings=settings or Settings(queue="Q"), main_dir="/m", **fields)
        self.now = Now(100.0, 1e9)
        self.actions = []
        self.assigned = []
        self.begun = self.give(Begun())

    def give(self, event):
        """Take one step; the workers that are started say Hello at once."""
        self.pilot, actions = step(self.pilot, event, self.now)
        self.actions = actions
        for action in actions:
            if isinstance(action, Send) and isinstance(action.message, Assign):
                self.assigned.append(SimpleNamespace(role=action.role, by=action.incarnation, **_of(action.message)))
        for action in [action for action in actions if isinstance(action, StartWorker)]:
            self.hello(action.role, action.incarnation)
        return actions

    def hello(self, role, incarnation):
        """Let a worker be ready."""
        message = Hello(schema=SCHEMA_VERSION, role=role, incarnation=incarnation, pid=incarnation)
        self.give(Heard(role, incarnation, message))

    def wait(self, seconds):
        """Move the clock and tick."""
        self.now = Now(self.now.mono + seconds, self.now.wall + seconds)
        return self.give(Tick())

    def last(self, kind):
        """Return the last assignment of a kind of task."""
        return [given for given in self.assigned if isinstance(given.task, kind)][-1]

    def done(self, kind, result):
        """Answer the last task of a kind."""
        given = self.last(kind)
        return self.give(Heard(given.role, given.by, Done(lease=given.lease, result=result)))

    def failed(self, kind, code, *, retry):
        """Fail the last task of a kind."""
        given = self.last(kind)
        return self.give(Heard(given.role, given.by, Failed(lease=given.lease, code=code, diag="no", retry=retry)))

    def deadline(self):
        """Return when the loop would tick."""
        return next_deadline(self.pilot, self.now)

    @property
    def ledger(self):
        """Return the ledger."""
        return self.pilot.ledger

    @property
    def job(self):
        """Return the job."""
        return self.pilot.ledger.jobs[KEY]

    def finals(self):
        """Return the final updates that wait."""
        return [row for row in self.ledger.outbox.values() if row.final]


def _of(message):
    return {"lease": message.lease, "task": message.task}


def queue_and_job(rig):
    """Bring a rig to a job that was just received."""
    rig.done(FetchQueue, QueueFetched(queue_text=QUEUE_TEXT, storage_text="{}"))
    rig.done(AcquireJob, JobAcquired(definition=JOB))
