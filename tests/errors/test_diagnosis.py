"""Why a payload ended: one row per rule."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors.catalogue import load
from errors.diagnosis import Diagnosis, PayloadEnd, diagnose, signal_name
from errors.reports import read_object

BAD_ALLOC = {
    "exitCode": 65,
    "exitMsg": "x",
    "executor": [{"logfileReport": {"details": {"ERROR": [{"message": "std::bad_alloc"}]}}}],
}
FRONTIER = {
    "exitCode": 65,
    "executor": [
        {"logfileReport": {"details": {"WARNING": [{"moreDetails": "Cannot find a valid frontier connection(a)"}]}}}
    ],
}

ENDS = {
    "success": ({"exit_code": 0}, 0, 0),
    "case 35 exit 65": ({"exit_code": 65}, 1305, 65),
    "255 stays 255": ({"exit_code": 255}, 1305, 255),
    "251": ({"exit_code": 251}, 1315, 251),
    "146": ({"exit_code": 146}, 1246, 146),
    "pilot code": ({"exit_code": 1367}, 1367, 0),
    "pilot code 1334": ({"exit_code": 1334}, 1334, 0),
    "no pilot code": ({"exit_code": 1999}, 1305, 0),
    "2 without test-open": ({"exit_code": 2}, 1305, 2),
    "2 after test-open": ({"exit_code": 2, "remote_open": True}, 1378, 2),
    "3 after test-open": ({"exit_code": 3, "remote_open": True}, 1368, 3),
    "-1": ({"exit_code": -1}, 1315, 255),
    "status lost": ({"exit_code": None}, 1401, 0),
    "160": ({"exit_code": 160}, 1305, 160),
    "segv": ({"exit_code": None, "signal": 11}, 1328, 139),
    "segv told by the shell": ({"exit_code": 139}, 1328, 139),
    "negative status": ({"exit_code": -9}, 1305, 137),
    "kill": ({"exit_code": None, "signal": 9}, 1305, 137),
    "kill by oom": ({"exit_code": None, "signal": 9, "oom_killed": True}, 1212, 137),
    "oom elsewhere, payload well": ({"exit_code": 0, "oom_killed": True}, 0, 0),
    "pilot killed it": ({"exit_code": None, "signal": 15, "pilot_code": 1150, "pilot_detail": "no file"}, 1150, 143),
    "core": ({"exit_code": 134, "core_dumped": True}, 1355, 134),
    "report absent": ({"exit_code": 0, "report_required": True}, 1187, 0),
    "report there": ({"exit_code": 0, "report_required": True, "job_report": {"exitCode": 0, "exitMsg": "OK"}}, 0, 0),
    "report tells failure": ({"exit_code": 0, "job_report": {"exitCode": 8, "exitMsg": "bad"}}, 1220, 0),
    "report tells segv": ({"exit_code": 1, "job_report": {"exitCode": 1, "exitMsg": "got a SIGSEGV signal"}}, 1328, 1),
    "report 146": ({"exit_code": 1, "job_report": {"exitCode": 146}}, 1246, 1),
    "report bad_alloc": ({"exit_code": 1, "job_report": BAD_ALLOC}, 1223, 1),
    "report frontier": ({"exit_code": 1, "job_report": FRONTIER}, 1369, 1),
    "container text, exit 0": ({"exit_code": 0, "in_container": True, "stderr_head": "Failed to mount image"}, 1309, 0),
    "container text, exit 255": (
        {"exit_code": 255, "in_container": True, "stderr_head": "No more available loop devices"}, 1307, 255,
    ),
    "container text without container": ({"exit_code": 0, "stderr_head": "Operation not permitted"}, 0, 0),
    "bad_alloc printed, payload well": ({"exit_code": 0, "stdout_tail": "std::bad_alloc"}, 0, 0),
    "bad_alloc": ({"exit_code": 134, "stdout_tail": "a\nstd::bad_alloc\n"}, 1212, 134),
    "setup script": ({"exit_code": 1, "stdout_tail": "sh: /x/setup.sh: No such file or directory"}, 1211, 1),
    "not the setup script": ({"exit_code": 1, "stdout_tail": "No such file or directory"}, 1305, 1),
    "disk": ({"exit_code": 1, "stderr_tail": "write: No space left on device"}, 1098, 1),
    "not found": ({"exit_code": 127, "stderr_head": "bash: x: command not found"}, 1346, 127),
    "not found, but not the payload": ({"exit_code": 1, "stderr_head": "bash: x: command not found"}, 1305, 1),
    "arguments": ({"exit_code": 2, "stderr_tail": "x.py: error: unrecognized arguments: --y"}, 1349, 2),
    "error report": ({"exit_code": 1, "error_report": '{"error_code": 77, "error_diag": "no calib"}'}, 1305, 1),
    "error report, exit 0": ({"exit_code": 0, "error_report": '{"error_code": "77", "error_diag": "x"}'}, 1305, 0),
    "error report broken": ({"exit_code": 0, "error_report": "{"}, 0, 0),
}  # fmt: skip


@pytest.mark.parametrize(("given_end", "code", "status"), ENDS.values(), ids=ENDS)
def test_ends(given_end, code, status):
    found = diagnose(PayloadEnd(**given_end))
    assert (found.error_code, found.trans_exit_code) == (code, status)
    assert bool(found.diag) == bool(code)


def test_success_says_nothing():
    assert diagnose(PayloadEnd(exit_code=0)) == Diagnosis()


def test_signal_is_named():
    assert "SIGKILL" in diagnose(PayloadEnd(signal=signal.SIGKILL)).diag
    assert "SIGKILL" in diagnose(PayloadEnd(exit_code=137)).diag
    assert signal_name(200) == "signal 200"


def test_error_report_fills_the_payload_fields():
    found = diagnose(PayloadEnd(exit_code=1, error_report='{"error_code": 77, "error_diag": "no\\ncalib"}'))
    assert (found.exe_error_code, found.exe_error_diag) == (77, "no calib")
    assert found.diag.endswith("no calib")


@pytest.mark.parametrize(
    ("streams", "detail"),
    [
        ({"stdout_tail": "a\nx CRITICAL y\nz"}, "x CRITICAL y"),
        ({"stderr_tail": "ERROR : cannot open\nWARNING: w"}, "cannot open"),
        ({"stderr_tail": "Warning: w1"}, "w1"),
        ({}, "exit code 9"),
    ],
)
def test_detail_is_the_telling_line(streams, detail):
    assert diagnose(PayloadEnd(exit_code=9, **streams)).diag.endswith(detail)


ROWS = [row for row in load()["payload_texts"] if row["when"] != "never" and row["stream"] != "stdout_setup"]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['stream']} {row['pattern']}")
def test_every_text_of_the_catalogue_is_found(row):
    stream = "stdout_tail" if row["stream"] == "stdout" else "stderr_tail"
    code = row.get("exit_codes", [1])[0]
    end = PayloadEnd(exit_code=code, in_container=True, **{stream: f"before\nx {row['pattern']} y\nafter"})
    found = diagnose(end)
    assert found.error_code == row["code"]
    assert found.diag.endswith(f"x {row['pattern']} y"[:200])


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"a": 1}x', "1" * 5000, b"\xff\xfe"])
def test_broken_reports_say_nothing(text):
    assert read_object(text) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda x: st.lists(x) | st.dictionaries(st.text(), x),
)
REPORT = st.none() | st.dictionaries(st.sampled_from(["exitCode", "exitMsg", "executor"]), JSON)


@given(st.none() | st.integers(-300, 2000), st.integers(0, 64), st.text(), REPORT, st.booleans(), st.text())
def test_never_raises_and_fits_the_fields(code, sig, text, report, in_container, error_report):
    end = PayloadEnd(exit_code=code, signal=sig, stderr_tail=text, stdout_tail=text, job_report=report,
                     in_container=in_container, error_report=error_report)  # fmt: skip
    found = diagnose(end)
    assert len(found.diag) <= 256
    assert 0 <= found.trans_exit_code < 512
    assert abs(found.exe_error_code) < 2**31
