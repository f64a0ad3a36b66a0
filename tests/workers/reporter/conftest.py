from collections.abc import Iterator

import pytest
from reporter_rig import Rig, settings_for


@pytest.fixture(autouse=True)
def _no_identity_of_this_machine(monkeypatch):
    """Neither a proxy of whoever runs the tests nor a site's proxy server takes part."""
    monkeypatch.setattr("workers.reporter.identity.usual_place", lambda: "/nonexistent/proxy")
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def rig_for(tmp_path) -> Iterator:
    rigs = []

    def make(url="http://127.0.0.1:9", environ=None, **more):
        rigs.append(Rig(settings_for(url, tmp_path, **more), environ))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.stop()
