"""`pilotSecrets` in the answer to an update: carried in whatever form, and shown nowhere (panda-protocol 3.9)."""

import json
from urllib.parse import urlencode

import pytest

from ipc.results import UpdateAnswered
from workers.reporter import dialect_legacy, dialect_v1
from workers.reporter.exchange import Answer

PAIRS = {"logstash_login": "u", "logstash_password": "C4N4RY", "port": "7"}


def v1(secrets):
    data = {"StatusCode": 0, "command": "NULL", "pilotSecrets": secrets}
    return dialect_v1.read_update(Answer(body=json.dumps({"success": True, "message": "", "data": data}).encode()))


def legacy(secrets):
    return dialect_legacy.read_update(Answer(body=json.dumps({"StatusCode": 0, "pilotSecrets": secrets}).encode()))


def pairs(secrets):
    """Read a url-encoded answer, in which an object is a Python literal."""
    body = urlencode({"StatusCode": 0, "command": "NULL", "pilotSecrets": repr(secrets)})
    return dialect_legacy.read_update(Answer(body=body.encode()))


@pytest.mark.parametrize("read", [v1, legacy, pairs])
@pytest.mark.parametrize("secrets", [PAIRS, json.dumps(PAIRS), {**PAIRS, "port": 7}], ids=["object", "text", "number"])
def test_secrets_are_carried_and_not_shown(read, secrets):
    answered = read(secrets)
    assert json.loads(answered.pilot_secrets) == PAIRS
    assert "C4N4RY" not in repr(answered)


@pytest.mark.parametrize("read", [v1, legacy])
@pytest.mark.parametrize(
    "secrets",
    [None, "", "C4N4RY", [], ["C4N4RY"], 7, True, {"a": ["C4N4RY"]}, {"a": None}, {"a": "x" * 70_000}, "[" * 50_000],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_object_of_texts_is_left_out_and_the_update_counts(read, secrets):
    answered = read(secrets)
    assert answered == UpdateAnswered(stored=True)
    assert "C4N4RY" not in repr(answered)
