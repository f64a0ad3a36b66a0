"""The catalogue, its generated enum and the lines made from it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import generate
from errors.catalogue import describe, diagnostics, is_recoverable, load, process_exit_code, signal_code, signal_exit
from errors.codes import ErrorCode
from errors.exceptions import BulkheadError, JobError, PilotError, RetryError
from errors.texts import one_line

FOLDER = Path(generate.__file__).parent


def test_codes_module_is_what_the_generator_writes():
    catalogue = json.loads((FOLDER / "catalogue.json").read_text(encoding="utf-8"))
    assert (FOLDER / "codes.py").read_text(encoding="utf-8") == generate.render(catalogue["codes"])


def test_generator_refuses_a_number_used_twice():
    with pytest.raises(ValueError, match="twice"):
        generate.render([{"code": 1, "name": "A"}, {"code": 1, "name": "B"}])


@pytest.mark.parametrize(
    ("name", "clean"), [("MKDIR_STORAGE", "MKDIR_STORAGE"), ("a-b c", "A_B_C"), ("2many", "E2MANY")]
)
def test_clean_name(name, clean):
    assert generate.clean_name(name) == clean


def test_every_code_in_every_table_is_in_the_enum():
    known = {int(code) for code in ErrorCode}
    data = load()
    used = {row["code"] for table in ("payload_texts", "cpu_accounting_texts") for row in data[table]}
    used |= {row[key] for row in data["signals"].values() for key in ("code", "classic")}
    used |= {row["code"] for row in data["payload_exits"].values()} | set(data["looping"].values())
    used |= {row[key] for row in data["transfer_texts"]["table"] for key in ("stagein", "stageout") if key in row}
    used |= {int(code) for code in data["process_exits"]} - {-1}
    assert used <= known


@pytest.mark.parametrize(
    ("code", "name", "origin"), [(1400, "WORKERRESTARTSSPENT", "bulkhead"), (-1137, "STAGEOUTFAILED", "pilot3")]
)
def test_describe(code, name, origin):
    assert (describe(code).name, describe(code).origin) == (name, origin)


def test_describe_a_number_that_is_not_listed():
    assert describe(4711).text == "Unlisted pilot error 4711"


SIGNALS = [
    ("SIGTERM", 1201, 1201, 143),
    ("SIGQUIT", 1202, 1202, 131),
    ("SIGSEGV", 1203, 1203, 139),
    ("SIGXCPU", 1204, 1204, 152),
    ("SIGUSR1", 1206, 1207, 138),
    ("SIGBUS", 1207, 1206, 135),
    ("SIGINT", 1208, 1208, 130),
    ("SIGKILL", 1200, 1200, 137),
    ("SIGHUP", 1200, 1200, 129),
    ("SIGNONSENSE", 1200, 1200, 137),
    ("term", 1201, 1201, 143),
]


@pytest.mark.parametrize(("name", "code", "classic", "status"), SIGNALS)
def test_signals(name, code, classic, status):
    assert (signal_code(name), signal_code(name, classic=True), signal_exit(name)) == (code, classic, status)


@pytest.mark.parametrize("name", [row[0] for row in SIGNALS[:7]])
@pytest.mark.parametrize("classic", [False, True])
def test_process_exit_follows_the_signal_not_its_code(name, classic):
    assert process_exit_code(signal_code(name, classic=classic), classic=classic) == signal_exit(name)


@pytest.mark.parametrize(
    ("code", "status"),
    [(0, 0), (-1, 64), (1377, 64), (1008, 65), (1177, 68), (1163, 68), (1098, 69), (1116, 71), (1117, 72), (1359, 78),
     (1386, 83), (1385, 82), (1200, 137), (1137, 1), (-1098, 69), (99999, 1), (1400, 1)],
)  # fmt: skip
def test_process_exit_codes(code, status):
    assert process_exit_code(code) == status


@pytest.mark.parametrize("code", [1135, 1136, 1137, 1141, 1152, 1181])
def test_recoverable(code):
    assert is_recoverable(code)
    assert is_recoverable(-code)


@pytest.mark.parametrize("code", [0, 1098, 1305, 1402, 77])
def test_not_recoverable(code):
    assert not is_recoverable(code)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("2024-01-31 12:34:56,789 | ERROR: x", "| ERROR: x"),
        ("at 2025-11-21T17:30:00.123Z gone", "at gone"),
        ("at 2025-11-21 17:30 +01:00 gone", "at gone"),
        ("[21/Nov/2025:17:30:00 +0100] gone", "[] gone"),
        ("Fri Nov 21 17:30:00 CET 2025 gone", "gone"),
        ("Nov  1 17:30:00 2025-11-21T17:30:00 gone", "gone"),
        ("a\r\n\tb\x00c\x1b[0m\u202ed", "a b c [0m d"),
        ("\ud800 lone", "lone"),
        ("version 2.12.8 of 2024", "version 2.12.8 of 2024"),
    ],
)
def test_one_line(text, clean):
    assert one_line(text) == clean


def test_diagnostics_without_detail_is_the_standard_text():
    assert diagnostics(1402) == "The job definition is not valid"
    assert diagnostics(1402, " \n") == "The job definition is not valid"


def test_diagnostics_does_not_repeat_its_own_text():
    once = diagnostics(1402, "field x")
    assert diagnostics(1402, once) == once == "The job definition is not valid: field x"


@given(st.integers(), st.text() | st.text("ab \n\x00", max_size=9000))
def test_diagnostics_are_short_and_printable(code, detail):
    line = diagnostics(code, detail)
    assert 0 < len(line) <= 256
    assert line.isprintable()


def test_diagnostics_of_a_gigabyte_are_quick():
    assert len(diagnostics(1305, "x" * 50_000_000)) == 256


@pytest.mark.parametrize("kind", [RetryError, JobError, PilotError])
def test_exceptions_carry_code_and_text(kind):
    error = kind(ErrorCode.BADJOBDEFINITION, "field x")
    assert isinstance(error, BulkheadError)
    assert (error.code, error.detail, str(error)) == (1402, "field x", "The job definition is not valid: field x")
