"""How long proxy and token last, and the renewal of a token (panda-protocol 1.8; behaviour 10)."""

import base64
import datetime as dt
import json
import stat
import time
from pathlib import Path

import pytest
import trustme
from reporter_rig import RawServer, Rig, answer, says, settings_for

from ipc.results import IdentityChecked
from ipc.tasks import CheckIdentity
from tests import made_proxies
from workers.reporter import certificates
from workers.reporter.certificates import by_tools, certificate_ends
from workers.reporter.lifetimes import CERTIFICATE, NOTHING, TOKEN, Ends, token_end, verdict

HOUR = 3600.0
START = CheckIdentity(least_s=72 * HOUR - 1200, token_least_s=2400, at_start=True)
RUNNING = CheckIdentity(least_s=2400, token_least_s=2400)


def jwt(left_s, **more):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": round(time.time() + left_s), **more}).encode()).decode()
    return f"eyJhbGciOiJub25lIn0.{claims.rstrip('=')}.c2ln"


def proxy(path, left_s, name="pilot"):
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=left_s)
    start = end - dt.timedelta(days=30)
    made = trustme.CA().issue_cert(f"{name}@example.org", common_name=name, not_before=start, not_after=end)
    path.write_bytes(made.private_key_and_cert_chain_pem.bytes())
    path.chmod(0o600)
    return path


@pytest.mark.parametrize(
    ("ends", "at_start", "code"),
    [
        (Ends(kind=NOTHING), True, 1163),
        (Ends(kind=CERTIFICATE), True, 0),
        (Ends(kind=CERTIFICATE, ends_wall=72 * HOUR), True, 0),
        (Ends(kind=CERTIFICATE, ends_wall=70 * HOUR), True, 1382),
        (Ends(kind=CERTIFICATE, ends_wall=-1), True, 1373),
        (Ends(kind=CERTIFICATE, ends_wall=99 * HOUR, attributes_end_wall=2 * HOUR), True, 1382),
        (Ends(kind=CERTIFICATE, ends_wall=99 * HOUR, attributes_end_wall=-1), True, 1177),
        (Ends(kind=CERTIFICATE, ends_wall=2401), False, 0),
        (Ends(kind=CERTIFICATE, ends_wall=2399), False, 1373),
        (Ends(kind=CERTIFICATE, ends_wall=99 * HOUR, attributes_end_wall=2399), False, 1370),
        (Ends(kind=CERTIFICATE, ends_wall=99 * HOUR, limited=True), False, 1177),
        (Ends(kind=CERTIFICATE, code=1380, note="arcproxy"), True, 1380),
        (Ends(kind=TOKEN), True, 0),
        (Ends(kind=TOKEN, ends_wall=2401), True, 0),
        (Ends(kind=TOKEN, ends_wall=2399), True, 1382),
        (Ends(kind=TOKEN, ends_wall=-5), True, 1163),
        (Ends(kind=TOKEN, ends_wall=2399), False, 1163),
    ],
)
def test_codes_of_a_short_life(ends, at_start, code):
    least_s = 72 * HOUR - 1200 if at_start else 2400
    assert verdict(ends, 0.0, least_s=least_s, token_least_s=2400, at_start=at_start)[0] == code


@pytest.mark.parametrize(
    "token", ["", "a.b", "a.b.c", "a.e30.c", "a.eyJleHAiOiJ4In0.c", "a.eyJleHAiOnRydWV9.c", "..", "é.é.é"]
)
def test_a_token_that_does_not_say_when_it_ends(token):
    assert token_end(token) is None


def test_the_end_of_a_chain_is_that_of_its_shortest_certificate(tmp_path):
    path = proxy(tmp_path / "proxy", 5 * HOUR)
    path.write_bytes(path.read_bytes() + proxy(tmp_path / "other", 2 * HOUR).read_bytes())
    ends = certificate_ends(str(path))
    assert abs(ends.ends_wall - time.time() - 2 * HOUR) < 10
    assert (ends.kind, ends.limited, ends.attributes_end_wall) == (CERTIFICATE, False, None)


def test_voms_attributes_and_limited_proxies_are_seen(tmp_path):
    assert certificate_ends(str(proxy(tmp_path / "limited", HOUR, "limited proxy"))).limited
    raw = b"\x30\x22\x18\x0f20260101000000Z\x18\x0f20260102030405Z"
    assert certificates._attribute_ends(raw) == [1767323045.0]
    assert certificates._attribute_ends(b"nothing") == []


@pytest.mark.parametrize("text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_a_file_that_is_no_proxy_has_a_code(tmp_path, text):
    path = tmp_path / "proxy"
    path.write_text(text)
    ends = certificate_ends(str(path))
    assert verdict(ends, 0.0, least_s=1, token_least_s=1, at_start=True)[0] in (1163, 1177)


def tool(directory, name, script):
    directory.mkdir(exist_ok=True)
    (directory / name).write_text(f"#!/bin/sh\n{script}\n")
    (directory / name).chmod(0o755)
    return str(directory)


@pytest.mark.parametrize(
    ("name", "script", "left_s", "code"),
    [
        ("arcproxy", "echo 7200; echo 3600", 7200, 0),
        ("arcproxy", "echo 'arcproxy: no such file' >&2; exit 1", None, 1380),
        ("arcproxy", "echo 'arcproxy: error while loading shared libraries: x' >&2; exit 127", None, 0),
        ("arcproxy", "echo 'Unable to verify signature! Server certificate possibly not installed'; exit 1", None, 0),
        ("arcproxy", "exit 3", None, 1177),
        ("voms-proxy-info", "[ $3 = -timeleft ] && echo 7200 || exit 1", 7200, 0),
    ],
)
def test_grid_tools_stand_in_for_the_library(tmp_path, monkeypatch, name, script, left_s, code):
    monkeypatch.setenv("PATH", tool(tmp_path / "bin", name, script))
    ends = by_tools(str(tmp_path / "proxy"), [])
    assert ends.code == code
    assert (ends.ends_wall is None) == (left_s is None)
    if left_s is not None:
        assert abs(ends.ends_wall - time.time() - left_s) < 30
    else:
        assert ends.note


def test_openssl_stands_in_for_the_library(tmp_path, monkeypatch):
    path = proxy(tmp_path / "proxy", 5 * HOUR, "limited proxy")
    monkeypatch.setattr(certificates, "_by_library", _absent)
    monkeypatch.setattr(certificates.shutil, "which", lambda name: f"/usr/bin/{name}" if name == "openssl" else None)
    ends = certificate_ends(str(path))
    assert abs(ends.ends_wall - time.time() - 5 * HOUR) < 10
    assert ends.limited
    assert "VOMS" in ends.note


def test_it_is_said_when_nothing_can_tell(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "cannot be checked" in by_tools("x", []).note


def _absent(_blocks):
    raise ImportError


# ---------------------------------------------------------------- through the duty
@pytest.fixture
def place(tmp_path):
    (tmp_path / "token").write_text(jwt(4 * HOUR) + "\n")
    (tmp_path / "key").write_text("key\n")
    return tmp_path


def ask(settings, environ, task):
    rig = Rig(settings, environ)
    try:
        return rig.ask("identity/1/1", task)
    finally:
        rig.stop()


def environ_of(place, **more):
    return {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "a:b", "HOME": str(place), **more}


RENEW = CheckIdentity(least_s=2400, token_least_s=2400, renew=True, may_renew=True)


def granted(token):
    return answer({"success": True, "message": "", "data": {"user_proxy": token}})


def test_no_identity_at_all_is_1163(tmp_path, monkeypatch):
    monkeypatch.setattr("workers.reporter.identity.usual_place", lambda: str(tmp_path / "none"))
    result = ask(settings_for("https://h", tmp_path), {}, START)
    assert result.code == 1163


def test_the_life_of_a_proxy_file(tmp_path):
    path = proxy(tmp_path / "proxy", 10 * HOUR)
    environ = {"X509_USER_PROXY": str(path)}
    settings = settings_for("https://h", tmp_path)
    assert ask(settings, environ, START).code == 1382
    assert ask(settings, environ, RUNNING) == IdentityChecked()
    proxy(path, 100)
    assert ask(settings, environ, RUNNING).code == 1373


def test_a_token_is_renewed_in_its_place(place):
    new = jwt(9 * HOUR)
    old_header = (place / "token").read_text().strip()
    with RawServer(says(granted(new))) as server:
        result = ask(settings_for(server.url, place), environ_of(place, PANDA_AUTH_TOKEN_KEY="key"), RENEW)
        (request,) = server.requests
    assert (result.code, result.renewed) == (0, True)
    assert request.startswith(b"GET /api/v1/creds/get_access_token?client_name=pilot_server&token_key=key ")
    assert f"Authorization: Bearer {old_header}".encode() in request
    assert (place / "token").read_text() == new
    assert stat.S_IMODE((place / "token").stat().st_mode) == 0o600
    assert not list(place.glob(".*part"))


def test_a_token_that_ends_soon_is_renewed_before_its_time(place):
    (place / "token").write_text(jwt(100))
    task = CheckIdentity(least_s=2400, token_least_s=2400, may_renew=True)
    with RawServer(says(granted(jwt(9 * HOUR)))) as server:
        result = ask(settings_for(server.url, place), environ_of(place, PANDA_AUTH_TOKEN_KEY="key"), task)
    assert (result.code, result.renewed) == (0, True)


@pytest.mark.parametrize(
    "reply",
    [
        answer("no", "500 Broken"),
        answer("ERROR : forbidden", "403 Forbidden"),
        answer("{"),
        answer({"success": False, "message": "no", "data": None}),
        answer({"success": True, "data": {"user_proxy": 7}}),
        answer({"success": True, "data": {"user_proxy": "two words"}}),
        answer({"success": True, "data": {"user_proxy": jwt(-5)}}),
        answer({"success": True, "data": ["x"]}),
        b"garbage",
    ],
)
def test_a_renewal_that_fails_changes_nothing(place, reply):
    before = (place / "token").read_text()
    with RawServer(says(reply)) as server:
        settings = settings_for(server.url, place, http_timeout_s=1.0)
        result = ask(settings, environ_of(place, PANDA_AUTH_TOKEN_KEY="key"), RENEW)
    assert (result.code, result.renewed) == (0, False)
    assert "not renewed" in result.note
    assert (place / "token").read_text() == before


def test_a_short_token_without_renewal_is_told(place):
    (place / "token").write_text(jwt(100))
    settings = settings_for("https://h", place)
    assert ask(settings, environ_of(place), RUNNING).code == 1163
    assert ask(settings, environ_of(place), START).code == 1382


def test_a_place_that_cannot_be_written_and_the_renewed_token_counts_all_the_same(place, monkeypatch):
    """The old file is a read-only secret of a pod; the renewed token lies in the pilot's own place and is used."""
    real = Path(place / "token")
    new = jwt(9 * HOUR)

    def only_own(path, text):
        if Path(path) == real.resolve():
            raise PermissionError(path)
        _write(path, text)

    from workers.reporter import identity_check  # noqa: PLC0415

    _write = identity_check.write_secret
    monkeypatch.setattr(identity_check, "write_secret", only_own)
    work = place / "work"
    work.mkdir()
    with RawServer(says(granted(new))) as server:
        settings = settings_for(server.url, place, workdir=str(work))
        environ = environ_of(place, PANDA_AUTH_TOKEN_KEY="key")
        assert ask(settings, environ, RENEW).renewed
        assert ask(settings, environ, RENEW).renewed
        assert f"Bearer {new}".encode() in server.requests[1]
    assert stat.S_IMODE((work / ".token.renewed").stat().st_mode) == 0o600
    real.write_text("newer.from.outside")
    result = ask(settings_for("http://h", place, workdir=str(work)), environ, RUNNING)
    assert result.note.startswith("the token does not")


# ---------------------------------------------------------------- the pilot's own proxy, whose attributes end soon
NEW_PROXY = CheckIdentity(least_s=2400, token_least_s=2400, proxy_role="atlas:/atlas/Role=production")


@pytest.fixture
def short(tmp_path):
    """A place with a proxy whose VOMS attributes end in ten minutes."""
    (tmp_path / "proxy").write_text(made_proxies.proxy(90 * HOUR, 600))
    return tmp_path


def check_proxy(place, task, *replies, **more):
    """Return the outcome and the requests; the proxy is that of X509_USER_PROXY."""
    with RawServer(says(*replies)) as server:
        result = ask(settings_for(server.url, place, **more), {"X509_USER_PROXY": str(place / "proxy")}, task)
        return result, [request.split(b" HTTP")[0] for request in server.requests]


def test_1370_a_proxy_whose_attributes_end_soon_is_replaced_by_the_servers(short):
    new = made_proxies.proxy(90 * HOUR, 80 * HOUR)
    result, requests = check_proxy(short, NEW_PROXY, granted(new))
    assert (result.code, result.renewed) == (0, True)
    assert result.note.startswith("1370 the life of the VOMS attributes ends in")
    assert requests == [b"GET /api/v1/creds/get_proxy?role=atlas%3A%2Fatlas%2FRole%3Dproduction"]
    assert (short / "proxy").read_text() == new
    assert stat.S_IMODE((short / "proxy").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "reply",
    [
        answer("no", "500 Broken"),
        granted("no proxy"),
        granted(made_proxies.proxy(9, 9)),
        granted(made_proxies.proxy(90 * HOUR, 9)),
    ],
    ids=["500", "no proxy", "short", "short attributes"],
)
def test_1177_a_proxy_that_the_server_does_not_replace(short, reply):
    result, _ = check_proxy(short, NEW_PROXY, reply)
    assert (result.code, result.renewed) == (1177, False)
    assert "1370" in result.note
    assert "the proxy was not renewed" in result.note


def test_1177_a_proxy_that_nobody_may_replace(short):
    result, requests = check_proxy(short, RUNNING, granted(""))
    assert (result.code, requests) == (1177, [])


def test_a_renewed_proxy_without_a_place_lies_in_the_pilots_home_and_counts(short, monkeypatch):
    from workers.reporter import identity_check  # noqa: PLC0415
    from workers.reporter.identity import read_identity  # noqa: PLC0415

    write, old = identity_check.write_secret, (short / "proxy").resolve()

    def only_own(path, text):
        if Path(path) == old:
            raise PermissionError(path)
        write(path, text)

    monkeypatch.setattr(identity_check, "write_secret", only_own)
    (short / "home").mkdir()
    new = made_proxies.proxy(90 * HOUR, 80 * HOUR)
    result, _ = check_proxy(short, NEW_PROXY, granted(new), home=str(short / "home"))
    assert (result.code, result.renewed) == (0, True)
    beside = short / "home" / ".proxy.renewed"
    assert (beside.read_text(), stat.S_IMODE(beside.stat().st_mode)) == (new, 0o600)
    settings = settings_for("https://h", short, home=str(short / "home"))
    environ = {"X509_USER_PROXY": str(short / "proxy")}
    assert read_identity(settings, environ).certificate == str(beside)
    (short / "proxy").write_text(made_proxies.proxy())  # whoever gave it gives a newer one
    assert read_identity(settings, environ).certificate == str(short / "proxy")
