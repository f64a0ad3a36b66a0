"""The credential calls against the embedded server, in both dialects (panda-protocol 1.8); nothing of them is shown."""

import time

import pytest
from reporter_rig import settings_for

from sandbox.client import Sandbox
from workers.reporter.calls_credentials import (
    KeyPair,
    get_access_token,
    get_key_pair,
    get_proxy,
    get_token_key,
    get_user_secrets,
)
from workers.reporter.carrier import Carrier
from workers.reporter.exchange import Answer, Failure

DIALECTS = pytest.mark.parametrize("dialect", ["v1", "legacy"])


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    options = ("--dialects", "both", "--proxy-file", str(folder / "proxy"))
    with Sandbox(folder / "storage", *options) as running:
        running.proxy = folder / "proxy"
        yield running


@pytest.fixture
def ask(server, tmp_path):
    """Carry a call to the server, which would refuse an argument it does not know, and read its answer."""
    settings = settings_for(server.url, tmp_path)
    carrier = Carrier(settings, {})

    def asking(make, *arguments, **more):
        call = make(settings, *arguments, **more)
        reply = carrier.perform(call.request, time.monotonic() + 10)
        assert isinstance(reply, Answer), reply
        return call.read(reply)

    yield asking
    carrier.close()


@DIALECTS
def test_the_key_pair_of_an_object_store(ask, dialect):
    pair = ask(get_key_pair, "sandbox.pub", "sandbox.priv", dialect=dialect)
    assert pair == KeyPair(public="sandbox-public", private="sandbox-private")
    assert "sandbox-p" not in repr(pair)


@DIALECTS
@pytest.mark.parametrize("names", [("sandbox.pub", "other"), ("", ""), ("a+b&c", "é")])
def test_a_key_that_the_server_does_not_know(ask, dialect, names):
    failure = ask(get_key_pair, *names, dialect=dialect)
    assert isinstance(failure, Failure)
    assert not failure.retry
    assert ("(StatusCode 80)" if dialect == "legacy" else "is missing on") in failure.text


@DIALECTS
def test_a_token_for_its_key(ask, dialect):
    key = ask(get_token_key, dialect=dialect)
    assert ask(get_access_token, key, dialect=dialect) == "sandbox-token"
    refused = ask(get_access_token, "C4N4RY", dialect=dialect)
    assert (refused.retry, "C4N4RY" in refused.text) == (False, False)


@DIALECTS
def test_a_proxy_of_a_role(ask, server, dialect):
    server.proxy.unlink(missing_ok=True)
    assert isinstance(ask(get_proxy, "atlas", "atlpilo2", dialect=dialect), Failure)
    text = "-----BEGIN X-----\na+b/c==\n-----END X-----\n"
    server.proxy.write_text(text)
    assert ask(get_proxy, "atlas:/atlas/Role=production", dialect=dialect) == text
    call = {"v1": "get_proxy", "legacy": "getProxy"}[dialect]
    assert server.record(call)[-1]["body"] == {"role": "atlas:/atlas/Role=production"}


@pytest.mark.parametrize("keys", [[], ["A"], ["A", "B b"]])
def test_the_secrets_of_the_caller(ask, keys):
    assert ask(get_user_secrets, keys) == {key: f"secret of {key}" for key in keys}
