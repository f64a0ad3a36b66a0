"""Which dialect is spoken with which server: decided once, at two requests a call, never back and forth."""

import json
import logging

import pytest
from reporter_rig import ACQUIRE, settings_for, update

from ipc.results import NoJob, UpdateAnswered
from ipc.tasks import SendUpdate
from workers.reporter.answers import unknown_dialect
from workers.reporter.exchange import Answer, Failure, HttpRequest, Lost
from workers.reporter.server_either import ServerEither
from workers.reporter.server_legacy import ServerLegacy

V1_GONE = Answer(status=403, body=b"ERROR : method acquire_jobs is forbidden")
LEGACY_GONE = Answer(status=403, body=b"ERROR : method getJob is forbidden")
NOT_FOUND = Answer(status=404, body=b"Not Found")
APACHE = Answer(status=403, body=b"<html><h1>Forbidden</h1></html>")
TOKEN = Answer(status=403, body=b"ERROR : Token authentication failed. forbidden")
BANNED = Answer(status=403, body=b"ERROR : x is banned, forbidden")
V1_OK = Answer(body=b'{"success": true, "message": "", "data": {"StatusCode": 0, "command": "NULL"}}')
V1_NO_JOB = Answer(body=b'{"success": false, "message": "No jobs in PanDA", "data": null}')
LEGACY_OK = Answer(body=b'{"StatusCode": 0, "command": "NULL"}')
LEGACY_NO_JOB = Answer(body=b'{"StatusCode": 20}')


@pytest.fixture
def server(tmp_path):
    return ServerEither(settings_for("https://h", tmp_path))


def talk(conversation, *replies):
    """Give replies in order; return the dialects asked and the outcome."""
    asked, step = [], conversation.begin()
    for reply in replies:
        assert isinstance(step, HttpRequest), step
        asked.append("v1" if "/api/v1/" in step.url else "legacy")
        step = conversation.heard(reply)
    assert not isinstance(step, HttpRequest), "one request too many"
    return asked, step


def test_a_v1_server_is_never_asked_in_legacy(server):
    assert talk(server.acquire(ACQUIRE), V1_NO_JOB) == (["v1"], NoJob(reason="No jobs in PanDA"))
    asked, outcome = talk(server.deliver(update()), NOT_FOUND)  # in the middle of a start, say
    assert asked == ["v1"]
    assert outcome.retry


def test_a_call_that_waited_behind_the_one_that_found_it_out_is_asked_in_legacy(server):
    waiting = server.acquire(ACQUIRE)
    talk(server.deliver(update()), V1_GONE, LEGACY_OK)
    assert talk(waiting, LEGACY_NO_JOB)[0] == ["legacy"]


@pytest.mark.parametrize("first", [V1_GONE, NOT_FOUND, APACHE], ids=["method", "404", "apache"])
def test_an_old_server_is_spoken_to_in_legacy_from_then_on(server, caplog, first):
    with caplog.at_level(logging.WARNING):
        asked, outcome = talk(server.acquire(ACQUIRE), first, LEGACY_NO_JOB)
        assert asked == ["v1", "legacy"]
        assert isinstance(outcome, NoJob)
        for _ in range(3):
            assert talk(server.deliver(update()), LEGACY_OK) == (["legacy"], UpdateAnswered(stored=True))
    assert sum("legacy API is spoken" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize("first", [V1_GONE, NOT_FOUND], ids=["method", "404"])
def test_a_call_that_waited_while_the_dialect_was_found_out_speaks_it(server, first):
    """The worker's word goes out first; the job request that waited behind it must not be lost to v1."""
    waiting = server.acquire(ACQUIRE)
    assert talk(server.deliver(update()), first, LEGACY_OK) == (["v1", "legacy"], UpdateAnswered(stored=True))
    asked, outcome = talk(waiting, LEGACY_NO_JOB)
    assert asked == ["legacy"]
    assert isinstance(outcome, NoJob)


@pytest.mark.parametrize("first", [V1_GONE, NOT_FOUND], ids=["method", "404"])
def test_a_call_that_was_under_way_while_the_dialect_was_found_out_is_asked_in_it(server, first):
    """Calls aside are made beside those of jobs: both may have begun in v1."""
    under_way = server.acquire(ACQUIRE)
    assert "/api/v1/" in under_way.begin().url
    assert talk(server.deliver(update()), first, LEGACY_OK)[0] == ["v1", "legacy"]
    assert "/server/panda/" in under_way.heard(first).url
    assert isinstance(under_way.heard(LEGACY_NO_JOB), NoJob)


@pytest.mark.parametrize("refusal", [TOKEN, BANNED], ids=["token", "banned"])
def test_a_person_who_is_refused_is_no_reason(server, refusal):
    asked, outcome = talk(server.acquire(ACQUIRE), refusal)
    assert asked == ["v1"]
    assert not outcome.retry
    assert not unknown_dialect(refusal)


def test_a_server_of_release_1_0_that_refuses_a_v1_method_stays_v1(server):
    asked, outcome = talk(server.acquire(ACQUIRE), V1_GONE, LEGACY_GONE)
    assert asked == ["v1", "legacy"]
    assert "acquire_jobs" in outcome.text
    assert talk(server.acquire(ACQUIRE), V1_GONE)[0] == ["v1"]  # settled


def test_a_server_that_starts_answers_404_to_both_and_nothing_is_decided(server):
    asked, outcome = talk(server.acquire(ACQUIRE), NOT_FOUND, NOT_FOUND)
    assert asked == ["v1", "legacy"]
    assert outcome.retry
    assert talk(server.acquire(ACQUIRE), V1_NO_JOB)[0] == ["v1"]
    assert talk(server.acquire(ACQUIRE), NOT_FOUND)[0] == ["v1"]


@pytest.mark.parametrize("reply", [Lost(text="gone"), Answer(status=503), Answer(body=b"<html>")])
def test_no_answer_decides_nothing(server, reply):
    asked, outcome = talk(server.deliver(update()), NOT_FOUND, reply)
    assert asked == ["v1", "legacy"]
    assert outcome.retry
    assert talk(server.deliver(update()), V1_OK)[0] == ["v1"]


def test_an_old_server_that_is_replaced_by_a_new_one_is_followed_once(server):
    talk(server.acquire(ACQUIRE), NOT_FOUND, LEGACY_NO_JOB)
    asked, outcome = talk(server.deliver(update()), LEGACY_GONE, V1_OK)
    assert asked == ["legacy", "v1"]
    assert outcome == UpdateAnswered(stored=True)
    assert talk(server.deliver(update()), NOT_FOUND)[0] == ["v1"]


def test_what_legacy_does_not_have_is_asked_in_v1_only(server):
    talk(server.acquire(ACQUIRE), NOT_FOUND, LEGACY_NO_JOB)
    task = SendUpdate(sequence=1, call="update_worker_node", body=json.dumps({"site": "s"}))
    asked, outcome = talk(server.deliver(task), NOT_FOUND)
    assert asked == ["v1"]
    assert isinstance(outcome, Failure)


def test_who_is_told_to_speak_legacy_to_a_new_server_learns_what_to_do(tmp_path):
    asked, outcome = talk(ServerLegacy(settings_for("https://h", tmp_path)).acquire(ACQUIRE), LEGACY_GONE)
    assert asked == ["legacy"]
    assert "--server-api" in outcome.text
    assert not outcome.retry


@pytest.mark.parametrize("dialect", ["v1", "legacy"])
def test_a_server_whose_name_is_not_known_is_tried_again(rig_for, dialect):
    rig = rig_for("https://no-such-host.invalid", server_api=dialect)
    for lease, task in (("a/1/1", ACQUIRE), ("u/1/1", update())):
        code, text, retry = rig.ask(lease, task)
        assert (code, retry) == (1318, True)
        assert "no-such-host" in text
