"""The exit codes of the pilot process and the errors they stand for (behaviour 4)."""

from typing import Any

from errors.catalogue import load


def get_error_code_translation_dictionary() -> dict[int, list[Any]]:
    """Return pilot error code -> [exit code of the process, what it means]."""
    return {int(code): [row["exit"], row["meaning"]] for code, row in load()["process_exits"].items()}


def convert_to_pilot_error_code(exit_code: int) -> int:
    """Return the (first) pilot error that an exit code stands for, the exit code itself for one that is not known."""
    table = get_error_code_translation_dictionary()
    return next((code for code, (known, _) in table.items() if known == exit_code), exit_code)
