"""Whole pilots with a server for each module; tables of hostile inputs and servers are those of the unit tests."""

import ctypes
import sys
from pathlib import Path

import pytest

from host.kernel import become_subreaper
from sandbox.client import Sandbox
from tests.chaos.pilotrun import PilotRun, as_new

_TESTS = Path(__file__).resolve().parents[1]
# Texts, rigs and servers of the unit tests.
sys.path[:0] = [str(_TESTS / folder) for folder in ("jobs", "workers/monitor", "workers/reporter")]


_PR_SET_CHILD_SUBREAPER = 36


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


@pytest.fixture
def run(sandbox):
    """A pilot from which nothing escapes: what loses its parent becomes this process's child."""
    become_subreaper()
    with PilotRun(sandbox) as pilot:
        yield pilot
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
