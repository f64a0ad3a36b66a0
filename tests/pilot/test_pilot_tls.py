"""TLS and identity through a real pilot: whom it trusts, what it shows, what it keeps to itself (H055, H056, P114).

Conformance cases 4 to 8 and 11; the life of proxy and token with the exit codes 68 and 80.
"""

import base64
import datetime as dt
import json
import socket
import time
from pathlib import Path

import pytest
import trustme

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(60)]

TOKEN = "c4n4ry-token-0123456789"
HOUR = 3600


class Authority:
    """A certification authority with its file, and files made by it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.file))

    def server(self, *names: str, left_s: float = 10 * HOUR) -> tuple[str, ...]:
        made = self.ca.issue_cert(*(names or ("127.0.0.1",)), **_life(left_s))
        key, chain = self.folder / "server.key", self.folder / "server.pem"
        made.private_key_pem.write_to_path(str(key))
        chain.write_bytes(b"".join(pem.bytes() for pem in made.cert_chain_pems))
        return ("--tls-cert", str(chain), "--tls-key", str(key))

    def proxy(self, name: str, left_s: float = 100 * HOUR) -> Path:
        made = self.ca.issue_cert(f"{name}@example.org", common_name=name, **_life(left_s))
        path = self.folder / f"{name}.proxy"
        path.write_bytes(made.private_key_and_cert_chain_pem.bytes())
        path.chmod(0o600)
        return path


def _life(left_s):
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=left_s)
    return {"not_before": end - dt.timedelta(days=30), "not_after": end}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def checking(command):
    """Let the pilot look at its identity and renew its token, as without -t and -y."""
    return [word for word in command if word not in ("-t", "-y")]


def run_once(sandbox, *options, environment=None, check=False, jobs=1, config=""):
    """Run a pilot to its end; return its exit code, its log and output, and the PandaIDs."""
    job_ids = sandbox.make_jobs(jobs, inputs=[100], outputs=[100], transform="quick.sh") if jobs else []
    with PilotRun(sandbox) as run:
        environ = {"HOME": str(run.home), **(environment or {})}
        if config:
            (run.home / "pilot.cfg").write_text(config)
            environ["HARVESTER_PILOT_CONFIG"] = str(run.home / "pilot.cfg")
        # The queue's description lies in the start directory, so that what fails is the talk with the server.
        (run.home / "queuedata.json").write_text(json.dumps({**QUEUE, "nickname": "SANDBOX"}))
        run.start(*options, "-v", "1", wrap=checking if check else list, environment=environ)
        code = run.wait_exit()
        run.assert_clean()
        return code, run.log() + run.out.read_text(), job_ids


QUEUE = {
    "panda_resource": "SANDBOX",
    "state": "ACTIVE",
    "status": "online",
    "timefloor": 0,
    "copytools": {"cp": {"setup": ""}},
    "acopytools": {"default": ["cp"]},
}


def calls(sandbox, name="acquire_jobs"):
    return sandbox.record(name)


def jwt(left_s):
    claims = base64.urlsafe_b64encode(json.dumps({"exp": round(time.time() + left_s)}).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{claims}.c4n4ry"


def token_environment(folder, text=TOKEN + "\n", **more):
    (folder / "tokens").mkdir(exist_ok=True)
    if text is not None:
        (folder / "tokens" / "token").write_text(text)
    auth = str(folder / "tokens" / "x")
    return {"OIDC_AUTH_TOKEN": "token", "OIDC_AUTH_ORIGIN": "atlas:production", "OIDC_AUTH_DIR": auth, **more}


def test_case_4_token_and_origin_over_tls_and_no_client_certificate(authority, tmp_path):
    proxy = authority.proxy("pilot")
    options = (*authority.server(), "--client-ca", str(authority.file), "--token", TOKEN)
    with Sandbox(tmp_path / "storage", *options) as sandbox:
        environ = token_environment(tmp_path, X509_USER_PROXY=str(proxy))
        (job_id,) = run_jobs(sandbox, authority, environment=environ)
        assert sandbox.job(job_id)["state"] == "finished"
        for entry in [*calls(sandbox), *calls(sandbox, "update_job")]:
            assert entry["headers"]["Authorization"] == f"Bearer {TOKEN}"
            assert entry["headers"]["Origin"] == "atlas:production"
            assert entry["client_cert"] is None


def run_jobs(sandbox, authority, *options, environment=None, check=False):
    """Run one whole job over TLS, with the server's own queue description."""
    (job_id,) = sandbox.make_jobs(1, inputs=[100], outputs=[100], transform="quick.sh")
    with PilotRun(sandbox) as run:
        environ = {"HOME": str(run.home), **(environment or {})}
        environ.setdefault("SSL_CERT_FILE", str(authority.file))
        run.start("--capath", str(authority.file), *options, wrap=checking if check else list, environment=environ)
        assert run.wait_exit() == 0, run.story()
        assert sandbox.job(job_id)["finals_accepted"] == 1, run.story()
        assert TOKEN not in run.log() + run.out.read_text()
        run.assert_clean()
    return [job_id]


def test_case_5_token_file_missing_and_no_request_leaves(authority, tmp_path):
    with Sandbox(tmp_path / "storage", *authority.server(), "--token", TOKEN) as sandbox:
        environ = token_environment(tmp_path, text=None)
        _, log, _ = run_once(sandbox, "--capath", str(authority.file), environment=environ)
        assert calls(sandbox) == []
        assert "no token can be read" in log


def test_case_5_token_file_missing_is_exit_68_when_it_is_checked(authority, tmp_path):
    with Sandbox(tmp_path / "storage", *authority.server(), "--token", TOKEN) as sandbox:
        environ = token_environment(tmp_path, text=None)
        code, log, _ = run_once(sandbox, "--capath", str(authority.file), environment=environ, check=True)
        assert (code, calls(sandbox)) == (68, [])
        assert "1163" in log


def test_case_6_certificate_presented_and_read_again_when_it_changes(authority, tmp_path):
    first, second = authority.proxy("first"), authority.proxy("second")
    options = (*authority.server(), "--client-ca", str(authority.file))
    with Sandbox(tmp_path / "storage", *options) as sandbox, PilotRun(sandbox) as run:
        end = run.home / "end"
        (job_id,) = sandbox.make_jobs(1, payload={"until": str(end)})
        proxy = run.home / "proxy"
        first.rename(proxy)
        environ = {"HOME": str(run.home), "X509_USER_PROXY": str(proxy), "SSL_CERT_FILE": str(authority.file)}
        run.start("--capath", str(authority.file), environment=environ)
        run.wait_call("update_job", job_status="running")
        second.rename(proxy)
        end.touch()
        assert run.wait_exit() == 0, run.story()
        run.assert_final(job_id, "finished", 0)
        names = [entry["client_cert"].rpartition("=")[2] for entry in [*calls(sandbox), *run.updates(job_id)]]
        assert names[0] == "first"
        assert names[-1] == "second"


@pytest.mark.parametrize("how", ["unknown CA", "wrong host", "expired"])
def test_case_7_a_server_that_cannot_be_trusted_gets_nothing(authority, tmp_path, how):
    trusted = authority.file
    options = authority.server()
    if how == "unknown CA":
        other = tmp_path / "other"
        other.mkdir()
        trusted = Authority(other).file
    elif how == "wrong host":
        options = authority.server("panda.example.org")
    else:
        options = authority.server(left_s=-60)
    with Sandbox(tmp_path / "storage", *options, "--token", TOKEN) as sandbox:
        _, log, _ = run_once(sandbox, "--capath", str(trusted), environment=token_environment(tmp_path))
        assert sandbox.record() == []
        assert "CERTIFICATE_VERIFY_FAILED" in log or "certificate" in log.lower()
        assert "requests brought no job" in log


def test_case_8_a_url_with_a_port_wins_and_http_is_http(tmp_path):
    with Sandbox(tmp_path / "storage") as sandbox:
        code, _, job_ids = run_once(sandbox, "--url", sandbox.url, "-p", "1")
        assert code == 0
        assert sandbox.job(job_ids[0])["finals_accepted"] == 1


def test_h056_a_server_that_hangs_in_the_handshake_costs_the_time_limit_only(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent, Sandbox(tmp_path / "storage") as sandbox:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        config = "[Pilot]\nhttp_connect_timeout: 0.5\nhttp_maxtime: 1\n"
        code, log, _ = run_once(sandbox, "--url", url, environment=token_environment(tmp_path), jobs=0, config=config)
        assert time.monotonic() - began < 15
        assert "Traceback" not in log
        assert "requests brought no job" in log
        assert code == 0


def test_case_11_a_refused_token_is_not_sent_again_at_once_and_not_logged(authority, tmp_path):
    with Sandbox(tmp_path / "storage", *authority.server(), "--token", "another") as sandbox:
        environ = token_environment(tmp_path)
        _, log, _ = run_once(sandbox, "--capath", str(authority.file), environment=environ)
        assert len(calls(sandbox)) == 1
        assert "403" in log
        assert TOKEN not in log


@pytest.mark.parametrize(("left_s", "code"), [(100 * HOUR, 0), (70 * HOUR, 80), (-60, 68)])
def test_the_life_of_a_proxy_is_checked_before_the_first_job(authority, tmp_path, left_s, code):
    options = (*authority.server(), "--client-ca", str(authority.file))
    with Sandbox(tmp_path / "storage", *options) as sandbox:
        environ = {"X509_USER_PROXY": str(authority.proxy("pilot", left_s))}
        options = ("--capath", str(authority.file))
        got, log, _ = run_once(sandbox, *options, environment=environ, check=True, jobs=0)
        assert got == code, log
        assert len(calls(sandbox)) == (0 if code else 1)


def test_a_token_that_ends_soon_is_told_before_the_first_job(authority, tmp_path):
    with Sandbox(tmp_path / "storage", *authority.server(), "--token", TOKEN) as sandbox:
        environ = token_environment(tmp_path, jwt(100))
        got, log, _ = run_once(sandbox, "--capath", str(authority.file), environment=environ, check=True, jobs=0)
        assert (got, calls(sandbox)) == (80, []), log
        assert "c4n4ry" not in log


def test_a_proxy_that_gets_too_short_while_the_job_runs_fails_it_in_time_to_be_told(authority, tmp_path):
    options = (*authority.server(), "--client-ca", str(authority.file))
    long, short = authority.proxy("long"), authority.proxy("short", left_s=HOUR / 2)
    with Sandbox(tmp_path / "storage", *options) as sandbox, PilotRun(sandbox) as run:
        (job_id,) = sandbox.make_jobs(1, payload={"until": str(run.payload_end)})
        proxy = run.home / "proxy"
        long.rename(proxy)
        (run.home / "pilot.cfg").write_text("[Pilot]\nproxy_verification_time: 0.5\n")
        environ = {
            "HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"),
            "X509_USER_PROXY": str(proxy),
            "SSL_CERT_FILE": str(authority.file),
        }
        run.start("--capath", str(authority.file), wrap=checking, environment=environ)
        run.wait_call("update_job", job_status="running")
        run.kill("reporter")  # the check is carried out by the next one as well
        short.rename(proxy)
        assert run.wait_exit() == 68, run.story()
        job = run.assert_final(job_id, "failed", 1373)
        assert "the certificate ends in" in job["final"]["pilot_error_diag"]
        run.assert_clean()
