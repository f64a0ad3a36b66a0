"""`bulkhead status` on sample journals, and on a bulletin that is really published."""

import json
import os
import threading

import pytest
import zmq

from core.state import Pilot
from host.clock import now
from people import status
from people.snapshot import take_snapshot
from settings.settings import Settings
from supervision.bulletin import Bulletin


def shown(capsys, *argv) -> str:
    assert status.main([str(argument) for argument in argv]) == 0
    return capsys.readouterr().out


def test_a_pilot_that_is_gone_is_told_with_what_it_left(sample, capsys):
    main_dir, _, _ = sample()
    text = shown(capsys, main_dir, "--plain")
    assert "is gone with 1 job(s) open: the next pilot started with the same -a takes them over" in text
    assert "1, 1 of them final" in text
    assert "A_QUEUE" in text
    assert "third line" in text
    assert "ran 10.0 s, cpu 4 s" in text
    assert "1 file(s), 2.0 KiB out" in text


def test_nothing_of_the_updates_and_definitions_is_shown(sample, capsys):
    main_dir, _, _ = sample()
    assert "s3cret" not in shown(capsys, main_dir) + shown(capsys, main_dir, "--json")


def test_json_has_all_of_it(sample, capsys):
    main_dir, _, _ = sample()
    told = json.loads(shown(capsys, main_dir, "--json", "--events", "1"))
    assert (told["alive"], told["source"], told["queue"]) == (False, "journal", "A_QUEUE")
    assert [(job["job_id"], job["state"], job["outcome"]) for job in told["jobs"]] == [(7, "running", "")]
    assert [(job["job_id"], job["outcome"]) for job in told["past_jobs"]] == [(6, "finished")]
    assert [event["text"] for event in told["trail"]] == ["third line"]
    assert (told["waiting_updates"], told["waiting_finals"]) == (1, 1)


def test_watching_a_pilot_that_has_ended_shows_it_once(sample, capsys):
    main_dir, _, _ = sample()
    assert shown(capsys, main_dir, "--watch", "--plain").count("directory") == 1


def test_without_a_journal_it_says_what_to_do(tmp_path, capsys):
    assert status.main([str(tmp_path)]) == 1
    assert "name a pilot's main directory" in capsys.readouterr().err


def test_processes_of_a_living_pilot_are_listed(sample):
    main_dir, _, _ = sample(guardian_pid=os.getpid())
    snapshot = take_snapshot(main_dir, 5, 0.0)
    assert snapshot.alive
    assert snapshot.processes[0].role == "guardian"
    assert snapshot.processes[0].pid == os.getpid()
    assert snapshot.processes[0].rss_bytes > 1 << 20


@pytest.fixture
def published(tmp_path):
    """A bulletin as a running supervisor publishes it: to whoever comes, also while others listen."""
    run_dir = tmp_path / "run"
    run_dir.mkdir(mode=0o700)
    context = zmq.Context()
    bulletin = Bulletin(context, run_dir)
    pilot = Pilot(settings=Settings(queue="LIVE"), main_dir=str(tmp_path))
    stop_read, stop_write = os.pipe()

    def serve() -> None:
        poller = zmq.Poller()
        poller.register(bulletin.socket, zmq.POLLIN)
        poller.register(stop_read, zmq.POLLIN)
        while stop_read not in dict(poller.poll(10_000)):
            if bulletin.greet():
                bulletin.publish(pilot, {"runner": 4711}, now())

    thread = threading.Thread(target=serve)
    thread.start()
    yield run_dir
    os.write(stop_write, b".")
    thread.join()
    os.close(stop_read)
    os.close(stop_write)
    bulletin.close()
    context.term()


def test_a_running_pilot_is_heard_by_everybody_who_listens(sample, published):
    from people.bulletin_reader import Listener  # noqa: PLC0415

    main_dir, _, _ = sample(guardian_pid=os.getpid())
    first = Listener(published)
    assert first.wait(5.0)
    second = take_snapshot(main_dir, 5, 5.0)
    first.close()
    assert (second.source, second.queue) == ("bulletin", "LIVE")
    assert {worker.role: worker.pid for worker in second.workers}["runner"] == 4711
