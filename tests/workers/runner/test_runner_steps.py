"""Real pre-, co- and post-processes and the loop of a hyper-parameter job, and runners that die in each of them."""

import json
import os
import signal
from dataclasses import replace

import pytest

from errors.codes import ErrorCode
from host.clock import now
from host.processes import identify, is_alive
from ipc.results import PayloadKilled
from jobs.steps import CO, PAYLOAD, POST, PRE, Step, steps_of
from supervision.lastmeans import end_payload
from tests.waiting import wait_until
from workers.runner.control import look

#: Each process writes its name and the iteration.
NOTE = "echo {} $PILOT_EXEC_ITERATION_COUNT >> notes"


def note(what: str, then: str = "") -> str:
    return f"{NOTE.format(what)}{'; ' + then if then else ''}"


PAYLOAD_LINE = note("payload")


def assign(place, lease="run", *, command=PAYLOAD_LINE, **steps):
    place.duty.assign(lease, replace(place.task(command), **steps), now())


def run(place, **steps):
    place.prepare()
    assign(place, **steps)
    return place.wait()


def notes(place) -> list[str]:
    path = place.job_dir / "notes"
    return path.read_text().splitlines() if path.exists() else []


#: A pre-process that says 160 in the iteration given.
def until(iteration: int) -> str:
    return note("pre", f"[ $PILOT_EXEC_ITERATION_COUNT -lt {iteration} ] || exit 160")


def test_case_31_payload_runs_twice_when_the_pre_process_exits_0_0_160(place):
    result = run(place, preprocess=until(3), postprocess=note("post"), repeats=True)
    assert (result.error_code, result.exit_code, result.outputs_waived) == (0, 0, True)
    assert notes(place) == ["pre 1", "payload 1", "post 1", "pre 2", "payload 2", "post 2", "pre 3"]


def test_case_32_a_pre_process_that_fails_is_1356_and_nothing_follows(place):
    result = run(place, preprocess="echo no such point >&2; exit 1", postprocess=note("post"))
    assert (result.error_code, result.outputs_waived) == (ErrorCode.PREPROCESSFAILURE, False)
    assert "exit code 1: no such point" in result.error_diag
    assert notes(place) == []


def test_a_post_process_that_fails_is_1357(place):
    result = run(place, preprocess=note("pre"), postprocess=note("post", "exit 4"))
    assert (result.error_code, notes(place)) == (ErrorCode.POSTPROCESSFAILURE, ["pre 1", "payload 1", "post 1"])


def test_no_post_process_after_a_payload_that_failed(place):
    result = run(place, command=note("payload", "exit 65"), postprocess=note("post"))
    assert (result.exit_code, result.error_code != 0, notes(place)) == (65, True, ["payload 1"])


def test_the_first_pre_process_may_say_that_there_is_nothing(place):
    result = run(place, preprocess=until(1), repeats=True)
    assert (result.error_code, result.outputs_waived, notes(place)) == (0, True, ["pre 1"])


def test_a_job_without_payload_has_its_post_process(place):
    result = run(place, command="", preprocess=note("pre"), postprocess=note("post"))
    assert (result.error_code, notes(place)) == (0, ["pre 1", "post 1"])
    assert len(place.started()) == 1


def test_a_pre_process_killed_by_a_signal_is_1356(place):
    result = run(place, preprocess="kill -9 $$")
    assert result.error_code == ErrorCode.PREPROCESSFAILURE
    assert "SIGKILL" in result.error_diag


def test_the_script_of_the_pre_process_becomes_executable(place):
    run(place, command="./made.sh", preprocess="printf '#!/bin/sh\\necho ran > notes' > made.sh", script="made.sh")
    assert notes(place) == ["ran"]


def test_outputs_of_steps_are_numbered_and_those_of_the_payload_are_appended(place):
    run(place, command="echo out", preprocess=f"{until(3)}; echo said", repeats=True)
    assert (place.job_dir / "preprocess_stdout.txt").read_text() == "said\n"
    assert (place.job_dir / "preprocess_stdout.txt-1").read_text() == "said\n"
    assert place.stdout() == "out\nout\n"


def test_a_link_in_place_of_the_payloads_output_is_not_followed(place):
    (place.root / "target").write_text("mine\n")
    trap = "echo out; rm payload.stdout; ln -s ../target payload.stdout"
    run(place, command=trap, preprocess=until(3), repeats=True)
    assert (place.root / "target").read_text() == "mine\n"


def test_the_time_of_all_processes_counts(place):
    burn = "i=0; while [ $i -lt 60000 ]; do i=$((i+1)); done"
    result = run(place, command="true", preprocess=f"{burn}; {burn}; {burn}; {burn}", postprocess=f"{burn}; {burn}")
    ends = [look(place.control_dir / step.directory).exit for step in steps_of(place.control_dir)]
    assert result.wall_time_s == pytest.approx(sum(end.duration_s for end in ends))
    assert result.cpu_time_s == round(sum(end.cpu_s for end in ends))


# ---------------------------------------------------------------- the co-process
def test_a_co_process_runs_beside_its_payload_and_ends_with_it(place):
    co = "echo $$ > co.pid; touch co; exec sleep 60"
    result = run(place, command="until [ -s co.pid ] && [ -e co ]; do sleep 0.01; done; echo done", coprocess=co)
    assert (result.error_code, place.stdout()) == (0, "done\n")
    assert identify(int((place.job_dir / "co.pid").read_text())) is None
    assert place.processes() == []


def test_a_co_process_that_ignores_term_is_killed(place):
    co = "trap '' TERM; touch co; while :; do sleep 0.05; done"
    run(place, command="until [ -e co ]; do sleep 0.01; done", coprocess=co)
    assert place.processes() == []


def test_a_co_process_that_dies_does_not_matter(place):
    wait = "until [ -s coprocess_stderr.txt ]; do sleep 0.01; done; sleep 0.1"
    result = run(place, command=wait, coprocess="echo dying >&2; exit 9", postprocess=note("post"))
    assert (result.error_code, notes(place)) == (0, ["post 1"])
    assert look(place.control_dir / Step(1, CO).directory).exit.exit_code == 9


def test_a_co_process_without_a_place_does_not_matter(place):
    place.prepare()
    (place.control_dir / Step(1, CO).directory).touch()
    assign(place, command=note("payload", "sleep 0.2"), coprocess=note("co"), postprocess=note("post"))
    assert place.wait().error_code == 0
    assert notes(place) == ["payload 1", "post 1"]


def test_each_iteration_has_a_co_process_of_its_own(place):
    wait = "until [ -e co$PILOT_EXEC_ITERATION_COUNT ]; do sleep 0.01; done"
    co = f"touch co$PILOT_EXEC_ITERATION_COUNT; {note('co', 'exec sleep 60')}"
    run(place, command=f"{wait}; sleep 0.1", preprocess=until(3), coprocess=co, repeats=True)
    assert [line for line in notes(place) if line.startswith("co")] == ["co 1", "co 2"]
    assert place.processes() == []


# ---------------------------------------------------------------- deaths
GATE = "touch at.{0}.$PILOT_EXEC_ITERATION_COUNT; until [ -e go.{0}.$PILOT_EXEC_ITERATION_COUNT ]; do sleep 0.01; done"
WHOLE = ["pre 1", "payload 1", "post 1", "pre 2", "payload 2", "post 2", "pre 3"]


def gated(kind: str) -> str:
    """Each process waits at a gate of its own; the pre-process ends it all in the third iteration."""
    last = "; [ $PILOT_EXEC_ITERATION_COUNT -lt 3 ] || exit 160" if kind == "pre" else ""
    return f"{note(kind)}; {GATE.format(kind)}{last}"


LOOP = {"command": gated("payload"), "preprocess": gated("pre"), "postprocess": gated("post"), "repeats": True}
PASSES = [(kind, iteration) for iteration in (1, 2) for kind in ("pre", "payload", "post")] + [("pre", 3)]


def test_a_new_runner_in_the_middle_of_each_step_runs_nothing_twice(place):
    place.prepare()
    assign(place, **LOOP)
    for kind, iteration in PASSES:
        place.until((place.job_dir / f"at.{kind}.{iteration}").exists, f"{kind} {iteration}")
        place.kill_runner()
        assign(place, f"run {kind} {iteration}", **LOOP)
        (place.job_dir / f"go.{kind}.{iteration}").touch()
    result = place.wait("run pre 3")
    assert (result.error_code, result.outputs_waived, notes(place)) == (0, True, WHOLE)


def test_a_step_that_ended_while_no_runner_lived_is_not_run_again(place):
    place.prepare()
    assign(place, **LOOP)
    for kind, iteration in PASSES:
        place.until((place.job_dir / f"at.{kind}.{iteration}").exists, f"{kind} {iteration}")
        step = steps_of(place.control_dir)[-1]
        shim = look(place.control_dir / step.directory).shim
        place.kill_runner()
        (place.job_dir / f"go.{kind}.{iteration}").touch()
        wait_until(lambda shim=shim: not is_alive(shim), 5, "the shim's end")
        assign(place, f"run {kind} {iteration}", **LOOP)
    assert place.wait("run pre 3").error_code == 0
    assert notes(place) == WHOLE


@pytest.mark.parametrize("turns", range(0, 40, 4))
def test_a_runner_that_dies_between_two_steps_leaves_the_course_right(place, turns):
    place.prepare()
    loop = {"preprocess": until(3), "postprocess": note("post"), "coprocess": "sleep 60", "repeats": True}
    assign(place, **loop)
    for number in range(6):
        for _ in range(turns):
            place.desk.turn(place.duty, 0.004)
        place.kill_runner()
        assign(place, f"run{number}", **loop)
    done = place.desk.results
    place.until(lambda: any(name.startswith("run") for name in done), "a result")
    assert notes(place) == WHOLE
    assert all(result.error_code == 0 for name, result in done.items() if name != "prepare")
    wait_until(lambda: place.processes() == [], 5, "the co-processes' end")


@pytest.mark.parametrize(("kind", "iteration"), PASSES)
def test_a_killed_job_ends_in_the_middle_of_each_step(place, kind, iteration):
    place.prepare()
    assign(place, **LOOP, coprocess="exec sleep 60")
    for passed in PASSES:
        place.until((place.job_dir / "at.{}.{}".format(*passed)).exists, str(passed))
        if passed == (kind, iteration):
            break
        (place.job_dir / "go.{}.{}".format(*passed)).touch()
    before = notes(place)
    place.kill_runner()
    place.kill()
    assert place.wait("kill") == PayloadKilled()
    # A shim on its way to its claim finds the job ended and leaves.
    wait_until(lambda: place.processes() == [], 5, "the end of all shims")
    assert notes(place) == before
    assign(place, "again", **LOOP)
    assert place.wait("again").error_code != 0
    assert notes(place) == before


@pytest.mark.parametrize("turns", range(0, 24, 3))
def test_a_job_that_is_ended_at_any_moment_starts_nothing_more(place, turns):
    place.prepare()
    loop = {"preprocess": note("pre"), "postprocess": note("post"), "coprocess": "sleep 60", "repeats": True}
    assign(place, **loop)
    for _ in range(turns):
        place.desk.turn(place.duty, 0.004)
    place.duty.cancel("run", now())
    place.kill()
    assert place.wait("kill") == PayloadKilled()
    wait_until(lambda: place.processes() == [], 5, "the end of all shims")


def test_before_the_first_step_the_end_forbids_all_of_them(place):
    place.prepare()
    place.kill()
    assert place.wait("kill") == PayloadKilled()
    assign(place, **LOOP)
    assert place.wait().error_code == ErrorCode.PAYLOADLOST
    assert notes(place) == []


@pytest.mark.parametrize("kind", [PRE, PAYLOAD, POST])
def test_a_killed_shim_ends_the_job_as_lost(place, kind):
    place.prepare()
    assign(place, **LOOP, coprocess="exec sleep 60")
    for name, what in (("pre", PRE), ("payload", PAYLOAD), ("post", POST)):
        place.until((place.job_dir / f"at.{name}.1").exists, name)
        if what == kind:
            break
        (place.job_dir / f"go.{name}.1").touch()
    mark = json.loads((place.control_dir / Step(1, kind).directory / "shim.json").read_text())
    os.kill(mark["pid"], signal.SIGKILL)
    result = place.wait()
    assert result.error_code == ErrorCode.PAYLOADLOST
    assert "launcher was killed" in result.error_diag
    wait_until(lambda: place.processes() == [], 5, "the end of all shims")


def test_a_payload_that_ends_well_when_told_to_is_followed_by_nothing(place):
    place.prepare()
    polite = f"trap 'exit 0' TERM; {note('payload')}; touch at; while :; do sleep 0.02; done"
    assign(place, command=polite, preprocess=until(9), postprocess=note("post"), repeats=True)
    place.until((place.job_dir / "at").exists, "the payload")
    place.kill(grace_s=5)
    assert place.wait("kill") == PayloadKilled()
    assert place.wait().error_code == 0
    assert notes(place) == ["pre 1", "payload 1"]


def test_secrets_stay_until_the_last_step(place):
    secrets = place.job_dir / "panda_secrets.json"
    place.prepare()
    secrets.write_text("{}")
    seen = "ls panda_secrets.json >> seen"
    assign(place, command=seen, preprocess=seen, postprocess=seen)
    assert place.wait().error_code == 0
    assert (place.job_dir / "seen").read_text().splitlines() == ["panda_secrets.json"] * 3
    assert not secrets.exists()


def test_the_last_means_end_all_steps(place):
    place.prepare()
    assign(place, command="touch at; exec sleep 60", preprocess="true", coprocess="touch co; exec sleep 60")
    place.until(lambda: (place.job_dir / "at").exists() and (place.job_dir / "co").exists(), "both")
    place.duty.stop()
    end_payload(str(place.control_dir))
    wait_until(lambda: place.processes() == [], 5, "the end of all")
