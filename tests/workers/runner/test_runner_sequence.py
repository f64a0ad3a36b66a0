"""The order of a job's processes as a table, and the names of their directories."""

import pytest

from ipc.tasks import RunPayload
from jobs.steps import CO, PAYLOAD, POST, PRE, Step, control_dirs, main_dirs, steps_of
from workers.runner.sequence import Course, End, Verdict, course_of, judge_exit, next_step

ALL = Course(preprocess=True, postprocess=True)
HPO = Course(preprocess=True, postprocess=True, repeats=True)
BARE_HPO = Course(preprocess=True, repeats=True)
NO_PAYLOAD = Course(preprocess=True, payload=False, postprocess=True, repeats=True)
WELL, ENOUGH, FAILED = Verdict.WELL, Verdict.ENOUGH, Verdict.FAILED


@pytest.mark.parametrize(
    ("course", "last", "verdict", "expected"),
    [
        (Course(), None, WELL, Step(1, PAYLOAD)),
        (Course(), Step(1, PAYLOAD), WELL, End.COMPLETE),
        (Course(), Step(1, PAYLOAD), FAILED, End.FAILED),
        (ALL, None, WELL, Step(1, PRE)),
        (ALL, Step(1, PRE), WELL, Step(1, PAYLOAD)),
        (ALL, Step(1, PRE), FAILED, End.FAILED),
        (ALL, Step(1, PRE), ENOUGH, End.ENOUGH),
        (ALL, Step(1, PAYLOAD), WELL, Step(1, POST)),
        (ALL, Step(1, PAYLOAD), FAILED, End.FAILED),
        (ALL, Step(1, POST), WELL, End.COMPLETE),
        (ALL, Step(1, POST), FAILED, End.FAILED),
        (HPO, Step(1, POST), WELL, Step(2, PRE)),
        (HPO, Step(2, PRE), WELL, Step(2, PAYLOAD)),
        (HPO, Step(7, PRE), ENOUGH, End.ENOUGH),
        (HPO, Step(7, PAYLOAD), FAILED, End.FAILED),
        (HPO, Step(7, POST), FAILED, End.FAILED),
        (BARE_HPO, Step(3, PAYLOAD), WELL, Step(4, PRE)),
        (Course(postprocess=True), None, WELL, Step(1, PAYLOAD)),
        (Course(postprocess=True), Step(1, PAYLOAD), WELL, Step(1, POST)),
        (NO_PAYLOAD, Step(1, PRE), WELL, Step(1, POST)),
        (NO_PAYLOAD, Step(1, POST), WELL, Step(2, PRE)),
        (Course(payload=False), None, WELL, End.COMPLETE),
    ],
)
def test_what_follows(course, last, verdict, expected):
    assert next_step(course, last, verdict) == expected


@pytest.mark.parametrize(
    ("kind", "exit_code", "verdict"),
    [
        (PRE, 0, WELL),
        (PRE, 1, FAILED),
        (PRE, 159, FAILED),
        (PRE, 160, ENOUGH),
        (PRE, 161, ENOUGH),
        (PRE, 162, ENOUGH),
        (PRE, 163, FAILED),
        (PRE, None, FAILED),
        (POST, 0, WELL),
        (POST, 160, FAILED),
        (POST, None, FAILED),
    ],
)
def test_exit_codes_of_pre_and_post_processes(kind, exit_code, verdict):
    assert judge_exit(kind, exit_code) is verdict


def test_nothing_repeats_without_a_pre_process_that_can_end_it():
    task = RunPayload(job_id=1, job_dir="/j", control_dir="/c", command="x", environment=(), repeats=True)
    assert course_of(task) == Course()


def test_directories_are_in_the_order_of_their_steps(tmp_path):
    steps = [Step(i, kind) for i in (1, 2, 10, 1_000_000) for kind in (PRE, PAYLOAD, CO, POST)]
    for step in reversed(steps):
        (tmp_path / step.directory).mkdir()
    (tmp_path / "step-000001-9-nonsense").mkdir()
    (tmp_path / "usage.json").touch()
    assert list(steps_of(tmp_path)) == steps
    assert control_dirs(tmp_path) == (tmp_path, *(tmp_path / step.directory for step in steps[-4:]))
    for step in (Step(1, PRE), Step(1, CO), Step(2, PAYLOAD)):
        (tmp_path / step.directory / "payload.json").touch()
    assert main_dirs(tmp_path) == (tmp_path / Step(1, PRE).directory, tmp_path / Step(2, PAYLOAD).directory)


def test_a_control_directory_that_is_not_there_has_no_steps(tmp_path):
    assert steps_of(tmp_path / "absent") == ()
