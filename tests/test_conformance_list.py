"""Every conformance case of panda-protocol.md section 10 is a test that has its number in its name."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
CASES = range(1, 71)
_NUMBERS = re.compile(r"cases?((?:_(?:and_|to_|case_)*\d+)+)")


def numbers_in(name: str) -> set[int]:
    """Return the cases that a test's name names: test_case_7_x, test_cases_1_2_and_3_x, test_case_48_to_50_x."""
    found: set[int] = set()
    for words in (match[1].split("_") for match in _NUMBERS.finditer(name)):
        before = ""
        last = 0
        for word in words:
            if word.isdigit():
                first = last + 1 if before == "to" else int(word)
                last = int(word)
                found.update(range(first, last + 1))
            before = word
    return found


def found_by_case() -> dict[int, list[str]]:
    """Return the names of the tests of each case."""
    found: dict[int, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for number in numbers_in(node.name):
                    found.setdefault(number, []).append(f"{path.relative_to(TESTS)}::{node.name}")
    return found


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_case_7_unknown_authority", {7}),
        ("test_cases_12_and_13_no_refusal", {12, 13}),
        ("test_cases_9_12_13_and_21_whole_job", {9, 12, 13, 21}),
        ("test_case_48_to_50_command", {48, 49, 50}),
        ("test_case_33_and_46_heartbeats_in_2_phases_and_case_42_in_all", {33, 46, 42}),
        ("test_the_case_of_3_files", set()),
    ],
)
def test_numbers_are_read_from_names(name, numbers):
    assert numbers_in(name) == numbers


def test_every_case_has_a_test_with_its_number():
    found = found_by_case()
    assert not set(found) - set(CASES), f"no such cases: { ({n: found[n] for n in set(found) - set(CASES)}) }"
    assert set(CASES) - set(found) == set(), "cases without a test"
