"""Where traces go, and when none are sent."""

from dataclasses import replace

import pytest

from settings.errors import SettingsError
from settings.settings import Settings
from settings.traces import trace_url

ATLAS = "https://rucio-lb-prod.cern.ch/traces/"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, ""),
        ({"pilot_user": "ATLAS"}, ATLAS),
        ({"pilot_user": "atlas", "use_rucio_traces": False}, ""),
        ({"pilot_user": "atlas", "update_server": False}, ""),
        ({"pilot_user": "atlas", "job_file": "/j.json"}, ""),
        ({"pilot_user": "atlas", "fake_job": True}, ""),
        ({"rucio_host": "r.example.org"}, "https://r.example.org/traces/"),
        ({"rucio_host": "http://127.0.0.1:81/"}, "http://127.0.0.1:81/traces/"),
        ({"rucio_host": "r.example.org", "rucio_url": "https://t.example.org/x"}, "https://t.example.org/x"),
        ({"pilot_user": "atlas", "rucio_host": "r.example.org"}, "https://r.example.org/traces/"),
    ],
)
def test_where_they_go(given, url):
    assert trace_url(replace(Settings(queue="Q"), **given)) == url


@pytest.mark.parametrize(
    "bad", ["ftp://r/", "https://", "https://u:p@r/", "https://r/?x=1", "https://[::1", "https://r:x/"]
)
@pytest.mark.parametrize(("field", "name"), [("rucio_url", "Rucio.url"), ("rucio_host", "--rucio-host")])
def test_an_address_that_cannot_be_used_is_named(bad, field, name):
    with pytest.raises(SettingsError, match=name):
        trace_url(replace(Settings(queue="Q"), **{field: bad}))
