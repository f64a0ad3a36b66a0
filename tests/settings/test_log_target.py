"""Forms in which a server for real-time logs is named (behaviour 1, 2 and 24)."""

import pytest

from settings.build import build
from settings.log_target import LogTarget, read_log_target

LOKI = "/loki/api/v1/push"


@pytest.mark.parametrize(
    ("text", "kind", "url"),
    [
        ("logstash;http://aipanda115.cern.ch:8443", "logstash", "http://aipanda115.cern.ch:8443"),
        ("logserver=logstash;https://h:8443", "logstash", "https://h:8443"),
        ("logstash:h:8443", "logstash", "https://h:8443"),
        ("LogStash;HTTPS://h:8443/", "logstash", "https://h:8443"),
        ("loki;http://h:3100", "loki", f"http://h:3100{LOKI}"),
        ("loki;http://h:3100/other", "loki", "http://h:3100/other"),
        ("loki:h", "loki", f"https://h{LOKI}"),
        ("fluent:h:24224", "fluent", "tcp://h:24224"),
        ("fluent;tls://h:24224", "fluent", "tls://h:24224"),
        ("fluent;http://h:9880/my.tag", "fluent", "http://h:9880/my.tag"),
        ("logstash;https://[::1]:8443", "logstash", "https://[::1]:8443"),
        ("google-cloud-logging", "google-cloud-logging", ""),
        ("google-cloud-logging;https://google:80", "google-cloud-logging", ""),
    ],
)
def test_what_names_a_server(text, kind, url):
    assert read_log_target(text) == LogTarget(kind=kind, url=url)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "logstash",
        "logstash;",
        "logstash;ftp://h:1",
        "logstash;http://",
        "logstash;http://h:many",
        "logstash;http://h:99999",
        "fluent;tcp://h",
        "kafka;http://h:1",
        "http://h:1",
        "loki;http://h:1;x",
        "loki;http://h:1 x",
        "loki;file:///etc/passwd",
        "loki;http://[::1",
    ],
)
def test_what_names_none(text):
    assert read_log_target(text) is None


@pytest.mark.parametrize(
    ("options", "config", "named"),
    [
        (("--realtime-logging-server", "kafka;http://h:1"), "", "--realtime-logging-server"),
        ((), "rtlogging = logstash;ftp://h:1", "[Pilot] rtlogging"),
        (("--realtime-logging-server", "loki;http://h:1"), "rtlogging = logstash;h:x", ""),
    ],
)
def test_a_server_that_cannot_be_used_is_said_and_stops_no_pilot(tmp_path, options, config, named):
    path = tmp_path / "pilot.cfg"
    path.write_text(f"[Pilot]\n{config}\n")
    settings = build(["-q", "Q", *options], {"HARVESTER_PILOT_CONFIG": str(path)}, "/")
    found = [text for text in settings.warnings if "no lines are sent" in text]
    assert bool(found) == bool(named)
    assert all(text.startswith(named) for text in found)
