"""ES-17: however the command looks, the payload learns of the channel exactly once (event-service 4.2)."""

import shlex

import pytest

from events.injection import inject

CHANNEL = "ipc:///w/PanDA_Pilot-1/es.sock"
JPS = "from AthenaMP.AthenaMPFlags import jobproperties as jps;"
FLAG = f'jps.AthenaMPFlags.EventRangeChannel="{CHANNEL}"'


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("./Sim_tf.py --a=1;", ["./Sim_tf.py", "--a=1", "--preExec", f"{JPS}{FLAG}"]),
        (
            "./Sim_tf.py --preExec 'x=1' --b",
            ["./Sim_tf.py", "--preExec", f"{JPS}{FLAG}", "x=1", "--b"],
        ),
        ("./Sim_tf.py --preExec='x=1'", ["./Sim_tf.py", "--preExec", f"{JPS}{FLAG}", "x=1"]),
        (
            f"./Sim_tf.py --preExec '{JPS}jps.AthenaMPFlags.Strategy=\"EventService\"' --b",
            ["./Sim_tf.py", "--preExec", f'{JPS}{FLAG};jps.AthenaMPFlags.Strategy="EventService"', "--b"],
        ),
        (
            f'./Sim_tf.py --preExec "{JPS}x=1"',
            ["./Sim_tf.py", "--preExec", f"{JPS}{FLAG};x=1"],
        ),
        (
            "./Sim_tf.py --CA --a",
            ["./Sim_tf.py", "--CA", "--a", "--preExec", f'ConfigFlags.MP.EventRangeChannel="{CHANNEL}"'],
        ),
        (
            "./Sim_tf.py --CA --preExec 'y'",
            ["./Sim_tf.py", "--CA", "--preExec", f'ConfigFlags.MP.EventRangeChannel="{CHANNEL}"', "y"],
        ),
        (
            "./Sim_tf.py --CA --multithreaded=TRUE",
            ["./Sim_tf.py", "--CA", "--multithreaded=TRUE", f'--athenaopts= --mtes --mtes-channel="{CHANNEL}" '],
        ),
        (
            "./Sim_tf.py --CA --multithreaded=true --athenaopts='--threads=8' --b",
            [
                "./Sim_tf.py",
                "--CA",
                "--multithreaded=true",
                f'--athenaopts= --mtes --mtes-channel="{CHANNEL}" --threads=8',
                "--b",
            ],
        ),
        (
            './Sim_tf.py --CA --multithreaded=true --athenaopts="--threads=8"',
            [
                "./Sim_tf.py",
                "--CA",
                "--multithreaded=true",
                f'--athenaopts= --mtes --mtes-channel="{CHANNEL}" --threads=8',
            ],
        ),
        (
            "./Sim_tf.py --CA --multithreaded=true --athenaopts=--threads=8",
            [
                "./Sim_tf.py",
                "--CA",
                "--multithreaded=true",
                f'--athenaopts= --mtes --mtes-channel="{CHANNEL}" --threads=8',
            ],
        ),
        # Threads without --CA are not supported: as any other command.
        (
            "./Sim_tf.py --multithreaded=true",
            ["./Sim_tf.py", "--multithreaded=true", "--preExec", f"{JPS}{FLAG}"],
        ),
        ("./Sim_tf.py --CAT", ["./Sim_tf.py", "--CAT", "--preExec", f"{JPS}{FLAG}"]),
        (
            "run $PILOT_EVENTRANGECHANNEL",
            ["export", f"PILOT_EVENTRANGECHANNEL={CHANNEL};", "run", "$PILOT_EVENTRANGECHANNEL"],
        ),
    ],
)
def test_es_17_the_channel_is_told_once(command, expected):
    found = inject(command, CHANNEL)
    assert shlex.split(found) == expected
    assert found.count(CHANNEL) == 1


@pytest.mark.parametrize("channel", ['ipc:///a"b', "ipc:///a b", "ipc:///a;b", "", "ipc:///$HOME"])
def test_a_name_that_a_shell_would_read_is_refused(channel):
    with pytest.raises(ValueError, match="cannot be told"):
        inject("./x", channel)
