"""Token or proxy, read anew for each request (panda-protocol 1.2; conformance cases 4 to 6)."""

import pytest

from errors.exceptions import RetryError
from settings.settings import Settings
from workers.reporter.identity import no_identity, read_identity


@pytest.fixture
def settings(tmp_path):
    launch = tmp_path / "launch"
    launch.mkdir()
    return Settings(queue="Q", launch_dir=str(launch))


def token_in(directory, text="abc.def", name="token"):
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(text)
    return directory


def headers(settings, **environ):
    return dict(read_identity(settings, environ).headers)


@pytest.mark.parametrize("text", ["abc.def", "abc.def\n", "  abc.def \r\n\n"])
def test_case_4_token_is_stripped_and_no_certificate_is_shown(settings, tmp_path, text):
    token_in(tmp_path / "launch", text)
    proxy = tmp_path / "proxy"
    proxy.write_text("x")
    environ = {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "atlas:production", "X509_USER_PROXY": str(proxy)}
    identity = read_identity(settings, environ)
    assert dict(identity.headers) == {"Authorization": "Bearer abc.def", "Origin": "atlas:production"}
    assert identity.certificate == ""
    assert "abc.def" not in repr(identity)


def test_names_of_panda_and_their_order(settings, tmp_path):
    token_in(tmp_path / "launch", "second", "p")
    assert headers(settings, PANDA_AUTH_TOKEN="p", PANDA_AUTH_ORIGIN="a.b")["Authorization"] == "Bearer second"
    token_in(tmp_path / "launch", "first", "o")
    both = headers(settings, PANDA_AUTH_TOKEN="p", PANDA_AUTH_ORIGIN="a.b", OIDC_AUTH_TOKEN="o", OIDC_AUTH_ORIGIN="c.d")
    assert both == {"Authorization": "Bearer first", "Origin": "c.d"}


def test_places_of_the_token_in_order(settings, tmp_path):
    environ = {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "a:b", "HOME": str(token_in(tmp_path / "home", "home"))}
    assert headers(settings, **environ)["Authorization"] == "Bearer home"
    for name, variable in (("work", "PILOT_WORK_DIR"), ("source", "PILOT_SOURCE_DIR")):
        environ[variable] = str(token_in(tmp_path / name, name))
        assert headers(settings, **environ)["Authorization"] == f"Bearer {name}"
    token_in(tmp_path / "beside", "beside")
    environ["X509_USER_PROXY"] = str(tmp_path / "beside" / "proxy")
    assert headers(settings, **environ)["Authorization"] == "Bearer beside"
    token_in(tmp_path / "auth", "auth")
    environ["OIDC_AUTH_DIR"] = str(tmp_path / "auth" / "x")
    assert headers(settings, **environ)["Authorization"] == "Bearer auth"
    token_in(tmp_path / "new", "renewed", "t2")
    environ["OIDC_REFRESHED_AUTH_TOKEN"] = str(tmp_path / "new" / "t2")
    assert headers(settings, **environ)["Authorization"] == "Bearer renewed"


def test_case_5_token_that_cannot_be_read(settings):
    with pytest.raises(RetryError) as caught:
        headers(settings, OIDC_AUTH_TOKEN="token", OIDC_AUTH_ORIGIN="a:b")
    assert caught.value.code == 1163


@pytest.mark.parametrize("text", ["", "two words", "a\nHost: evil", "ä", "\x00"])
def test_token_that_would_break_the_header_is_none(settings, tmp_path, text):
    token_in(tmp_path / "launch", text)
    with pytest.raises(RetryError) as caught:
        headers(settings, OIDC_AUTH_TOKEN="token", OIDC_AUTH_ORIGIN="a:b")
    assert "evil" not in str(caught.value)


def test_origin_that_would_break_the_header(settings, tmp_path):
    token_in(tmp_path / "launch")
    with pytest.raises(RetryError, match="origin"):
        headers(settings, OIDC_AUTH_TOKEN="token", OIDC_AUTH_ORIGIN="a\r\nHost: evil")


def test_token_without_origin_is_not_used(settings, tmp_path):
    token_in(tmp_path / "launch")
    assert headers(settings, OIDC_AUTH_TOKEN="token") == {}


def test_case_6_certificate_in_order_and_a_new_stamp_when_it_changes(settings, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("1")
    assert read_identity(settings, {}).certificate == ""
    before = read_identity(settings, {"X509_USER_PROXY": str(first)})
    assert before.certificate == str(first)
    second.write_text("22")
    other = read_identity(settings, {"X509_USER_PROXY": str(second)})
    second.replace(first)
    after = read_identity(settings, {"X509_USER_PROXY": str(first)})
    assert after.certificate == before.certificate
    assert len({before.stamp, other.stamp, after.stamp}) == 3
    assert read_identity(settings, {"X509_USER_PROXY": str(tmp_path / "none")}).certificate == ""


def test_option_wins_over_the_variable(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.write_text("")
    other.write_text("")
    settings = Settings(queue="Q", ca_cert=str(mine), ca_path="/cas")
    identity = read_identity(settings, {"X509_USER_PROXY": str(other), "X509_CERT_DIR": "/others"})
    assert (identity.certificate, identity.authorities) == (str(mine), "/cas")


def test_requests_without_identity_still_say_whom_to_trust(settings, tmp_path):
    token_in(tmp_path / "launch")
    identity = no_identity(settings, {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "a:b", "X509_CERT_DIR": "/cas"})
    assert (identity.headers, identity.certificate, identity.authorities) == ((), "", "/cas")
