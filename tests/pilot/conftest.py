"""Whole pilots with a server for each module; the tables of hostile inputs are those of the unit tests."""

import shutil
import sys
from pathlib import Path

import pytest

from sandbox.client import Sandbox

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "jobs"))


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
