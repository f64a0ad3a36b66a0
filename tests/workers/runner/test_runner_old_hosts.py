"""Shims on hosts that lack something: pidfds, hard links, bash."""

import importlib.util
import marshal
import os
import subprocess
from pathlib import Path

import pytest

from host.processes import identify
from tests.waiting import wait_until
from tests.workers.runner.rig import end
from workers.runner import launch
from workers.runner.launch import make_order, start_shim
from workers.runner.shim import CLAIM_TAKEN

REAL_SOURCE = (Path(launch.__file__).parent / "shim.py").read_text()

NO_PIDFD = "import os\nif hasattr(os, 'pidfd_open'): del os.pidfd_open\n"
NO_LINK = "import os\ndef link(*_args, **_names): raise PermissionError('no links here')\nos.link = link\n"


@pytest.fixture
def without(monkeypatch):
    """Have shims compiled from their source with something taken away first."""

    def change(prefix, old="", new=""):
        source = prefix + REAL_SOURCE.replace(old, new) if old else prefix + REAL_SOURCE
        code = marshal.dumps(compile(source, "shim.py", "exec", dont_inherit=True))
        monkeypatch.setattr(launch, "_program", lambda: importlib.util.MAGIC_NUMBER + bytes(12) + code)

    return change


def test_the_guardians_end_is_seen_without_pidfds(place, without):
    without(NO_PIDFD)
    guardian = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        place.guardian = identify(guardian.pid)
        place.new_runner()
        place.start("touch ready; exec sleep 60", ready="ready")
    finally:
        end(guardian)
    wait_until(lambda: place.processes() == [], 8, "the end of the payload and its shim")
    assert place.facts().exit.orphaned


def test_the_claim_holds_without_hard_links(place, without):
    without(NO_LINK)
    place.prepare()
    task = place.task("echo x >> runs")
    shims = [start_shim(make_order(task, None, 1.0, 1.0), task) for _ in range(4)]
    codes = sorted(shim.wait(20) for shim, _ in shims)
    for _, news in shims:
        os.close(news)
    assert codes == [0] + [CLAIM_TAKEN] * 3
    assert (place.job_dir / "runs").read_text() == "x\n"
    place.assign("exit 1")
    assert place.wait().exit_code == 0


def test_the_plain_shell_serves_without_bash(place, without):
    without("", '"/bin/bash", "/bin/sh"', '"/no/bash", "/bin/sh"')
    assert place.run('echo "$0"; exit 3').exit_code == 3
    assert place.stdout() == "/bin/sh\n"


def test_no_shell_at_all_is_told(place, without):
    without("", '"/bin/bash", "/bin/sh"', '"/no/bash", "/no/sh"')
    result = place.run("exit 3")
    assert result.error_code == 1310
    assert "/no/sh" in result.error_diag
