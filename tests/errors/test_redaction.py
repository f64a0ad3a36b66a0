"""Nothing that looks like a secret leaves the pilot as text (pitfall P118)."""

import base64
import json
import logging
import sys
import time

import pytest

from errors.redaction import RedactingFormatter, redact, redact_json

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjE3MDAwMDAwMDB9.c2lnbmF0dXJl-_x"
BODY = "\n".join(base64.b64encode(bytes([n] * 48)).decode() for n in range(1, 9))
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n-----END RSA PRIVATE KEY-----"

#: text, what must be gone, what must stay
CASES = [
    (f"Authorization: Bearer {JWT}", JWT[:20], "Authorization: Bearer ***"),
    ("{'Authorization': 'Bearer abc.DEF-123', 'Origin': 'a:b'}", "abc.DEF-123", "'Origin': 'a:b'"),
    ("authorization=Basic dXNlcjpwYXNz", "dXNlcjpwYXNz", "authorization=Basic ***"),
    ("curl -H 'bearer c4n4ry-0123'", "c4n4ry-0123", "curl -H"),
    (f"the token {JWT} expired", JWT[:20], "the token *** expired"),
    ("root://se//file?authz=c4n4ry&x=1", "c4n4ry", "&x=1"),
    ("https://s3/b/o?X-Amz-Credential=AK1&X-Amz-Signature=c4n4ry&y=2", "c4n4ry", "&y=2"),
    ("https://s3/b/o?AWSAccessKeyId=AK1&Signature=c4n4ry%3D&Expires=1", "c4n4ry", "Expires=1"),
    ("https://gs/b?X-Goog-Signature=c4n4ry", "c4n4ry", "https://gs/b"),
    ("X-Amz-Security-Token: c4n4ry", "c4n4ry", "X-Amz-Security-Token: ***"),
    ("https://user:c4n4ry@host/path", "c4n4ry", "https://***@host/path"),
    ('{"user_proxy": "c4n4ry \\" x", "StatusCode": 0}', "c4n4ry", '"StatusCode": 0'),
    ("get_access_token?client_name=p&token_key=c4n4ry", "c4n4ry", "client_name=p"),
    (f"before\n{PEM}\nafter", BODY[:30], "after"),
    (f"before {PEM[:120]}", BODY[:30], "before"),
    (f"{BODY[40:]}\n-----END CERTIFICATE-----\nafter", BODY[70:100], "after"),
]


@pytest.mark.parametrize(("text", "gone", "stays"), CASES)
def test_a_secret_is_hidden_and_the_rest_is_not(text, gone, stays):
    assert gone not in redact(text)
    assert stays in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "job=6700000001 staging_in -> starting (staged_in)",
        "lease=6700000001.1:stage-in/2/100003 is not valid any more; ignored",
        "a basic test of a bearer of news",
        "https://se.example.org:443/atlas/a@b/file.root",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    ],
)
def test_what_is_no_secret_stays(text):
    assert redact(text) == text


def test_hostile_text_does_not_take_long():
    began = time.monotonic()
    for text in ("A" * 200_000, "-----BEGIN A-----" * 5000, "://" * 50_000, "bearer " * 30_000, "x@" * 90_000):
        redact(text)
    redact(("A" * 64 + "\n") * 2000 + "-----END ")
    assert time.monotonic() - began < 5


def test_the_formatter_covers_arguments_and_tracebacks():
    try:
        int(JWT)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "f", 1, "token=%s", ("c4n4ry",), sys.exc_info())
    text = RedactingFormatter("%(message)s").format(record)
    assert "Traceback" in text
    assert "c4n4ry" not in text
    assert JWT[:20] not in text


@pytest.mark.parametrize(
    ("value", "clean"),
    [
        ({"a": 1, "b": [None, True, 2.5, "x"]}, None),
        ({"url": "http://x", "mail": "user@host"}, None),
        ({"token": "canary", "deep": [{"password": "canary"}]}, {"token": "***", "deep": [{"password": "***"}]}),
        ({"log": "Authorization: Bearer canary"}, {"log": "Authorization: Bearer ***"}),
        ({"log": ["https://u:canary@h/x"]}, {"log": ["https://***@h/x"]}),
        ({"-----BEGIN X----- canary": 1}, {"***": 1}),
    ],
)
@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": ")])
def test_a_report_is_still_json_without_its_secrets(value, clean, separators):
    text = json.dumps(value, separators=separators)
    assert redact_json(text) == (text if clean is None else json.dumps(clean))


@pytest.mark.parametrize("text", ["{ token=canary", "[" * 100_000 + " token=canary"])
def test_a_report_that_is_no_json_is_redacted_as_text(text):
    assert "canary" not in redact_json(text)
    assert "***" in redact_json(text)
