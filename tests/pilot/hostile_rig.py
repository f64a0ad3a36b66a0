"""Ways to start a pilot strangely, and what must hold for its job."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PAYLOAD = Path(__file__).with_name("hostile_payload.py")
#: The pilot's own limits would speak before a small disk does.
NO_FLOOR = {"free_space_bytes": 0, "free_space_running_bytes": 0}


def shell(script):
    """Put a shell that carries out `script` before the command line."""
    return lambda words: ["/bin/sh", "-c", f'{script}; exec "$@"', "sh", *words]


def allowed(*command):
    """Skip the test where this user may not do that."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    done = subprocess.run([*command, "true"], capture_output=True, check=False, timeout=10)
    if done.returncode:
        pytest.skip(f"{' '.join(command)} is not allowed here: {done.stderr.decode(errors='replace').strip()}")
    return list(command)


def bare(environment):
    """Start with these variables and no others."""
    return lambda words: ["/usr/bin/env", "-i", *environment, *words]


def no_rights():
    """The pilot's user is root in these tests often enough; what protects others from it must not be what it may do."""
    if os.geteuid() != 0:
        return []
    return [*allowed("setpriv", "--bounding-set=-all", "--inh-caps=-all"), "--"]


def one_job(run, **recipe):
    (job_id,) = run.sandbox.make_jobs(1, inputs=[1000], outputs=[1000], transform="quick.sh", **recipe)
    return job_id


def finishes(run, job_id):
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    assert "Traceback" not in run.log() + run.out.read_text(errors="replace"), run.story()
    run.assert_clean()


def in_start_directory(words):
    """Start without -a: the pilot lives where it was started."""
    place = words.index("-a")
    return [*words[:place], *words[place + 2 :]]
