"""Fixtures of the chaos tests: one server per test process, pilots that cannot escape, figures printed at the end."""

import ctypes
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from pilotrun import PilotRun, as_new

from host.kernel import become_subreaper
from sandbox.client import Sandbox

_PR_SET_CHILD_SUBREAPER = 36
_FIGURES: pytest.StashKey[dict[str, list[float]]] = pytest.StashKey()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Sandbox]:
    with Sandbox(tmp_path_factory.mktemp("storage")) as running:
        yield running


@pytest.fixture
def sandbox(server) -> Sandbox:
    """The server as new: no jobs, no faults, an empty storage."""
    return as_new(server)


@pytest.fixture(autouse=True)
def _adopts() -> Iterator[None]:
    """Make orphans our own while a test runs."""
    become_subreaper()
    yield
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@pytest.fixture
def pilot(sandbox, _adopts) -> Iterator[PilotRun]:
    with PilotRun(sandbox) as run:
        yield run


@pytest.fixture(scope="session")
def both(tmp_path_factory) -> Iterator[Sandbox]:
    """A server that speaks both dialects."""
    with Sandbox(tmp_path_factory.mktemp("storage"), "--dialects", "both") as running:
        yield running


@pytest.fixture
def run(both, _adopts) -> Iterator[PilotRun]:
    """A pilot before the server of both dialects, which is as new."""
    with PilotRun(as_new(both)) as pilot:
        yield pilot


@pytest.fixture
def figure(request) -> Callable[[str, float], None]:
    """Note a measured time under a name; all of them are printed at the end of the session."""
    figures = request.config.stash.setdefault(_FIGURES, defaultdict(list))
    return lambda name, value: figures[name].append(value)


def pytest_sessionfinish(session) -> None:
    figures = session.config.stash.get(_FIGURES, None)
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if not figures or capture is None:
        return
    with capture.global_and_fixture_disabled():
        worker = getattr(session.config, "workerinput", {}).get("workerid", "")
        lines = [f"\nchaos figures {worker}: median / worst of n, seconds"]
        for name, values in sorted(figures.items()):
            lines.append(f"  {name:44} {statistics.median(values):7.3f} {max(values):7.3f} {len(values):4d}")
        sys.stderr.write("\n".join(lines) + "\n")
