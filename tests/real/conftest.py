"""Fixtures of the runs against a real PanDA server; without one all of them are skipped, with what is to be set."""

import importlib
import os
import shutil
import sys
from pathlib import Path

import pytest

from host.kernel import become_subreaper
from sandbox.client import Sandbox

for folder in ("chaos", "pilot"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / folder))

realrun = importlib.import_module("realrun")


@pytest.fixture(scope="session")
def panda():
    missing = {name: meaning for name, meaning in realrun.NEEDED.items() if not os.environ.get(name)}
    if missing:
        pytest.skip("set " + "; ".join(f"{name}: {meaning}" for name, meaning in missing.items()))
    return realrun.RealServer.from_environment()


@pytest.fixture(scope="session")
def places(panda, tmp_path_factory):
    """The queue's documents and the storage."""
    with Sandbox(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture
def often(tmp_path) -> dict[str, str]:
    """Return the environment of a pilot with a heartbeat each second."""
    path = tmp_path / "pilot.cfg"
    path.write_text("[Pilot]\nheartbeat = 1\ndebug_heartbeat = 1\n")
    return {"HARVESTER_PILOT_CONFIG": str(path)}


@pytest.fixture
def pilot(panda, places):
    become_subreaper()
    places.reset()
    for path in places.storage.iterdir():
        shutil.rmtree(path)
    panda.run("clear")
    with realrun.RealRun(places, panda) as run:
        yield run
