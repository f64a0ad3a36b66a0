"""One frozen Settings from the command line, the configuration file, the environment and the node.

What wins: `--set` over `[Bulkhead]` over the file's other sections; an option over the file; the variable
PANDAPILOT_LIFETIME over `-l`.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from settings import configfile, node, options
from settings.errors import SettingsError
from settings.handover import Asked, FileNames, Handover, decide
from settings.log_target import FORM, PROTOCOLS, read_log_target
from settings.server import DEFAULT_SERVER, plain_http_warnings, server_url
from settings.settings import Limits, Settings, Tuning
from settings.traces import trace_url
from settings.unbuilt import warnings_for
from settings.values import Overrides, count, seconds, yes_no

#: Options whose name in the namespace is the field of Settings.
_TAKEN_OVER = (
    "queue",
    "pilot_user",
    "workflow",
    "job_label",
    "version_tag",
    "isolation",
    "cleanup",
    "debug",
    "no_pilot_log",
    "check_cvmfs",
    "pod",
    "port",
    "server_api",
    "update_server",
    "worker_status",
    "verify_proxy",
    "verify_payload_proxy",
    "token_renewal",
    "getjob_requests",
    "allow_same_user",
    "job_type",
    "resource_type",
    "use_realtime_logging",
    "realtime_logname",
    "use_rucio_traces",
    "rucio_host",
)
#: The same, for paths, which are made absolute.
_PATHS = (
    "workdir",
    "redirect_stdout",
    "ca_cert",
    "ca_path",
    "job_file",
    "report_file",
    "input_dir",
    "input_destination_dir",
    "output_dir",
)
_PUSH_FAILURES = 12
_SHOWN_KEYS = 20


def build(argv: Sequence[str], environ: Mapping[str, str], launch_dir: str | Path) -> Settings:
    """Return the settings of a pilot.

    Args:
        argv: The command line without the program's name.
        environ: The environment at entry; kept in `Settings.environment` for the payload.
        launch_dir: Where the pilot was started; relative paths are taken from there.

    Raises:
        SettingsError: Something given cannot be used; the text names it and says what to do.
        SystemExit: `--help` or `--version` was given and printed.
    """
    given = options.parse(argv)
    launch = Path(launch_dir).absolute()
    config = configfile.read(environ)
    for assignment in given.set:
        _assign(config.overrides, assignment)
    values: dict[str, Any] = {**config.settings, **node.read(environ)}
    values.update({name: getattr(given, name) for name in _TAKEN_OVER})
    values.update({name: _absolute(launch, getattr(given, name)) for name in _PATHS})
    values.update(_load_delay(values, environ))
    handover = _handover(given, config, environ, launch)
    values.update(_tries(given, handover, config))
    values.update(
        launch_dir=str(launch),
        url=given.url or config.settings.get("url") or DEFAULT_SERVER,
        queuedata_url=_source(launch, given.queuedata_url or config.settings.get("queuedata_url", "")),
        storagedata_url=_storages(launch, given, config, handover),
        base_urls=_base_urls(given.baseurls or environ.get("PANDA_BASE_URLS", "")),
        lifetime_s=_lifetime(given, environ),
        realtime_logging_server=given.realtime_logging_server or config.settings.get("realtime_logging_server", ""),
        information_cache_dir=_absolute(launch, config.settings.get("information_cache_dir", "")),
        handover=handover,
        environment=tuple(environ.items()),
        tuning=replace(Tuning(), **config.overrides.tuning),
        limits=replace(Limits(), **config.overrides.limits),
        warnings=warnings_for(given) + _unused(config.unused) + _log_server(given, config),
    )
    made = Settings(**_with_report_file(values, launch))
    # A URL that cannot be used is told now, not at the first call.
    server_url(made)
    trace_url(made)
    return replace(made, warnings=made.warnings + plain_http_warnings(made))


def _assign(overrides: Overrides, assignment: str) -> None:
    key, sign, value = assignment.partition("=")
    if not sign:
        raise SettingsError(f"--set: {assignment!r} is not KEY=VALUE")
    overrides.put(key.strip(), value, "--set")


def _absolute(launch: Path, path: str) -> str:
    return str(launch / path) if path else ""


def _source(launch: Path, place: str) -> str:
    """Return a URL as it is, a path made absolute."""
    return place if "://" in place else _absolute(launch, place)


def _storages(launch: Path, given: argparse.Namespace, config: configfile.ConfigFile, handover: Handover) -> str:
    """Return where the storages' description is, "" for the usual places; a silent pilot takes what lies beside it."""
    named = given.storagedata_url or config.settings.get("storagedata_url", "")
    beside = launch / "cric_ddmendpoints.json"
    if not named and handover.updates_to_files and beside.is_file():
        return str(beside)
    return _source(launch, named)


def _base_urls(text: str) -> tuple[str, ...]:
    return tuple(url.strip() for url in text.split(",") if url.strip())


def _tries(given: argparse.Namespace, handover: Handover, config: configfile.ConfigFile) -> dict[str, int]:
    """Return the limits of job requests; a pilot that is pushed its job waits longer for it (behaviour 8)."""
    failures: int = given.getjob_failures
    requests: int = given.getjob_requests
    file_tries = replace(Tuning(), **config.overrides.tuning).job_file_tries
    if failures == options.GETJOB_FAILURES and handover.more_jobs:
        failures = file_tries
    elif failures == options.GETJOB_FAILURES and given.harvester_submit_mode == "PUSH":
        failures = _PUSH_FAILURES
    if handover.jobs_from_files:
        requests = max(requests, file_tries)
    return {"getjob_failures": failures, "getjob_requests": requests}


def _lifetime(given: argparse.Namespace, environ: Mapping[str, str]) -> float:
    text = environ.get("PANDAPILOT_LIFETIME", "")
    if not text:
        return float(given.lifetime)
    try:
        return float(count(text))
    except ValueError as error:
        raise SettingsError(f"PANDAPILOT_LIFETIME: {error}; give seconds or unset it") from error


def _load_delay(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return whether a high load delays job requests and what counts as one; the environment wins over the file."""
    found: dict[str, Any] = {}
    for name, field, convert in (
        ("PILOT_ENABLE_DELAY_TO_GET_JOB", "enable_load_delay", yes_no),
        ("PILOT_LOAD_FACTOR", "load_factor", seconds),
    ):
        if environ.get(name):
            try:
                found[field] = convert(environ[name])
            except ValueError as error:
                raise SettingsError(f"{name}: {error}") from error
    if {**values, **found}.get("fake_job") and not values["job_file"]:
        found["update_server"] = False  # nobody knows that job
    return found


def _log_server(given: argparse.Namespace, config: configfile.ConfigFile) -> tuple[str, ...]:
    """Return a warning when the log server that was named cannot be used: no job is to suffer from it."""
    for source, text in (
        ("--realtime-logging-server", given.realtime_logging_server),
        ("[Pilot] rtlogging", config.settings.get("realtime_logging_server", "")),
    ):
        if text:
            known = f"no {FORM} with one of the kinds {', '.join(PROTOCOLS)}: no lines are sent there"
            return () if read_log_target(text) else (f"{source}: {text!r} is {known}",)
    return ()


def _unused(keys: Sequence[str]) -> tuple[str, ...]:
    if not keys:
        return ()
    shown = ", ".join(keys[:_SHOWN_KEYS])
    more = f" and {len(keys) - _SHOWN_KEYS} more" if len(keys) > _SHOWN_KEYS else ""
    return (f"{configfile.VARIABLE}: keys without effect in this version: {shown}{more}",)


def _handover(
    given: argparse.Namespace, config: configfile.ConfigFile, environ: Mapping[str, str], launch: Path
) -> Handover:
    if given.job_file:
        return Handover(names=FileNames(**config.file_names))
    asked = Asked(
        update_server=given.update_server,
        push=given.harvester_submit_mode == "PUSH",
        workdir=_absolute(launch, given.harvester_workdir),
        datadir=_absolute(launch, given.harvester_datadir),
        dump_given=bool(given.harvester_eventstatusdump),
        attributes_given=bool(given.harvester_workerattributes),
        launch_dir=str(launch),
        base_dir=_absolute(launch, given.workdir),
    )
    return decide(asked, environ, FileNames(**config.file_names))


def _with_report_file(values: dict[str, Any], launch: Path) -> dict[str, Any]:
    """Give the report a place whenever updates go to a file: beside the job file, else in the launch directory."""
    if not values["report_file"] and (values["job_file"] or not values["update_server"]):
        beside = Path(values["job_file"]).parent if values["job_file"] else launch
        values["report_file"] = str(beside / "report.json")
    return values
