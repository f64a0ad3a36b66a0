"""The renewal of a token in whole pilots, in both dialects (panda-protocol 1.8): the new one is used, none is left."""

import contextlib
import os
import shutil
import stat
import subprocess

import pytest

from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun, as_new

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

OLD, NEW = "old-token", "sandbox-token"


@pytest.fixture(scope="module", params=["v1", "legacy"])
def server(request, tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp(request.param), "--dialects", request.param) as running:
        yield running


@pytest.fixture
def run(server):
    with PilotRun(as_new(server)) as pilot:
        tokens = pilot.home / "tokens"
        tokens.mkdir()
        (tokens / "token").write_text(f"{OLD}\n")
        (tokens / "key").write_text("sandbox-key\n")
        yield pilot


def start(run, *options, key="key"):
    (job_id,) = run.sandbox.make_jobs(1, outputs=[10], payload={"until": str(run.payload_end)})
    run.start(
        *options,
        wrap=lambda words: [word for word in words if word != "-y"],
        environment={
            "HOME": str(run.home),
            "OIDC_AUTH_TOKEN": "token",
            "OIDC_AUTH_ORIGIN": "atlas:production",
            "OIDC_AUTH_DIR": str(run.home / "tokens" / "x"),
            "PANDA_AUTH_TOKEN_KEY": key,
        },
    )
    return job_id


def shown(run, *calls):
    """Return the tokens that were shown with some calls, in order, each once."""
    entries = [entry for entry in run.sandbox.record() if entry["call"] in calls and entry["worked"]]
    words = [entry["headers"]["Authorization"].removeprefix("Bearer ") for entry in entries]
    return list(dict.fromkeys(words))


def finishes(run, job_id):
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0)
    assert NEW not in run.log()


def test_the_renewed_token_takes_the_old_ones_place(run):
    job_id = start(run)
    run.wait_log("starting -> running")
    finishes(run, job_id)
    file = run.home / "tokens" / "token"
    assert file.read_text() == NEW
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert shown(run, "get_access_token") == [OLD]
    assert shown(run, "update_job", "updateJob") == [NEW]
    run.assert_clean()


def test_a_wrong_key_leaves_the_old_token_in_use(run):
    (run.home / "tokens" / "other").write_text("wrong")
    job_id = start(run, key="other")
    run.wait_log("the token was not renewed: the server answers: failed since token key is invalid")
    finishes(run, job_id)
    assert shown(run, "update_job", "updateJob") == [OLD]


@contextlib.contextmanager
def read_only(path):
    """Let a directory be a read-only mount, as a secret of a pod is."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("a read-only mount needs root")
    for options in (["--bind", str(path), str(path)], ["-o", "remount,bind,ro", str(path)]):
        done = subprocess.run(["mount", *options], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"no read-only mount: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.mark.parametrize("role", ["reporter", "supervisor"])
def test_a_renewed_token_without_a_place_is_used_by_the_next_incarnation_and_goes_with_the_pilot(run, role):
    with read_only(run.home / "tokens"):
        _lives_on_beside(run, role)


def _lives_on_beside(run, role):
    job_id = start(run)
    run.wait_log("the token was renewed")
    run.wait_log("starting -> running")
    (main,) = run.main_dirs()
    beside = main / ".token.renewed"
    assert (beside.read_text(), stat.S_IMODE(beside.stat().st_mode)) == (NEW, 0o600)
    run.wait_replaced(role, run.kill(role))
    since = len(run.sandbox.record())
    finishes(run, job_id)
    later = [entry for entry in run.sandbox.record()[since:] if entry["call"] in ("update_job", "updateJob")]
    assert {entry["headers"]["Authorization"] for entry in later} == {f"Bearer {NEW}"}
    assert not beside.exists()
    run.assert_clean()
