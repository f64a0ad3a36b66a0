"""A Watch that is given again with other secrets: what the old ones could not send goes out with the new ones, once."""

import base64
from dataclasses import replace

import pytest
from log_server import LogServer

from host.clock import now
from ipc.parts import LogStream
from ipc.tasks import Watch
from tests.waiting import wait_until
from workers.monitor.streaming import Streams


@pytest.mark.parametrize("refused", [True, False], ids=["old refused", "old taken"])
@pytest.mark.parametrize("at_once", [True, False], ids=["ends at once", "goes on"])
def test_each_line_is_sent_once_by_one_of_the_users(tmp_path, refused, at_once):
    (tmp_path / "payload.stdout").write_text("one\ntwo\n")
    streams = Streams("")
    with LogServer() as logs:
        old = LogStream(kind="logstash", url=logs.url, file="payload.stdout", period_s=0.5, user="old", password="p")
        task = Watch(job_id=1, job_dir=str(tmp_path), control_dir=str(tmp_path), stream=old)

        def turn(done):
            streams.tick(now())
            return done()

        logs.status = 401 if refused else 204
        streams.begin("w/1/1", task, now())
        if refused:
            wait_until(lambda: turn(lambda: logs.refused), 5, "the old user is refused")
        streams.finish("w/1/1", now())  # a batch of the old user is under way when the new one comes
        streams.begin("w/2/1", replace(task, stream=replace(old, user="new")), now())
        if at_once:
            streams.finish("w/2/1", now())
        wait_until(lambda: turn(lambda: not at_once or not list(streams.next_times())), 15, "all is sent")
        logs.status = 204
        with (tmp_path / "payload.stdout").open("a") as stream:
            stream.write("three\n")
        if not at_once:
            wait_until(lambda: turn(lambda: logs.lines()[-1:] == ["three"]), 5, "the third line")
            streams.finish("w/2/1", now())
            wait_until(lambda: turn(lambda: not list(streams.next_times())), 15, "all is sent")
            assert logs.lines() == ["one", "two", "three"]
            assert not refused or set(users(logs)) == {"new"}
        elif not refused:
            assert logs.lines() == ["one", "two"]
            assert users(logs) == ["old"]


def users(logs):
    """Return who sent each batch."""
    words = [headers["Authorization"].split()[1] for _, headers, _ in logs.pushes]
    return [base64.b64decode(word).decode().split(":")[0] for word in words]
