"""Whole pilots against code of PanDA that is not part of this repository; the fixtures are those of tests/slot."""

import sys
from pathlib import Path

from tests.slot.conftest import pilot, sandbox

__all__ = ["pilot", "sandbox"]

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2] / "slot")]
