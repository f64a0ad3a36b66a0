"""Whole pilots that share files with Harvester, ARC or the wrapper; the fixtures are those of the chaos tests."""

import ctypes
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from host.kernel import become_subreaper
from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture
def sandbox(tmp_path) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "storage") as running:
        yield running


@pytest.fixture
def pilot(sandbox) -> Iterator[PilotRun]:
    become_subreaper()
    with PilotRun(sandbox) as run:
        yield run
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


sys.path.insert(0, str(Path(__file__).resolve().parent))
