"""The supervisor kills itself before and after each commit and each action: every point of a job must recover."""

import pytest
from pilotrun import SOAK

pytestmark = pytest.mark.chaos

#: More than a trivial job has; beyond its last point a job simply finishes.
_COMMITS, _ACTIONS = 24, 48
_STEP = 1 if SOAK else 4
_POINTS = [
    f"{kind}:{number}"
    for kind, last, first in (
        ("commit-before", _COMMITS, 1),
        ("commit-after", _COMMITS, 2),
        ("action-before", _ACTIONS, 3),
        ("action-after", _ACTIONS, 1),
    )
    for number in range(1 if SOAK else first, last, _STEP)
]


@pytest.mark.parametrize("point", _POINTS)
def test_a_job_finishes_whatever_the_point(pilot, point):
    job_id = pilot.sandbox.make_jobs(1, inputs=[2000], outputs=[3000], transform="quick.sh")[0]
    pilot.start("-x", "3", "-v", "3", crash_at=point)
    assert pilot.wait_exit() == 0, pilot.story()
    if int(point.partition(":")[2]) < 12:
        assert "resumed" in pilot.log(), "the supervisor did not crash"
    pilot.assert_clean()
    pilot.assert_final(job_id, "finished", 0)


@pytest.mark.parametrize("point", _POINTS[1 :: 1 if SOAK else 4])
def test_a_job_that_fails_is_reported_whatever_the_point(pilot, point):
    recipe = {"inputs": [2000], "outputs": [3000], "transform": "quick.sh", "payload": {"exit_code": 7}}
    job_id = pilot.sandbox.make_jobs(1, **recipe)[0]
    pilot.start("-x", "3", "-v", "3", crash_at=point)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_clean()
    job = pilot.assert_final(job_id, "failed")
    assert job["final"]["trans_exit_code"] == 7, pilot.story()
