"""Fifty random kills over twenty jobs in one pilot: none is lost, each has one final update, all finish."""

import os
import random
import signal
import time

import pytest
from pilotrun import SOAK, WORKERS

from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

_JOBS, _KILLS = 20, 50
#: The guardian starts a supervisor again five times in five minutes.
_SUPERVISORS = 4


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(5 if SOAK else 1))
def test_random_kills(pilot, seed):
    seed = int(os.environ.get("BULKHEAD_SEED", seed))
    rng = random.Random(f"random-kills-{seed}")
    print(f"seed {seed}: run again with BULKHEAD_SEED={seed}")
    pilot.sandbox.set_queue(timefloor=60)
    recipe = {"inputs": [2000, 3000], "outputs": [3000], "payload": {"sleep": 0.3}}
    jobs = pilot.sandbox.make_jobs(_JOBS, **recipe)
    pilot.start("-x", "5", "-v", "5", restart_burst=1000, poison_deaths=1000, transfer_attempts=10, stall_limit_s=5)
    pilot.one("reporter")
    kills = []
    supervisors = 0
    while len(kills) < _KILLS and pilot.process.poll() is None:
        moment = time.monotonic() + rng.uniform(0.0, 0.25)
        wait_until(lambda moment=moment: time.monotonic() >= moment, 5, "the moment")
        role = rng.choice([*WORKERS, "mover", *(["supervisor"] if supervisors < _SUPERVISORS else [])])
        pids = pilot.find(role)
        if not pids or _being_handed_out(pilot):
            continue
        supervisors += role == "supervisor"
        kills.append((role, time.monotonic()))
        pilot.signal_all([rng.choice(pids)], signal.SIGKILL)
    assert len(kills) >= _KILLS // 2, f"the jobs were over after {len(kills)} kills\n{pilot.story()}"
    pilot.wait_exit(120)
    on_the_way = [job_id for job_id in jobs if not pilot.updates(job_id)]
    for job_id in set(jobs) - set(on_the_way):
        pilot.assert_final(job_id, "finished", 0)
    for job_id in on_the_way:
        # Nobody but the server knows of a job whose hand-out was cut by a kill at that very moment.
        handed = next(e["mono"] for e in pilot.sandbox.record("acquire_jobs") if str(job_id) in str(e["answer"]))
        assert any(abs(at - handed) < 0.5 for role, at in kills if role in ("reporter", "supervisor")), pilot.story()
    assert len(on_the_way) <= 1, pilot.story()
    pilot.assert_clean()


def _being_handed_out(pilot):
    """Whether a job has left the server and the pilot has said nothing of it yet."""
    return any(job["state"] == "sent" and not job["updates_accepted"] for job in pilot.sandbox.jobs())
