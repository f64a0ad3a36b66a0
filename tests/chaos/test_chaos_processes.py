"""Pre-, co- and post-processes and the loop of hyper-parameter jobs in real pilots (protocol 2.5, cases 31, 32)."""

import json
import signal
from pathlib import Path

import pytest
from pilotrun import command_line, report_of

from tests.waiting import wait_until

pytestmark = pytest.mark.chaos

WHOLE = ["pre 1", "payload 1", "post 1", "pre 2", "payload 2", "post 2", "pre 3"]


CO = "-n co -w"
JOB_ID = 6_800_000_001
OUTPUT = f"output.{JOB_ID}._000001.dat"


def make_job(pilot, *, gates="", pre="-e 0,0,160", payload="", post="", co="", **fields) -> int:
    """Queue a job with the key set of the specification's example for hyper-parameter jobs."""
    url = f"{pilot.sandbox.url}/transforms/step.sh"
    common = f"-m {pilot.home}/notes" + (f" -g {gates}" if gates else "")

    def step(name: str, options: str) -> dict[str, str]:
        return {"command": url, "args": f"-n {name} {common} {options}"}

    members = {
        "jobPars": step("payload", payload)["args"],
        "preprocess": step("pre", pre),
        "postprocess": step("post", post),
        "containerOptions": {"containerExec": "__run_main_exec.sh", "containerImage": "docker://example/image:1"},
        "isHPO": "True",
        "eventService": "True",
        "loopingCheck": False,
        **({"coprocess": {"command": url, "args": co}} if co else {}),
        **fields,
    }
    return pilot.sandbox.make_jobs(1, first_id=JOB_ID, transform="step.sh", outputs=[100], fields=members)[0]


def notes(pilot) -> list[str]:
    path = pilot.home / "notes"
    return path.read_text().splitlines() if path.exists() else []


def test_case_31_payload_runs_twice_and_no_output_is_missed(pilot):
    job_id = make_job(pilot, co=CO)
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "finished", 0, rejected=0)
    assert notes(pilot) == WHOLE
    assert set(report_of(job)) == {job["definition"]["logFile"]}
    pilot.assert_clean()


def test_case_31_an_output_that_is_there_is_brought(pilot):
    job_id = make_job(pilot, payload=OUTPUT, eventService=None)
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "finished", 0)
    assert set(report_of(job)) == {OUTPUT, job["definition"]["logFile"]}
    pilot.assert_clean()


def test_case_32_a_pre_process_that_exits_1(pilot):
    job_id = make_job(pilot, pre="-e 1")
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed", 1356)
    assert "preprocess 1: exit code 1" in job["final"]["pilot_error_diag"]
    assert notes(pilot) == ["pre 1"]
    assert set(report_of(job)) == {job["definition"]["logFile"]}
    pilot.assert_clean()


def test_a_post_process_that_fails(pilot):
    job_id = make_job(pilot, post="-e 0,7")
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed", 1357)
    assert notes(pilot) == WHOLE[:6]


def test_outside_a_loop_each_process_runs_once_and_a_missing_output_is_an_error(pilot):
    job_id = make_job(pilot, isHPO=None, eventService=None, co=CO)
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed")
    assert notes(pilot) == ["pre 1", "payload 1", "post 1"]


def test_a_horovod_job_has_no_payload_of_its_own(pilot):
    job_id = make_job(pilot)
    pilot.start(environment={"HARVESTER_HOROVOD": "1"})
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert notes(pilot) == [note for note in WHOLE if not note.startswith("payload")]
    pilot.assert_clean()


def test_a_program_that_is_not_below_an_allowed_url(pilot):
    job_id = make_job(pilot, postprocess={"command": "http://127.0.0.1:9/other/post.sh", "args": ""})
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed", 1149)
    assert notes(pilot) == []


# ---------------------------------------------------------------- deaths
PASSES = [(kind, number) for number in (1, 2) for kind in ("pre", "payload", "post")] + [("pre", 3)]
#: The guardian starts a supervisor again five times.
_SUPERVISOR_DIES = (("pre", 1), ("payload", 1), ("post", 1), ("pre", 2), ("pre", 3))
KILLED = {
    "runner": ("runner",),
    "supervisor": ("supervisor",),
    "runner and supervisor": ("runner", "supervisor"),
}


@pytest.mark.parametrize("roles", KILLED.values(), ids=KILLED)
@pytest.mark.parametrize("while_nobody_lives", [False, True], ids=["before", "meanwhile"])
def test_deaths_in_each_step_run_nothing_twice_and_lose_nothing(pilot, roles, while_nobody_lives):
    gates = pilot.home / "gates"
    gates.mkdir()
    job_id = make_job(pilot, gates=str(gates), co=CO)
    pilot.start(restart_burst=50)
    for kind, number in PASSES:
        wait_until((gates / f"{kind}.{number}.at").exists, 15, f"{kind} {number} never began\n{pilot.story()}")
        if "supervisor" in roles and (kind, number) not in _SUPERVISOR_DIES:
            (gates / f"{kind}.{number}.go").touch()
        elif while_nobody_lives:
            pilot.signal_all([pilot.one(role) for role in roles], signal.SIGKILL)
            (gates / f"{kind}.{number}.go").touch()
        else:
            old = {role: pilot.kill(role) for role in roles}
            for role, pid in old.items():
                pilot.wait_replaced(role, pid)
            (gates / f"{kind}.{number}.go").touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert notes(pilot) == WHOLE
    pilot.assert_clean()


def held_in(pilot, kind: str, number: int, **start) -> tuple[int, Path]:
    """Start a pilot and return its job and the gates when one of its steps waits at its own."""
    gates = pilot.home / "gates"
    gates.mkdir()
    job_id = make_job(pilot, gates=str(gates), co=CO)
    pilot.start(**start)
    for passed in PASSES:
        wait_until((gates / "{}.{}.at".format(*passed)).exists, 15, f"{passed} never began\n{pilot.story()}")
        if passed == (kind, number):
            break
        (gates / "{}.{}.go".format(*passed)).touch()
    return job_id, gates


@pytest.mark.parametrize(("kind", "number"), [("pre", 2), ("payload", 1), ("post", 1)])
def test_when_everything_dies_a_later_pilot_reports_the_job_and_runs_nothing_again(pilot, kind, number):
    job_id, _ = held_in(pilot, kind, number)
    before = notes(pilot)
    pilot.kill_all()
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    job = pilot.assert_final(job_id, "failed", 1401)
    assert set(report_of(job)) == {job["definition"]["logFile"]}
    assert notes(pilot) == before
    pilot.assert_clean()


@pytest.mark.parametrize(("kind", "number"), [("pre", 1), ("payload", 1), ("post", 2)])
def test_a_step_that_ends_while_no_pilot_lives_is_gone_on_from_by_a_later_one(pilot, kind, number):
    job_id, gates = held_in(pilot, kind, number, orphan_grace_s=20)
    kept = {*pilot.find("shim"), *pilot.find("payload")}
    pilots = [
        row.pid for row in pilot.family() if command_line(row.pid).startswith("bulkhead: ") and row.pid not in kept
    ]
    pilot.signal_all(pilots, signal.SIGSTOP)
    pilot.signal_all(pilots, signal.SIGKILL)
    assert pilot.wait_exit() == -signal.SIGKILL
    (gates / f"{kind}.{number}.go").touch()
    for passed in PASSES:
        (gates / "{}.{}.go".format(*passed)).touch()
    wait_until(lambda: len(pilot.find("shim")) <= (kind == "payload"), 10, "the step's end")
    pilot.start()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert notes(pilot) == WHOLE
    pilot.assert_clean()


def test_a_runner_that_is_stopped_in_a_step_is_replaced(pilot):
    job_id, gates = held_in(pilot, "pre", 2)
    old = pilot.kill("runner", signal.SIGSTOP)
    pilot.wait_replaced("runner", old)
    for passed in PASSES:
        (gates / "{}.{}.go".format(*passed)).touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert notes(pilot) == WHOLE
    pilot.assert_clean()


@pytest.mark.parametrize(("kind", "number"), [("pre", 2), ("post", 1)])
def test_the_kill_file_ends_the_job_well_in_every_step(pilot, kind, number):
    job_id, _ = held_in(pilot, kind, number)
    before = notes(pilot)
    (main,) = pilot.main_dirs()
    (main / "pilot_kill_payload").touch()
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert notes(pilot) == before
    pilot.assert_clean()


@pytest.mark.parametrize(("kind", "number"), [("pre", 1), ("payload", 2), ("post", 1), ("pre", 2)])
def test_a_signal_in_a_step_ends_the_job_with_its_code(pilot, kind, number):
    job_id, _ = held_in(pilot, kind, number)
    before = notes(pilot)
    assert pilot.process is not None
    pilot.process.send_signal(signal.SIGTERM)
    assert pilot.wait_exit() == 143, pilot.story()
    pilot.assert_final(job_id, "failed", 1201)
    assert notes(pilot) == before
    pilot.assert_clean()


def test_a_silent_pre_process_is_a_looping_job(pilot):
    job_id = make_job(pilot, pre="-w", loopingCheck=True)
    pilot.start(looping_limit_s=2, sample_s=0.3)
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "failed", 1150)
    pilot.assert_clean()


def test_secrets_are_there_for_all_steps_and_in_no_log(pilot):
    job_id = make_job(pilot, pre="-e 0,160", secrets=json.dumps({"token": "very-secret-word"}))
    pilot.start("--cleanup", "no")
    assert pilot.wait_exit() == 0, pilot.story()
    pilot.assert_final(job_id, "finished", 0)
    assert [str(path) for main in pilot.main_dirs() for path in Path(main).rglob("panda_secrets.json")] == []
    assert "very-secret-word" not in pilot.log()
