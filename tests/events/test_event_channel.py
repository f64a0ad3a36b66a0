"""What a payload's messages mean (event-service 4.4 to 4.6; panda-protocol 7.4)."""

import json

import pytest

from events.channel import Output, RangeError, Ready, Unusable, range_message, read_message

ID = "42000001-6712400001-9001-3-10"


@pytest.mark.parametrize("text", ["Ready for events", "worker 3: Ready for events\n"])
def test_a_worker_wants_a_range(text):
    assert read_message(text) == Ready()


@pytest.mark.parametrize(
    ("text", "paths", "cpu_s", "wall_s"),
    [
        (f"/w/out.root-1,ID:{ID},CPU:10,WALL:12", ("/w/out.root-1",), 10, 12),
        (f"/w/a,/w/b,/w/c,id:{ID},cpu:1.5,Wall:2", ("/w/a", "/w/b", "/w/c"), 1.5, 2),
        (f"worker_1/a,ID:{ID},CPU:1,WALL:1", ("worker_1/a",), 1, 1),
        (f"/w/a:b,ID:{ID}", ("/w/a:b",), 0, 0),
        (f"/w/a,{ID},CPU:3,WALL:4", ("/w/a",), 3, 4),
        (f"/w/a,{ID}", ("/w/a",), 0, 0),
        (f"/w/a,ID:{ID},CPU:much,WALL:-1", ("/w/a",), 0, 0),
        (f"/w/a,ID:{ID},CPU:nan,WALL:inf", ("/w/a",), 0, 0),
        (f"ID:{ID},CPU:1", (), 1, 0),
    ],
    ids=["usual", "several", "relative", "colon", "no-id", "older", "odd-figures", "no-figures", "no-path"],
)
def test_an_output_is_ready(text, paths, cpu_s, wall_s):
    assert read_message(text) == Output(range_id=ID, paths=paths, cpu_s=cpu_s, wall_s=wall_s)


def test_unknown_keys_of_an_output_are_kept():
    message = read_message(f"/w/a,ID:{ID},MEM:7,CPU:1")
    assert isinstance(message, Output)
    assert message.other == ("MEM:7",)


@pytest.mark.parametrize("text", ["/w/out.root-1", "/w/a,ID:", "/w/a,ID:../../x", "/w/a,CPU:1,WALL:2"])
def test_an_output_of_no_range_is_broken(text):
    assert read_message(text) == Unusable(text=text, broken=True)


@pytest.mark.parametrize("name", ["ERR_ATHENAMP_PROCESS", "ERR_TE_RANGE", "ERR_SOMETHING_NEW"])
def test_case_61_a_range_failed(name):
    found = read_message(f"{name} {ID}: Failed to process event range")
    assert found == RangeError(range_id=ID, name=name, text=f"{name}: Failed to process event range")


def test_a_fatal_error_is_one():
    found = read_message(f"ERR_TE_FATAL {ID}: no such file")
    assert isinstance(found, RangeError)
    assert found.fatal


@pytest.mark.parametrize(
    "quoted",
    [
        f"u'LFN': u'x','eventRangeID': u'{ID}', u'startEvent': 1",
        f"[{{'eventRangeID': '{ID}', 'startEvent': 1}}]",
        json.dumps([{"eventRangeID": ID, "LFN": None}]),
        json.dumps(json.dumps([{"eventRangeID": ID}])),
    ],
    ids=["python-2", "python-3", "json", "json-in-json"],
)
def test_a_range_that_the_payload_could_not_read(quoted):
    found = read_message(f'ERR_ATHENAMP_PARSE "{quoted}": Not valid')
    assert found == RangeError(range_id=ID, name="ERR_ATHENAMP_PARSE", text="ERR_ATHENAMP_PARSE: Not valid")


@pytest.mark.parametrize("text", ["ERR", "ERR_ATHENAMP_PROCESS", "ERR_X : y", 'ERR_ATHENAMP_PARSE "{}": no', "ERROR"])
def test_an_error_of_no_range_is_broken(text):
    assert read_message(text) == Unusable(text=text, broken=True)


@pytest.mark.parametrize("text", ["", "hello", "[{}]", "a,b,c", "\x00"])
def test_other_text_says_nothing(text):
    found = read_message(text)
    assert isinstance(found, Unusable)
    assert not found.broken


def test_long_texts_are_cut():
    found = read_message(f"ERR_ATHENAMP_PROCESS {ID}: {'x' * 100_000}")
    assert isinstance(found, RangeError)
    assert len(found.text) == 250


def test_es_3_a_range_goes_out_as_a_list_of_one_object():
    data = {"eventRangeID": ID, "startEvent": 1, "lastEvent": 2, "LFN": "x", "GUID": None, "scope": "s"}
    assert json.loads(range_message(data)) == [data]
