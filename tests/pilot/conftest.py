"""Whole pilots with a server for each module; tables of hostile inputs and servers are those of the unit tests."""

import shutil
import sys
from pathlib import Path

import pytest

from sandbox.client import Sandbox

_TESTS = Path(__file__).resolve().parents[1]
# Texts, rigs and servers of the unit tests.
sys.path[:0] = [str(_TESTS / folder) for folder in ("jobs", "workers/monitor", "workers/reporter")]


@pytest.fixture(scope="module")
def module_sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture(scope="module")
def module_both_sandbox(tmp_path_factory):
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "both") as running:
        yield running


@pytest.fixture
def sandbox(module_sandbox):
    """The module's server as new: no jobs, no faults, an empty storage."""
    return as_new(module_sandbox)


@pytest.fixture
def both_sandbox(module_both_sandbox):
    """The same of a server that speaks both dialects."""
    return as_new(module_both_sandbox)


def as_new(server):
    server.reset()
    for path in server.storage.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return server
