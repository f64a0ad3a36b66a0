"""Real-time logs: a growing file goes to a small HTTP server, and nothing that goes wrong matters to anybody."""

import json

import pytest
from log_rig import Job
from log_server import LogServer

from errors.redaction import redact
from ipc.parts import LogStream
from workers.monitor.log_bodies import http_body
from workers.monitor.streaming import BATCH_BYTES, BEHIND_BYTES

PUSH = "/loki/api/v1/push"


@pytest.fixture
def server():
    with LogServer() as running:
        yield running


def test_lines_arrive_once_and_in_order(tmp_path, server):
    job = Job(tmp_path, server.url + PUSH)
    job.say("one\ntwo\nhal")
    job.until(lambda: server.lines() == ["one", "two"])
    job.say("f\nlast")
    job.until(lambda: server.lines() == ["one", "two", "half"])
    job.streams.finish("lease", job.moment)
    job.until(lambda: server.lines() == ["one", "two", "half", "last"])
    job.until(lambda: not list(job.streams.next_times()))
    path, headers, body = server.pushes[0]
    assert (path, headers["Content-Type"]) == ("/loki/api/v1/push", "application/json")
    assert body["streams"][0]["stream"] == {"PandaJobID": "7", "TaskID": "8"}
    stamps = [int(stamp) for stamp, _ in body["streams"][0]["values"]]
    assert stamps == sorted(set(stamps))


def test_nothing_is_done_before_the_period_is_over(tmp_path, server):
    job = Job(tmp_path, server.url, period_s=30.0)
    job.say("one\n")
    assert list(job.streams.next_times()) == [1030.0]
    job.pass_time(29.0)
    assert list(job.streams.next_times()) == [1030.0]
    assert not server.pushes


def test_logstash_records_and_its_login(tmp_path, server):
    job = Job(tmp_path, server.url, kind="logstash", user="u", password="canary")
    job.say("one\n")
    job.until(server.lines)
    path, headers, body = server.pushes[0]
    assert path == "/"
    assert headers["Authorization"].startswith("Basic ")
    assert "canary" not in repr(job.task)
    assert (body[0]["TaskID"], body[0]["PandaJobID"], body[0]["message"]) == ("8", "7", "one")
    assert body[0]["PilotTimeStamp"]


def test_chosen_labels(tmp_path, server):
    job = Job(tmp_path, server.url, stream_labels=("TaskID", "Unknown"))
    job.say("one\n")
    job.until(server.lines)
    assert server.pushes[0][2]["streams"][0]["stream"] == {"TaskID": "8"}


def test_what_was_refused_is_sent_again(tmp_path, server):
    job = Job(tmp_path, server.url)
    server.status = 503
    job.say("one\n")
    job.until(lambda: server.refused >= 2)
    server.status = 204
    job.say("two\n")
    job.until(lambda: server.lines()[-1:] == ["two"])
    assert server.lines() == ["one", "two"]


def test_a_new_monitor_goes_on_where_the_old_one_was(tmp_path, server):
    job = Job(tmp_path, server.url)
    job.say("one\n")
    job.until((job.control / "realtime.json").exists)
    job.new_monitor()
    job.say("two\n")
    job.until(lambda: len(server.lines()) > 1)
    assert server.lines() == ["one", "two"]


def test_a_server_that_is_not_there_delays_no_end(tmp_path, server):
    job = Job(tmp_path, "http://127.0.0.1:1/")
    job.say("one\n")
    job.pass_time()
    job.streams.finish("lease", job.moment)
    job.until(lambda: not list(job.streams.next_times()))


def test_what_is_too_much_is_left_out_and_said_so(tmp_path, server):
    job = Job(tmp_path, server.url)
    line = "x" * 99 + "\n"
    job.say(line * ((BEHIND_BYTES + BATCH_BYTES) // 100 + 10) + "end\n")
    job.until(lambda: server.lines()[-1:] == ["end"])
    assert "bytes are left out" in server.lines()[0]
    assert len(json.dumps(server.pushes[0][2])) < 2 * BATCH_BYTES


def test_a_file_that_never_comes_or_is_a_link_is_nothing(tmp_path, server):
    job = Job(tmp_path, server.url)
    job.pass_time()
    (tmp_path / "secret").write_text("secret\n")
    job.out.symlink_to(tmp_path / "secret")
    job.pass_time()
    job.streams.finish("lease", job.moment)
    job.until(lambda: not list(job.streams.next_times()))
    assert not server.pushes


@pytest.mark.parametrize(
    "line",
    [
        "Authorization: Bearer canary",
        "https://user:canary@host/",
        "GET /?token=canary&x=1",
        "eyJcanarycanary.eyJcanary.x",
        "-----BEGIN PRIVATE KEY-----canary",
        "password=canary",
    ],
)
def test_secrets_are_left_out(line):
    assert "canary" not in redact(line)


def test_foreign_bytes_and_empty_lines(tmp_path, server):
    job = Job(tmp_path, server.url)
    job.out.write_bytes(b"\xff\xfe\n\n\x00x\n")
    job.until(server.lines)
    assert len(server.lines()) == 2
    stream = LogStream(kind="loki", url="x", file="f", period_s=1.0)
    assert json.loads(http_body(stream, ["a"], 1.5))["streams"][0]["values"] == [["1500000000", "a"]]
