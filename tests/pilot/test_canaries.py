"""Canary secrets through a real pilot: none is in any file that the run leaves, in a command line, or told the server.

Conformance case 30; pitfalls P108, P118, P119; hostile case H082.
"""

import contextlib
import json
import stat
import tarfile
from pathlib import Path

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun, command_line

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

CANARY = "C4N4RY"
#: What the payload itself wrote out: its own files may hold it, the pilot's words must not.
SPOKEN = "sp0ken-by-the-payload-123"
SCRIPT = (
    "-c 'env; test -s panda_secrets.json && echo secrets are there; "
    f"echo Authorization: Bearer {SPOKEN} >&2; "
    f'echo "{{\\"exitCode\\": 3, \\"note\\": \\"token={SPOKEN}\\"}}" >jobReport.json; '
    "while [ ! -e END ]; do sleep 0.05; done; exit 3'"
)


@pytest.fixture
def sandbox(tmp_path):
    with Sandbox(tmp_path / "storage", "--token", f"{CANARY}-token") as server:
        yield server


def definition(sandbox, end):
    """Return a job with secrets in all the places that it has for them."""
    (job_id,) = sandbox.make_jobs(1, transform="quick.sh", outputs=[10])
    made = sandbox.job(job_id)["definition"]
    sandbox.reset()
    changes = {
        "transformation": "/bin/sh",
        "jobPars": SCRIPT.replace("END", str(end)),
        "secrets": json.dumps({"key": f"{CANARY}-job-secret"}),
        "pilotSecrets": json.dumps({"logstash_password": f"{CANARY}-pilot-secret"}),
    }
    return {**made, **changes}


def environment(home):
    secrets = home / "identity"
    secrets.mkdir(mode=0o700)
    (secrets / "token").write_text(f"{CANARY}-token\n")
    (secrets / "key").write_text(f"{CANARY}-key\n")
    (secrets / "proxy").write_text(f"-----BEGIN RSA PRIVATE KEY-----\n{CANARY}proxy\n-----END RSA PRIVATE KEY-----\n")
    return {
        "OIDC_AUTH_TOKEN": "token",
        "OIDC_AUTH_ORIGIN": "atlas:production",
        "OIDC_AUTH_DIR": str(secrets / "x"),
        "PANDA_AUTH_TOKEN_KEY": "key",
        "X509_USER_PROXY": str(secrets / "proxy"),
        "BEARER_TOKEN": f"{CANARY}-bearer",
        "AWS_SECRET_ACCESS_KEY": f"{CANARY}-aws",
        "MY_PASSWORD": f"{CANARY}-env",
    }


def files_with(text, *roots):
    """Return the files that hold a text, also as members of archives."""
    found = []
    for path in (path for root in roots for path in root.rglob("*")):
        if not path.is_file() or path.is_symlink() or "identity" in path.parts:
            continue
        if text.encode() in path.read_bytes():
            found.append(str(path))
        if tarfile.is_tarfile(path):
            with tarfile.open(path) as archive:
                for member in archive.getmembers():
                    stream = archive.extractfile(member) if member.isfile() else None
                    if stream is not None and text.encode() in stream.read():
                        found.append(f"{path}:{member.name}")
    return found


def told(sandbox):
    """Return what the server heard, without the header and the URL that have to carry a secret."""
    words = []
    for entry in sandbox.record():
        headers = {name: value for name, value in entry["headers"].items() if name != "Authorization"}
        asked = [] if entry["call"] in ("queue_data", "get_access_token") else [entry["path"], entry["body"]]
        words.append(json.dumps([*asked, headers]))
    return "\n".join(words)


def environment_of(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return ""


@pytest.mark.parametrize("cleanup", ["yes", "no"])
def test_case_30_no_canary_is_left_anywhere(sandbox, tmp_path, cleanup):
    with PilotRun(sandbox) as run:
        job = definition(sandbox, tmp_path / "end")
        (job_id,) = sandbox.add_jobs([job])
        # Nobody listens there, so the secrets are kept and never shown.
        sandbox.set_queue(catchall="logging=logstash;http://127.0.0.1:1")
        sandbox.command(job_id, "NULL", pilot_secrets={"logstash_password": f"{CANARY}-of-an-answer"})
        url = f"{sandbox.url}/cache/schedconfig/{{pandaqueue}}.all.json?authz={CANARY}-url"
        options = ("--queuedata-url", url, "--cleanup", cleanup, "-d")
        run.start(
            *options,
            wrap=lambda words: [word for word in words if word not in ("-t", "-y")],
            environment=environment(run.home),
        )
        run.wait_call("update_job", job_status="running")
        run.wait_log("the server gave new secrets")
        _check_while_it_runs(run)
        (tmp_path / "end").touch()
        assert run.wait_exit() == 0, run.story()
        job = run.assert_final(job_id, "failed", 1305)
        assert CANARY not in told(sandbox)
        assert SPOKEN not in told(sandbox)
        assert "***" in job["final"]["pilot_log"]
        assert json.loads(job["final"]["meta_data"]) == {"exitCode": 3, "note": "token=***"}
        assert files_with(CANARY, run.home, sandbox.storage) == []
        # The payload's own words are in its own files; the log has its environment, so it was looked into.
        assert files_with("PANDA_RESOURCE=SANDBOX", run.home, sandbox.storage)
        assert files_with("secrets are there", run.home, sandbox.storage)
        run.assert_clean(keep_main=True)


def _check_while_it_runs(run):
    """Command lines of all and the environment of shim and payload are free; what holds secrets is the user's alone."""
    for row in run.family():
        # The URL of the queue's description was given on the command line, in this test and by whoever does so.
        words = command_line(row.pid).replace(f"authz={CANARY}-url", "")
        assert CANARY not in words
    for pid in [*run.find("payload"), *run.find("shim")]:
        text = environment_of(pid)
        assert text
        assert CANARY not in text
        assert "OIDC_" not in text
        assert "X509_USER_PROXY" not in text
    (main,) = run.main_dirs()
    secret = [*main.glob(".bulkhead/journal.sqlite*"), *main.glob(".bulkhead/acquired-*"), *main.rglob("panda_sec*")]
    assert len(secret) >= 3
    for path in secret:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert CANARY not in run.log()
