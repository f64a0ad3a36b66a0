"""Whose command it is (H053): an answer that names another job is not this one's; what names none, or this one, is."""

import json

import pytest

from ipc.results import UpdateAnswered
from workers.reporter import dialect_legacy, dialect_v1
from workers.reporter.addressee import commanded
from workers.reporter.exchange import Answer, Failure, Lost

UPDATE = json.dumps({"job_id": 7, "job_status": "running"})


def v1(**data):
    body = {"success": True, "message": "", "data": {"StatusCode": 0, "command": "tobekilled", **data}}
    return commanded(dialect_v1.read_update, UPDATE)(Answer(body=json.dumps(body).encode()))


def legacy(text):
    return commanded(dialect_legacy.read_update, UPDATE)(Answer(body=text.encode()))


@pytest.mark.parametrize("named", [{}, {"PandaID": 7}, {"job_id": "7"}, {"PandaID": None}, {"jobId": "NULL"}])
def test_a_command_for_this_job_or_without_a_name(named):
    assert v1(**named) == UpdateAnswered(stored=True, command="tobekilled")


@pytest.mark.parametrize("named", [{"PandaID": 8}, {"job_id": "8"}, {"jobId": [7]}, {"PandaID": 7.5}])
def test_h053_a_command_for_another_job(named):
    assert v1(**named) == UpdateAnswered(stored=True)


def test_h053_in_legacy_in_both_forms():
    assert legacy("StatusCode=0&command=tobekilled&PandaID=7").command == "tobekilled"
    assert legacy("StatusCode=0&command=tobekilled&PandaID=8").command == ""
    assert legacy('{"StatusCode": 0, "command": "tobekilled", "jobId": 8}').command == ""


@pytest.mark.parametrize("reply", [Lost(text="gone"), Answer(status=500, body=b"no"), Answer(body=b"<html>")])
def test_what_is_no_answer_stays_a_failure(reply):
    assert isinstance(commanded(dialect_v1.read_update, UPDATE)(reply), Failure)


def test_an_update_that_names_no_job_takes_any_command():
    read = commanded(dialect_v1.read_update, '{"worker_id": 1}')
    body = {"success": True, "message": "", "data": {"StatusCode": 0, "command": "x", "PandaID": 3}}
    assert read(Answer(body=json.dumps(body).encode())).command == "x"
