"""Whole pilots fed with strange jobs: the tables of hostile inputs are those of the unit tests."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))
