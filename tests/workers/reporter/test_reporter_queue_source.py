"""FetchQueue as a conversation, without a network (panda-protocol 8.1)."""

import json

import pytest

from ipc.results import QueueFetched
from ipc.tasks import FetchQueue
from settings.settings import Settings
from workers.reporter.exchange import Answer, Failure, HttpRequest, LocalCall, Lost
from workers.reporter.queue_source import QueueFetch

QUEUE = {
    "nickname": "Q/1",
    "astorages": {"read_lan": ["A", "B"], "pr": ["A"], "odd": "text", "worse": [3]},
    "state": "ACTIVE",
}
STORAGES = {"A": {"id": 1}, "B": {"id": 2}, "C": {"id": 3}}


def fetch(queue_sources=("http://h/{pandaqueue}.json", "http://i/"), storage_sources=("http://s/",), **settings):
    task = FetchQueue(queue="Q/1", queue_sources=queue_sources, storage_sources=storage_sources)
    return QueueFetch(task, Settings(queue="Q/1", **settings))


def said(value, status=200):
    return Answer(status=status, body=value if isinstance(value, bytes) else json.dumps(value).encode())


@pytest.mark.parametrize("document", [QUEUE, {"Q/1": QUEUE}, {"Q/1": QUEUE, "OTHER": {}}])
def test_both_forms_of_the_document(document):
    talk = fetch()
    first = talk.begin()
    assert isinstance(first, HttpRequest)
    assert (first.method, first.url, first.authenticated) == ("GET", "http://h/Q%2F1.json", False)
    assert talk.heard(said(document)).url == "http://s/"
    outcome = talk.heard(said(STORAGES))
    assert isinstance(outcome, QueueFetched)
    assert json.loads(outcome.queue_text) == QUEUE
    assert json.loads(outcome.storage_text) == {"A": {"id": 1}, "B": {"id": 2}}


@pytest.mark.parametrize(
    "queue", [{"nickname": "Q"}, {"nickname": "Q", "astorages": None}, {"nickname": "Q", "astorages": []}]
)
def test_queue_without_storages_needs_no_second_document(queue):
    talk = fetch()
    talk.begin()
    assert talk.heard(said(queue)) == QueueFetched(queue_text=json.dumps(queue), storage_text="{}")


def test_no_storage_source():
    talk = fetch(storage_sources=())
    talk.begin()
    assert talk.heard(said(QUEUE)).storage_text == "{}"


@pytest.mark.parametrize(
    "bad",
    [
        Lost(text="gone"),
        said(b"", 404),
        said(QUEUE, 500),
        said(b"<html>"),
        said([]),
        said({"error": "no such queue"}),
        said({}),
        said({"OTHER": {"nickname": "OTHER"}}),
        said(b'{"a":' * 200 + b"1" + b"}" * 200),
    ],
)
def test_next_source_is_asked_after_a_bad_one(bad):
    talk = fetch()
    talk.begin()
    assert talk.heard(bad).url == "http://i/"
    assert talk.heard(said(QUEUE)).url == "http://s/"


def test_no_source_answers_1116():
    talk = fetch()
    talk.begin()
    talk.heard(Lost(text="gone"))
    outcome = talk.heard(said(b"", 503))
    assert isinstance(outcome, Failure)
    assert (outcome.code, outcome.retry) == (1116, True)
    assert "gone" in outcome.text
    assert "HTTP 503" in outcome.text


def test_only_unusable_documents_1117():
    talk = fetch(queue_sources=("http://h/",))
    talk.begin()
    outcome = talk.heard(said({"error": "no such queue"}))
    assert isinstance(outcome, Failure)
    assert (outcome.code, outcome.retry) == (1117, True)
    assert "no such queue" in outcome.text


def test_no_source_at_all():
    outcome = fetch(queue_sources=()).begin()
    assert isinstance(outcome, Failure)
    assert (outcome.code, outcome.retry) == (1116, False)


def test_storages_that_do_not_name_the_endpoints():
    talk = fetch(queue_sources=("http://h/",), storage_sources=("http://s/", "http://t/"))
    talk.begin()
    talk.heard(said(QUEUE))
    assert talk.heard(said({"C": {}})).url == "http://t/"
    outcome = talk.heard(Lost(text="gone"))
    assert isinstance(outcome, Failure)
    assert outcome.code == 1117
    assert "storages" in outcome.text


def test_paths(tmp_path):
    path = tmp_path / "Q1.json"
    path.write_text(json.dumps(QUEUE))
    talk = QueueFetch(
        FetchQueue(queue="Q1", queue_sources=(str(tmp_path / "{pandaqueue}.json"),), storage_sources=()),
        Settings(queue="Q1"),
    )
    call = talk.begin()
    assert isinstance(call, LocalCall)
    assert talk.heard(Answer(body=call.run())).queue_text == json.dumps(QUEUE)


def test_one_source_has_20_s_or_less():
    assert fetch().limit_s == 20.0
    assert fetch(http_timeout_s=3.0).limit_s == 3.0


def test_secrets_of_a_source_stay_out_of_the_text():
    talk = fetch(queue_sources=("http://user:canary@h/?token=canary",))
    talk.begin()
    assert "canary" not in talk.heard(Lost(text="gone")).text


def information(tmp_path, **fields):
    task = FetchQueue(queue="Q/1", queue_sources=("http://h/",), storage_sources=(), **fields)
    return QueueFetch(task, Settings(queue="Q/1", launch_dir=str(tmp_path)))


def local(talk, step):
    """Answer local calls as the courier does, up to the first request that leaves the node or the outcome."""
    while isinstance(step, LocalCall):
        try:
            reply = Answer(body=step.run())
        except (OSError, ValueError) as error:
            reply = Lost(text=str(error))
        step = talk.heard(reply)
    return step


def test_what_is_needed_of_cvmfs_is_looked_at_first(tmp_path):
    talk = information(tmp_path, needed_paths=(str(tmp_path), "/nonexistent/sw"))
    outcome = local(talk, talk.begin())
    assert isinstance(outcome, Failure)
    assert (outcome.code, outcome.retry) == (1377, False)
    assert "/nonexistent/sw" in outcome.text
    hung = information(tmp_path, needed_paths=(str(tmp_path),))
    hung.begin()
    assert hung.heard(Lost(text="no complete answer within 20 s")).code == 1377


def test_the_full_description_lies_below_and_may_be_absent(tmp_path):
    full = ("http://full/",)
    talk = information(tmp_path, full_sources=full)
    talk.begin()
    assert talk.heard(said({"nickname": "Q/1", "status": "online"})).url == "http://full/"
    fetched = talk.heard(said({"Q/1": {"nickname": "X", "status": "offline", "maxwdir": 5, "unread": 1}}))
    assert json.loads(fetched.queue_text) == {"nickname": "Q/1", "status": "online", "maxwdir": 5}
    for bad in (Lost(text="gone"), said(b"<html>"), said({"OTHER": {}})):
        talk = information(tmp_path, full_sources=full)
        talk.begin()
        talk.heard(said({"nickname": "Q/1"}))
        assert isinstance(talk.heard(bad), QueueFetched)


def test_caches_are_written_and_serve_instead_of_a_download(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    talk = information(tmp_path, cache_dir=str(home), full_sources=("http://full/",))
    local(talk, talk.begin())
    step = local(talk, talk.heard(said({"nickname": "Q/1", "comment": "kept"})))
    local(talk, talk.heard(said({"Q/1": {"maxwdir": 5}, "OTHER": {}})))
    assert step.url == "http://full/"
    assert json.loads((home / "queuedata.json").read_text())["comment"] == "kept"
    assert json.loads((home / "cric_pandaqueues.json").read_text()) == {"Q/1": {"maxwdir": 5}}
    again = information(tmp_path, cache_dir=str(home), full_sources=("http://full/",))
    fetched = local(again, again.begin())
    assert json.loads(fetched.queue_text) == {"nickname": "Q/1", "maxwdir": 5}


def test_a_home_that_cannot_be_written_costs_nothing(tmp_path):
    talk = information(tmp_path, cache_dir=str(tmp_path / "absent"))
    local(talk, talk.begin())
    assert isinstance(talk.heard(said(QUEUE)), QueueFetched)
