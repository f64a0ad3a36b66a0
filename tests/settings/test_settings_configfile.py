"""The configuration file named by HARVESTER_PILOT_CONFIG (behaviour 2)."""

import re

import pytest

from settings.build import build
from settings.errors import SettingsError


@pytest.fixture
def configured(tmp_path):
    def make(text, *argv, **environ):
        path = tmp_path / "pilot.cfg"
        path.write_text(text)
        return build(["-q", "QUEUE", *argv], {"HARVESTER_PILOT_CONFIG": str(path), **environ}, tmp_path)

    return make


@pytest.mark.parametrize(
    ("section", "line", "read", "value"),
    [
        ("Pilot", "heartbeat: 60", lambda s: s.heartbeat_s, 60.0),
        ("Pilot", "debug_heartbeat = 30", lambda s: s.debug_heartbeat_s, 30.0),
        ("Pilot", "lost_heartbeat = 300", lambda s: s.lost_heartbeat_s, 300.0),
        ("Pilot", "http_connect_timeout = 5", lambda s: s.http_connect_timeout_s, 5.0),
        ("Pilot", "http_maxtime = 7", lambda s: s.http_timeout_s, 7.0),
        ("Pilot", "pandaserver = https://h:99", lambda s: s.url, "https://h:99"),
        ("Pilot", "free_space_limit = 3 GB", lambda s: s.limits.free_space_bytes, 3 * 1024**3),
        ("Pilot", "free_space_limit_running = 512 MB", lambda s: s.limits.free_space_running_bytes, 512 * 1024**2),
        ("Pilot", "looping_limit_default = 100", lambda s: s.limits.looping_limit_s, 100.0),
        ("Pilot", "local_size_limit_stdout = 100", lambda s: s.limits.stdout_bytes, 100 * 1024),
        ("Pilot", "maximum_output_file_size = 5 GB", lambda s: s.limits.output_file_bytes, 5 * 1024**3),
        ("Information", "queuedata_url = https://h/{pandaqueue}", lambda s: s.queuedata_url, "https://h/{pandaqueue}"),
        ("Information", "storages_url = https://h/s", lambda s: s.storagedata_url, "https://h/s"),
        ("Pilot", "payload_proxy_from_server = no", lambda s: s.payload_proxy_from_server, False),
        ("Pilot", "proxy_verification_time = 9", lambda s: s.proxy_check_s, 9.0),
        ("Token", "download_check = 8", lambda s: s.token_renewal_s, 8.0),
        ("Bulkhead", "beat_s = 2", lambda s: s.tuning.beat_s, 2.0),
        ("Bulkhead", "free_space_bytes = 1 MB", lambda s: s.limits.free_space_bytes, 1024**2),
    ],
)
def test_key_is_honoured(configured, section, line, read, value):
    settings = configured(f"[{section}]\n{line}\n")
    assert read(settings) == value
    assert settings.warnings == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[Pilot]\nheartbeat = often\n", "Pilot.heartbeat: 'often'"),
        ("[Pilot]\nheartbeat = inf\n", "Pilot.heartbeat"),
        ("[Pilot]\nfree_space_limit = 2 parsecs\n", "Pilot.free_space_limit: '2 parsecs' is not a size"),
        ("[Bulkhead]\nbeat = 1\n", "Bulkhead.beat: unknown key 'beat'"),
        ("[Bulkhead]\nbeat_s = x\n", "Bulkhead.beat_s: bad value for beat_s"),
        ("[Pilot]\npandaserver = $NOT_SET\n", "Pilot.pandaserver: the variable NOT_SET"),
        ("[Pilot]\npandaserver = ftp://h\n", "--url"),
        ("heartbeat = 1\n", "not a configuration file"),
        ("[Pilot]\nheartbeat = 1\nheartbeat = 2\n", "not a configuration file"),
    ],
)
def test_error_names_section_and_key(configured, text, says):
    with pytest.raises(SettingsError, match=re.escape(says)):
        configured(text)


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="HARVESTER_PILOT_CONFIG: cannot read"):
        build(["-q", "Q"], {"HARVESTER_PILOT_CONFIG": str(tmp_path / "none")}, tmp_path)


def test_file_that_is_not_text(tmp_path):
    (tmp_path / "f").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match="HARVESTER_PILOT_CONFIG: cannot read"):
        build(["-q", "Q"], {"HARVESTER_PILOT_CONFIG": str(tmp_path / "f")}, tmp_path)


def test_own_section_wins_over_pilot_and_set_wins_over_both(configured):
    text = "[{}]\n{}\n[{}]\n{}\n"
    own, old = ("Bulkhead", "looping_limit_s = 5"), ("Pilot", "looping_limit_default = 9")
    assert configured(text.format(*own, *old)).limits.looping_limit_s == 5.0
    assert configured(text.format(*old, *own)).limits.looping_limit_s == 5.0
    assert configured(text.format(*own, *old), "--set", "looping_limit_s=1").limits.looping_limit_s == 1.0


def test_option_wins_over_the_file(configured):
    assert configured("[Pilot]\npandaserver = https://a:1\n", "--url", "https://b:2").url == "https://b:2"


def test_value_from_the_environment(configured):
    assert configured("[Pilot]\npandaserver = $WHERE\n", WHERE="https://w:3").url == "https://w:3"


def test_keys_without_effect_are_named_once(configured):
    (warning,) = configured("[Pilot]\npilotlog = x.txt\n[Workernode]\nmap = m.json\n").warnings
    assert "Pilot.pilotlog" in warning
    assert "Workernode.map" in warning
