"""The server's word: parsed, refused, obeyed once (panda-protocol 3.9, cases 48 to 53)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pilot_rig import KEY, Rig, plan, queue_and_job

from core import life
from core.commands import Command, read_command
from core.events import Heard
from errors.codes import ErrorCode
from ipc.observations import LimitExceeded, PayloadStarted
from ipc.results import Inspected, PayloadEnded, PayloadKilled, Prepared, Staged, UpdateAnswered
from ipc.schema import Observed
from ipc.tasks import Inspect, KillPayload, Pulse, RunPayload, SendUpdate, StageIn, StageOut, Watch
from jobs.states import JobState
from settings.settings import Settings


@pytest.mark.parametrize("text", ["", "NULL", "null", "None", " ", ",", "NULL,NULL"])
def test_case_50_nothing_is_asked_for(text):
    assert read_command(text) == Command()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("tobekilled", Command(kill=True)),
        ("debug,tobekilled", Command(kill=True, debug=True)),
        ("softkill", Command(soft_kill=True)),
        ("nocleanup,debug", Command(keep_files=True, debug=True)),
        ("alreadydone", Command(unwanted=True)),
        ("badattemptnr", Command(unwanted=True, wrong_attempt=True)),
        ("debugoff", Command(debug=False)),
        ("debug", Command(debug=True)),
        ("debug,tail payload.stdout", Command(debug=True, inspect=("tail", "10", "payload.stdout"))),
        ("tail -n 3 a/*.log,debug", Command(debug=True, inspect=("tail", "3", "a/*.log"))),
        ("tail -5 x", Command(debug=True, inspect=("tail", "5", "x"))),
        ("ls", Command(debug=True, inspect=("ls", "--", "."))),
        ("debug,ls -lart sub", Command(debug=True, inspect=("ls", "-lart", "--", "sub"))),
        ("du -sh *", Command(debug=True, inspect=("du", "-sh", "--", "*"))),
        ("debug,ps -eo pid,ppid,args", Command(debug=True, inspect=("ps", "-eo", "pid,ppid,args"))),
        ("ps auxf", Command(debug=True, inspect=("ps", "auxf"))),
        ("gdb --pid % -ex 'generate-core-file'", Command(debug=True, inspect=("gdb",))),
        ("turn around", Command(unknown="turn around")),
        ("debug,rm -rf x", Command(debug=True, unknown="rm -rf x")),
    ],
)
def test_what_is_asked_for(text, wanted):
    assert read_command(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "ls; id",
        "gdb; id",
        "ls &#59 id",
        "tail ../../etc/passwd",
        "tail /etc/passwd",
        "tail a/../../b",
        "tail",
        "tail a b",
        "tail --follow x",
        "ls --hide=x",
        "ls $(id)",
        "ls `id`",
        "du | sh",
        "ps e",
        "ps auxe",
        "ps -o environ",
        "ps -p $(id)",
        "gdb -x script --pid %",
        "gdb --pid 1",
        "gdb -ex 'shell id' --pid %",
        "tail x\ny",
        "tail " + "x" * 300,
    ],
)
def test_case_53_what_is_refused(text):
    command = read_command(f"debug,{text}")
    assert command.refused
    assert command.inspect == ()
    assert command.debug is True


@given(st.text(max_size=300))
def test_no_text_breaks_the_parser(text):
    command = read_command(text)
    assert not any(";" in word or "\n" in word for word in command.inspect)


# ---------------------------------------------------------------- the core obeys
def running(monkeypatch, **settings):
    """Return a rig whose job's payload runs, with its first updates taken."""
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig(Settings(queue="Q", **settings))
    queue_and_job(rig)
    rig.done(life_task(rig, "PrepareJob"), Prepared())
    rig.done(StageIn, Staged(files=()))
    observe(rig, RunPayload, PayloadStarted(pid=7, started_wall=1e9))
    answer_all(rig)
    return rig


def life_task(rig, name):
    return next(type(given.task) for given in rig.assigned if type(given.task).__name__ == name)


def observe(rig, kind, fact):
    given = rig.last(kind)
    rig.give(Heard(given.role, given.by, Observed(lease=given.lease, observation=fact)))


def answer_all(rig, command="NULL"):
    """Let the server take what waits; the first answer carries the command."""
    while rig.ledger.outbox:
        rig.done(SendUpdate, UpdateAnswered(stored=True, command=command))
        command = "NULL"


def looks(rig):
    return [given.task.words for given in rig.assigned if isinstance(given.task, Inspect)]


def beat(rig, command="NULL"):
    rig.wait(rig.job.next_heartbeat - rig.now.mono + 0.1)
    answer_all(rig, command)


def test_case_46_the_heartbeat_is_shorter_in_debug_mode(monkeypatch):
    rig = running(monkeypatch)
    assert rig.job.next_heartbeat - rig.now.mono > 1700
    beat(rig, "debug")
    assert rig.job.next_heartbeat - rig.now.mono <= 60
    assert looks(rig) == [("newest",)]
    rig.done(Inspect, Inspected(text="a\nb"))
    (row,) = rig.ledger.outbox.values()
    assert '"stdout": "a\\nb"' in row.body
    answer_all(rig, "debug")
    assert looks(rig) == [("newest",)], "the server repeats itself: no second look at once"
    beat(rig, "debug")
    assert len(looks(rig)) == 2


def test_a_look_that_hangs_does_not_hold_up_the_heartbeats(monkeypatch):
    rig = running(monkeypatch)
    beat(rig, "debug,tail x")
    assert rig.ledger.outbox == {}
    rig.wait(61)
    assert len(rig.ledger.outbox) == 1


def test_case_52_debugoff(monkeypatch):
    rig = running(monkeypatch)
    beat(rig, "debug")
    rig.done(Inspect, Inspected(text="a\nb"))
    answer_all(rig, "debugoff")
    assert not rig.job.debug
    rig.wait(1801)
    assert all("stdout" not in row.body for row in rig.ledger.outbox.values())


def test_softkill_is_remembered(monkeypatch):
    rig = running(monkeypatch)
    beat(rig, "softkill")
    assert rig.job.soft_kill
    assert rig.job.state is JobState.RUNNING


def test_gdb_ends_the_payload_once_its_core_is_there(monkeypatch):
    rig = running(monkeypatch)
    beat(rig, "debug,gdb --pid %")
    rig.done(Inspect, Inspected(text="gdb: not here"))
    assert rig.job.state is JobState.RUNNING
    beat(rig)
    rig.done(Inspect, Inspected(text="stack", end_payload=True))
    assert (rig.job.state, rig.job.error_code) == (JobState.FAILING, ErrorCode.PANDAKILL)


def test_the_kill_file_ends_the_payload_and_the_job_goes_on(monkeypatch):
    rig = running(monkeypatch)
    observe(rig, Watch, LimitExceeded(code=int(ErrorCode.KILLPAYLOAD), diag=""))
    observe(rig, Watch, LimitExceeded(code=int(ErrorCode.KILLPAYLOAD), diag=""))
    assert len([given for given in rig.assigned if isinstance(given.task, KillPayload)]) == 1
    rig.done(KillPayload, PayloadKilled())
    assert rig.job.state is JobState.RUNNING
    rig.done(RunPayload, PayloadEnded(exit_code=143, signal=15, error_code=1305, error_diag="killed"))
    assert (rig.job.state, rig.job.error_code) == (JobState.STAGING_OUT, 0)
    assert all(transfer.missing_ok for transfer in rig.last(StageOut).task.transfers)


def test_a_lost_server_ends_the_job_with_1317(monkeypatch):
    rig = running(monkeypatch, lost_heartbeat_s=5000.0)
    rig.wait(4900)
    answer_all(rig)
    rig.wait(4900)
    assert rig.job.state is JobState.RUNNING
    rig.wait(200)
    assert (rig.job.state, rig.job.error_code) == (JobState.FAILING, ErrorCode.EXCEEDEDMAXWAITTIME)


def test_the_pulse_comes_each_minute_and_knows_the_last_accepted_update(monkeypatch):
    rig = running(monkeypatch)
    rig.wait(61)
    assert rig.last(Pulse).task.last_server_update == 1e9
    assert rig.last(Pulse).task.path == "/m/pilot_heartbeat.json"


def test_a_job_in_set_up_has_heartbeats_as_well(monkeypatch):
    monkeypatch.setattr(life, "make_plan", plan)
    rig = Rig(Settings(queue="Q", heartbeat_s=30.0))
    queue_and_job(rig)
    assert rig.job.state is JobState.PREPARING
    rig.wait(31)
    (row,) = [row for row in rig.ledger.outbox.values() if row.job_key == KEY]
    assert '"starting"' in row.body
