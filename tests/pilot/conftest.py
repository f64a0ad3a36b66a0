"""Whole pilots with a server for each module; the tables of hostile inputs are those of the unit tests."""

import ctypes
import shutil
import sys
from pathlib import Path

import pytest

from host.kernel import become_subreaper
from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))


_PR_SET_CHILD_SUBREAPER = 36


@pytest.fixture(scope="module")
def module_sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture
def sandbox(module_sandbox):
    """The module's server as new: no jobs, no faults, an empty storage."""
    module_sandbox.reset()
    for path in module_sandbox.storage.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return module_sandbox


@pytest.fixture
def run(sandbox):
    """A pilot from which nothing escapes: what loses its parent becomes this process's child."""
    become_subreaper()
    with PilotRun(sandbox) as pilot:
        yield pilot
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
