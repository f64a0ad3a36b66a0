"""The configuration file of the pilots in use (behaviour 2): an INI file named by HARVESTER_PILOT_CONFIG.

Keys that mean something here are honoured, those of the `[Bulkhead]` section are the fields of Tuning and Limits.
"""

import configparser
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from settings.errors import SettingsError
from settings.values import Overrides, one_of, seconds, size_bytes, yes_no

VARIABLE = "HARVESTER_PILOT_CONFIG"
_OWN = "Bulkhead"
_MAX_BYTES = 1024 * 1024

#: (section, key) -> field of Settings, how its text is read
_SETTINGS: dict[tuple[str, str], tuple[str, Callable[[str], Any]]] = {
    ("Pilot", "pandaserver"): ("url", str),
    ("Pilot", "heartbeat"): ("heartbeat_s", seconds),
    ("Pilot", "debug_heartbeat"): ("debug_heartbeat_s", seconds),
    ("Pilot", "lost_heartbeat"): ("lost_heartbeat_s", seconds),
    ("Pilot", "http_connect_timeout"): ("http_connect_timeout_s", seconds),
    ("Pilot", "http_maxtime"): ("http_timeout_s", seconds),
    ("Pilot", "proxy_verification_time"): ("proxy_check_s", seconds),
    ("Pilot", "payload_proxy_from_server"): ("payload_proxy_from_server", yes_no),
    ("Token", "download_check"): ("token_renewal_s", seconds),
    ("Information", "queuedata_url"): ("queuedata_url", str),
    ("Pilot", "enable_delay_to_get_job"): ("enable_load_delay", yes_no),
    ("Pilot", "load_factor"): ("load_factor", seconds),
    ("Pilot", "rtlogging"): ("realtime_logging_server", str),
    ("Pilot", "pandajob"): ("fake_job", lambda text: one_of(text, ("real", "fake")) == "fake"),
    ("Pilot", "testjobtype"): ("fake_type", lambda text: one_of(text, ("production", "user"))),
    ("Pilot", "testjobcommand"): ("fake_command", lambda text: one_of(text, ("normal", "sleep"))),
    ("Information", "storages_url"): ("storagedata_url", str),
    ("Information", "queues_url"): ("queues_url", str),
    ("Information", "cache_dir"): ("information_cache_dir", str),
    ("Information", "acopytools"): ("acopytools", str),
    ("Rucio", "url"): ("rucio_url", str),
}
#: (section, key) -> field of Limits, how its text is read
_LIMITS: dict[tuple[str, str], tuple[str, Callable[[str], Any]]] = {
    ("Pilot", "free_space_limit"): ("free_space_bytes", size_bytes),
    ("Pilot", "free_space_limit_running"): ("free_space_running_bytes", size_bytes),
    ("Pilot", "looping_limit_default"): ("looping_limit_s", seconds),
    ("Pilot", "local_size_limit_stdout"): ("stdout_bytes", lambda text: size_bytes(f"{text} kB")),
    ("Pilot", "maximum_output_file_size"): ("output_file_bytes", size_bytes),
}


#: Key of [Harvester] -> field of handover.FileNames
_FILE_NAMES = {
    "job_request_file": "request",
    "kill_worker_file": "kill",
    "jobs_list_file": "job_ids",
    "pandajob_file": "jobs",
    "workerattributes_file": "attributes",
    "stageoutn_file": "dump",
}


class ConfigFile:
    """What a configuration file gives: fields of Settings, overrides of Tuning and Limits, unused keys.

    Attributes:
        settings: Field of Settings -> value.
        overrides: Fields of Tuning and Limits.
        file_names: Fields of handover.FileNames.
        unused: "Section.key" of each key that has no effect in this version.
    """

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.overrides = Overrides()
        self.file_names: dict[str, str] = {}
        self.unused: list[str] = []


def read(environ: Mapping[str, str]) -> ConfigFile:
    """Return what the file named in the environment says; an empty ConfigFile when none is named.

    Raises:
        SettingsError: the file cannot be read, is not INI, or a value is bad; the text names section and key.
    """
    found = ConfigFile()
    name = environ.get(VARIABLE, "")
    if not name:
        return found
    parsed = _parse(Path(name))
    for section in parsed.sections():
        for key, raw in parsed.items(section):
            _take(found, section, key, _resolve(raw, f"{section}.{key}", environ))
    return found


def _parse(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None)
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.read(_MAX_BYTES + 1)
        if len(text) > _MAX_BYTES:
            raise SettingsError(f"{VARIABLE}: {path} is larger than {_MAX_BYTES} bytes")
        parsed.read_string(text, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{VARIABLE}: cannot read {path}: {error}; correct or unset the variable") from error
    except configparser.Error as error:
        line = " ".join(str(error).split())
        raise SettingsError(f"{VARIABLE}: {path} is not a configuration file: {line}") from error
    return parsed


def _resolve(raw: str, where: str, environ: Mapping[str, str]) -> str:
    """Return the value; one that starts with `$` is taken from the environment."""
    if not raw.startswith("$"):
        return raw
    name = raw[1:].strip("{}")
    if name not in environ:
        raise SettingsError(f"{where}: the variable {name} it is taken from is not set")
    return environ[name]


def _take(found: ConfigFile, section: str, key: str, value: str) -> None:
    where = f"{section}.{key}"
    if section == _OWN:
        found.overrides.put(key, value, where)
        return
    if section == "Harvester" and key in _FILE_NAMES:
        if not value or "/" in value:
            raise SettingsError(f"{where}: {value!r} is not a file name")
        found.file_names[_FILE_NAMES[key]] = value
        return
    for table, target in ((_SETTINGS, found.settings), (_LIMITS, found.overrides.limits)):
        if (section, key) in table:
            field, convert = table[section, key]
            # A field set in [Bulkhead] wins, wherever that section stands in the file.
            if target is found.overrides.limits and field in target:
                return
            try:
                target[field] = convert(value)
            except ValueError as error:
                raise SettingsError(f"{where}: {error}") from error
            return
    found.unused.append(where)
