"""KillPayload: at each moment, against each kind of payload, without memory; and the guardian's end."""

import subprocess

import pytest

from errors.codes import ErrorCode
from host.processes import identify, is_alive
from ipc.results import PayloadKilled
from tests.waiting import wait_until
from tests.workers.runner.rig import PYTHON, end

STUBBORN = "trap '' TERM INT HUP; touch ready; while :; do sleep 0.1; done"
DAEMON = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)"
DAEMON += "; open('daemon', 'w').write(str(os.getpid())); open('ready', 'w'); time.sleep(60)"


def killed(place, lease="kill"):
    result = place.wait(lease)
    assert result == PayloadKilled()
    assert place.processes() == []


@pytest.mark.parametrize(
    "command",
    [
        "touch ready; exec sleep 60",
        "sleep 61 & sleep 62 | cat & touch ready; wait",
        "setsid sleep 61 & setsid setsid sleep 62 & touch ready; wait",
        "touch ready; kill -STOP $$",
        STUBBORN,
        f'{PYTHON} -c "{DAEMON}"; exec sleep 63',
    ],
    ids=["plain", "tree", "sessions", "stopped", "stubborn", "daemon"],
)
@pytest.mark.parametrize("fresh", [False, True], ids=["same runner", "new runner"])
def test_nothing_is_left(place, command, fresh):
    place.start(command, ready="ready")
    if fresh:
        place.kill_runner()
    place.kill()
    killed(place)
    facts = place.facts()
    assert facts.exit is not None
    assert facts.exit.signal in (9, 15)
    if not fresh:
        assert place.wait().signal == facts.exit.signal


def test_a_payload_that_obeys_is_not_killed_hard(place):
    place.start("trap 'exit 17' TERM; touch ready; while :; do sleep 0.01; done", ready="ready")
    place.kill(grace_s=5.0)
    killed(place)
    assert place.facts().exit.exit_code == 17


def test_before_the_start_it_forbids_the_start(place):
    place.prepare()
    place.kill()
    killed(place)
    place.assign("touch ran")
    assert place.wait().error_code == ErrorCode.PAYLOADLOST
    assert not (place.job_dir / "ran").exists()


def test_before_the_directories_exist_it_forbids_the_start(place):
    place.kill()
    killed(place)


def test_after_the_end_it_is_done_at_once_and_again(place):
    place.run("exit 0")
    place.kill()
    killed(place)
    place.kill(lease="kill2")
    killed(place, "kill2")


@pytest.mark.parametrize("turns", range(6))
def test_in_the_middle_of_the_start_nothing_survives(place, turns):
    place.prepare()
    place.assign("touch ran; exec sleep 60")
    for _ in range(turns):
        place.desk.turn(place.duty, 0.004)
    place.kill()
    assert place.wait("kill") == PayloadKilled()
    payload = place.facts().payload
    assert payload is None or not is_alive(payload)
    # A shim on its way to the claim finds it taken and leaves.
    wait_until(lambda: place.processes() == [], 5, "the shim's end")
    assert place.wait()


def test_a_killed_shim_does_not_save_the_payload(place):
    place.start("sleep 61 & touch ready; wait", ready="ready")
    subprocess.run(["kill", "-9", str(place.facts().shim.pid)], check=True)
    place.duty.cancel("run", None)
    place.kill()
    killed(place)


HIDDEN = "import ctypes, time; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); print('hidden', flush=True); time.sleep(600)"


@pytest.fixture
def guarded(place):
    """A guardian that has closed its memory, as the real one does: hidepid would hide it from its shims."""
    guardian = subprocess.Popen([PYTHON, "-I", "-c", HIDDEN], start_new_session=True, stdout=subprocess.PIPE)
    place.guardian = identify(guardian.pid)
    assert guardian.stdout.readline() == b"hidden\n"
    guardian.stdout.close()
    place.new_runner()
    yield place, guardian
    end(guardian)


@pytest.mark.parametrize("command", ["setsid sleep 61 & touch ready; wait", STUBBORN], ids=["tree", "stubborn"])
def test_the_guardians_end_ends_the_payload_after_the_grace(guarded, command):
    place, guardian = guarded
    place.start(command, ready="ready")
    place.duty.stop()
    end(guardian)
    wait_until(lambda: place.processes() == [], 8, "the end of the payload and its shim")
    exit_record = place.facts().exit
    assert exit_record.orphaned
    place.new_runner()
    place.assign("exit 0", lease="run2")
    assert place.wait("run2").error_code == ErrorCode.PAYLOADLOST


def test_a_payload_that_ends_in_the_grace_is_no_orphan(guarded):
    place, guardian = guarded
    place.start("touch ready; until [ -e go ]; do sleep 0.01; done; exit 5", ready="ready")
    end(guardian)
    (place.job_dir / "go").touch()
    assert place.wait().exit_code == 5


def test_a_guardian_gone_before_the_start_counts_too(guarded):
    place, guardian = guarded
    end(guardian)
    place.prepare()
    place.assign("exec sleep 60")
    assert place.wait().error_code == ErrorCode.PAYLOADLOST
