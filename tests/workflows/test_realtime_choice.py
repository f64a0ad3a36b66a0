"""Which files' lines are sent, and under which name (behaviour 24)."""

import json

import pytest

from jobs.definition import build
from queues.queue import parse_queue
from settings.settings import Settings
from workflows.realtime import log_stream

BY_PATH, BY_URL = "/bin/true", "http://cache/script"


def stream_of(transformation=BY_PATH, catchall="", settings=None, **environment):
    queue = parse_queue(json.dumps({"nickname": "Q", "catchall": f"logging=logstash;http://h:1 {catchall}"}), "Q")
    job = build({"PandaID": 7, "taskID": 5, "transformation": transformation})
    given = {"environment": tuple(environment.items()), **(settings or {})}
    return log_stream(job, queue, Settings(queue="Q", **given))


def files_of(stream):
    return stream.file, stream.more_files, stream.fallback


def test_a_user_jobs_own_file_is_waited_for_and_a_production_jobs_is_known():
    assert files_of(stream_of(BY_URL)) == ("tmp.stdout*", (), "payload.stdout")
    assert files_of(stream_of(BY_PATH)) == ("payload.stdout", (), "")


@pytest.mark.parametrize("transformation", [BY_PATH, BY_URL])
def test_a_file_that_is_named_wins(transformation):
    assert files_of(stream_of(transformation, "loggingfile=log.x")) == ("log.x", (), "")
    named = stream_of(transformation, "loggingfile=log.x", REALTIME_LOGFILE="a/b.log")
    assert files_of(named) == ("a/b.log", (), "")
    several = stream_of(transformation, REALTIME_LOGFILES="a,b:c,,a")
    assert files_of(several) == ("a", ("b", "c"), "")
    both = stream_of(transformation, REALTIME_LOGFILES="a,b", REALTIME_LOGFILE="x")
    assert files_of(both) == ("x", ("a", "b"), "")
    assert len(stream_of(REALTIME_LOGFILES=",".join("abcdefghijklmnop")).more_files) == 7


def test_the_streams_name():
    assert stream_of().name == "pilot-log"
    named = stream_of(settings={"realtime_logname": "mine"})
    assert named.name == "mine"
    assert {label.name: label.value for label in named.labels}["logName"] == "mine"
