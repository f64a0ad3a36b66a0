"""Payloads that end by themselves: exit codes, signals, output, what they leave behind."""

import json
import signal

import pytest

from errors.codes import ErrorCode
from ipc.results import PayloadEnded


@pytest.mark.parametrize("code", [0, 1, 2, 65, 126, 127, 128, 137, 139, 143, 255])
def test_h096_exit_code_is_told(place, code):
    result = place.run(f"exit {code}")
    assert isinstance(result, PayloadEnded)
    assert (result.exit_code, result.signal) == (code, 0)
    assert (result.error_code == 0) == (code == 0)
    assert place.processes() == []


#: One of each kind: asked for, faults, limits, real-time ones with and without a name.
SIGNALS = (1, 2, 6, 7, 8, 9, 10, 11, 13, 15, 24, 25, 31, 34, 40, 64)


@pytest.mark.parametrize("number", SIGNALS)
def test_h096_signal_is_told(place, number):
    result = place.run(f"kill -{int(number)} $$; read line < /dev/zero")
    assert (result.exit_code, result.signal) == (128 + number, number)
    faults = {signal.SIGSEGV: ErrorCode.PAYLOADSIGSEGV}
    assert result.error_code == faults.get(number, ErrorCode.PAYLOADEXECUTIONFAILURE)


def test_started_is_observed_with_the_payloads_pid(place):
    place.run("echo $$")
    (started,) = place.started()
    assert started.pid == int(place.stdout())
    assert started.started_wall > 1e9


def test_times_are_told(place):
    result = place.run("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done")
    assert result.wall_time_s > 0
    record = json.loads((place.control_dir / "exit.json").read_text())
    assert record["user_s"] + record["system_s"] > 0.05
    assert record["ended"] >= record["started"]
    assert record["max_rss_kb"] > 500


def test_a_command_longer_than_one_argument_may_be_is_run_from_a_file(place):
    words = " ".join(f"word{number}" for number in range(40_000))
    result = place.run(f"set -- {words}; echo $#; exit 3")
    assert (result.exit_code, place.stdout().strip()) == (3, "40000")
