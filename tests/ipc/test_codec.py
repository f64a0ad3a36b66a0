"""Messages to bytes and back: every message there is, and everything that is none (pitfall H068)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.codec import MessageError, decode, encode
from ipc.parts import Transfer
from ipc.schema import Assign, Beat, Hello, Message, ToSupervisor, ToWorker
from ipc.tasks import Inspect, Pulse

# NaN is equal to nothing, itself included; no message carries one.
st.register_type_strategy(float, st.floats(allow_nan=False))


@given(st.from_type(Message))
def test_every_message_comes_back_as_it_went(message):
    assert decode(encode(message), Message) == message


def test_text_that_is_no_unicode_survives():
    said = Assign(lease="1.0:x/1/1", task=Inspect(job_dir="/\ud800", control_dir="", words=("tail", "caf\udce9")))
    assert decode(encode(said), ToWorker) == said


WRONG = {
    "no JSON": "{",
    "an object": "{}",
    "a kind without fields": '["Beat"]',
    "a kind that is a number": "[1, {}]",
    "fields that are a list": '["Beat", []]',
    "three things": '["Beat", {"progress": []}, 1]',
    "a task for a message": '["StageIn", {"transfers": []}]',
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_is_no_message_is_an_error(text):
    with pytest.raises(MessageError):
        decode(text, ToSupervisor)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"pid": "1"}, "Hello.pid: expected int, got str"),
        ({"pid": True}, "Hello.pid: expected int, got bool"),
        ({"pid": 1.0}, "Hello.pid: expected int, got float"),
        ({"pid": None}, "Hello.pid: expected int, got NoneType"),
        ({"uid": 0}, "Hello has no field 'uid'"),
    ],
)
def test_the_error_names_the_field(changes, said):
    fields = {"schema": 1, "role": "stager", "incarnation": 1, "pid": 1, **changes}
    with pytest.raises(MessageError, match=said):
        decode(json.dumps(["Hello", fields]), Hello)


def test_the_error_names_the_field_of_a_part():
    frame = json.dumps(["Beat", {"progress": [["Progress", {"lease": 7}]]}])
    with pytest.raises(MessageError, match=r"Beat\.progress: Progress\.lease: expected str, got int"):
        decode(frame, Beat)


def test_a_field_that_is_missing_is_named_and_one_with_a_default_may_be():
    transfer = {"lfn": "a", "kind": "input", "copies": []}
    assert decode(json.dumps(["Transfer", transfer]), Transfer).size_bytes == -1
    del transfer["kind"]
    with pytest.raises(MessageError, match=r"Transfer\.kind is missing"):
        decode(json.dumps(["Transfer", transfer]), Transfer)


def test_a_whole_number_may_stand_for_a_float():
    pulse = decode(json.dumps(["Pulse", {"path": "p", "last_server_update": 3}]), Pulse)
    assert type(pulse.last_server_update) is float
