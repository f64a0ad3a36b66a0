"""Files of a job that are kept on request are kept without its secrets."""

from dataclasses import replace

import pytest
from pilot_rig import KEY, Rig, plan, queue_and_job

from core import life
from core.state import Turn
from ipc.tasks import CleanUp
from jobs.states import JobEvent, JobState
from settings.settings import Settings


@pytest.mark.parametrize(("cleanup", "keep_files"), [(False, False), (True, True), (True, False)])
def test_secrets_are_removed_whatever_is_kept(monkeypatch, cleanup, keep_files):
    made = replace(plan(), clean=CleanUp(root="/m", paths=("/j", "/m/.bulkhead/acquired-0.json")))
    monkeypatch.setattr("core.life.make_plan", lambda *_arguments: made)
    rig = Rig(Settings(queue="Q", cleanup=cleanup))
    queue_and_job(rig)
    turn = Turn(rig.pilot, rig.now)
    life.put_job(turn, replace(rig.job, state=JobState.REPORTING, keep_files=keep_files))
    life.move(turn, KEY, JobEvent.REPORTED)
    task = turn.ledger.tasks[f"{KEY}:clean"].task
    kept = ("/j/panda_secrets.json", "/j/x509_payload.proxy", "/m/.bulkhead/acquired-0.json")
    assert task == CleanUp(root="/m", paths=made.clean.paths if cleanup and not keep_files else kept)
