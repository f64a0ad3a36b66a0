"""Every option of the pilots in use, with its short name (behaviour 1), and what is said of those not built."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from settings.build import build
from settings.errors import SettingsError
from settings.handover import Handover
from settings.options import parse, parser
from settings.settings import Settings

LAUNCH = Path("/launch")

#: Command line, field of Settings, value.
BUILT = [
    (["--pilot-user", "atlas"], "pilot_user", "atlas"),
    (["-a", "w"], "workdir", "/launch/w"),
    (["--workdir", "/w"], "workdir", "/w"),
    (["--cleanup", "no"], "cleanup", False),
    (["-i", "RC"], "version_tag", "RC"),
    (["--versiontag", "ALRB"], "version_tag", "ALRB"),
    (["-z"], "update_server", False),
    (["--noserverupdate"], "update_server", False),
    (["--no-pilot-log"], "no_pilot_log", True),
    (["-d"], "debug", True),
    (["--debug"], "debug", True),
    (["--redirect-stdout", "/dev/null"], "redirect_stdout", "/dev/null"),
    (["-j", "managed"], "job_label", "managed"),
    (["--joblabel", "user"], "job_label", "user"),
    (["-v", "7"], "getjob_requests", 7),
    (["--getjobrequests", "7"], "getjob_requests", 7),
    (["-x", "9"], "getjob_failures", 9),
    (["--getjobfailures", "9"], "getjob_failures", 9),
    (["--allow-same-user", "False"], "allow_same_user", False),
    (["--job-type", "user"], "job_type", "user"),
    (["-w", "analysis"], "workflow", "analysis"),
    (["--workflow", "production"], "workflow", "production"),
    (["-l", "600"], "lifetime_s", 600.0),
    (["--lifetime", "600"], "lifetime_s", 600.0),
    (["--resource-type", "MCORE_HIMEM"], "resource_type", "MCORE_HIMEM"),
    (["--use-realtime-logging"], "use_realtime_logging", True),
    (["--realtime-logging-server", "loki;http://h"], "realtime_logging_server", "loki;http://h"),
    (["--realtime-logname", "x"], "realtime_logname", "x"),
    (["--pod"], "pod", True),
    (["-b"], "check_cvmfs", False),
    (["--nocvmfs"], "check_cvmfs", False),
    (["--input-dir", "in"], "input_dir", "/launch/in"),
    (["--input-destination-dir", "/i"], "input_destination_dir", "/i"),
    (["--output-dir", "/o"], "output_dir", "/o"),
    (["-t"], "verify_proxy", False),
    (["--noproxyverification"], "verify_proxy", False),
    (["-u"], "verify_payload_proxy", False),
    (["--verifypayloadproxy"], "verify_payload_proxy", False),
    (["-y"], "token_renewal", False),
    (["--notokenrenewal"], "token_renewal", False),
    (["--cacert", "p.pem"], "ca_cert", "/launch/p.pem"),
    (["--capath", "/ca"], "ca_path", "/ca"),
    (["--url", "https://h:1"], "url", "https://h:1"),
    (["-p", "1234"], "port", 1234),
    (["--port", "1234"], "port", 1234),
    (["--queuedata-url", "https://h/q"], "queuedata_url", "https://h/q"),
    (["--queuedata-url", "q.json"], "queuedata_url", "/launch/q.json"),
    (["--storagedata-url", "https://h/s"], "storagedata_url", "https://h/s"),
    (["-k"], "worker_status", False),
    (["--noworkerpilotstatusupdate"], "worker_status", False),
    (["-g", "http://a/, http://b/"], "base_urls", ("http://a/", "http://b/")),
    (["--baseurls", "http://a/"], "base_urls", ("http://a/",)),
    (["--isolation", "thread"], "isolation", "thread"),
    (["--job-file", "j.json"], "job_file", "/launch/j.json"),
    (["--harvester-workdir", "d"], "handover", Handover(harvester=True, access_point="/launch/d")),
    (["--harvester-datadir", "d"], "handover", Handover()),
    (["--harvester-eventstatusdump", "f"], "handover", Handover()),
    (["--harvester-workerattributes", "f"], "handover", Handover()),
    (["--report-file", "r.json"], "report_file", "/launch/r.json"),
    # a choice other than the default, but nothing to warn of
    (["--use-rucio-traces", "no"], "use_rucio_traces", False),
    (["--rucio-host", "r.example.org"], "rucio_host", "r.example.org"),
    (["--leasetime", "3600"], "warnings", ()),
    (["--harvester-submit-mode", "pull"], "warnings", ()),
    (["-r", ""], "warnings", ()),
]
#: Command line, the option that the warning names.
UNBUILT = [
    (["-r", "x"], "--resource"),
    (["--resource", "x"], "--resource"),
    (["-s", "x"], "--site"),
    (["--site", "x"], "--site"),
    (["--country-group", "x"], "--country-group"),
    (["--working-group", "x"], "--working-group"),
    (["--allow-other-country", "yes"], "--allow-other-country"),
    (["-L", "10"], "--leasetime"),
    (["--leasetime", "10"], "--leasetime"),
    (["--stageout-attempts", "3"], "--stageout-attempts"),
    (["--hpc-resource", "titan"], "--hpc-resource"),
    (["--hpc-mode", "jumbojobs"], "--hpc-mode"),
    (["--es-executor-type", "raythena"], "--es-executor-type"),
    (["--subscribe-to-msgsvc"], "--subscribe-to-msgsvc"),
    (["--use-https", "no"], "--use-https"),
    (["--workflow", "stager"], "--workflow"),
    (["--workflow", "eventservice_hpc"], "--workflow"),
]


def made(*argv: str, **environ: str) -> Settings:
    return build(["-q", "QUEUE", *argv], environ, LAUNCH)


@pytest.mark.parametrize(
    ("argv", "field", "value"), BUILT, ids=lambda part: "_".join(part) if isinstance(part, list) else ""
)
def test_option_sets_its_field(argv, field, value):
    settings = made(*argv)
    assert getattr(settings, field) == value
    assert settings.warnings == ()


@pytest.mark.parametrize(("argv", "named"), UNBUILT, ids=lambda part: "_".join(part) if isinstance(part, list) else "")
def test_option_without_effect_is_accepted_and_named_in_a_warning(argv, named):
    (warning,) = made(*argv).warnings
    assert warning.split()[0] == named


def test_all_55_options_of_the_pilots_in_use_are_tried_above():
    own = {"--help", "--version", "--isolation", "--job-file", "--report-file", "--set", "--server-api"}
    known = {option for action in parser()._actions for option in action.option_strings} - own - {"-h", "-q", "--queue"}
    tried = {word for argv, *_ in [*BUILT, *UNBUILT] for word in argv if word.startswith("-")} - own
    assert known == tried
    assert len({option for option in known if option.startswith("--")}) + 1 == 55


def test_defaults_are_those_of_the_pilots_in_use():
    settings = made()
    assert (settings.queue, settings.pilot_user, settings.workflow, settings.job_label) == (
        "QUEUE",
        "generic",
        "generic",
        "ptest",
    )
    assert (settings.port, settings.getjob_requests, settings.getjob_failures) == (25443, 2, 5)
    assert (settings.lifetime_s, settings.heartbeat_s, settings.http_timeout_s) == (324000.0, 1800.0, 120.0)
    assert settings.warnings == ()
    assert settings.launch_dir == "/launch"


@pytest.mark.parametrize("word", ["yes", "true", "t", "y", "1", "YES", "True"])
def test_yes(word):
    assert made("--cleanup", word).cleanup is True


@pytest.mark.parametrize("word", ["no", "false", "f", "n", "0", "No", "FALSE"])
def test_no(word):
    assert made("--cleanup", word).cleanup is False


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--cleanup", "perhaps"], "'perhaps' is neither yes nor no"),
        (["-v", "-1"], "-v"),
        (["-v", "many"], "'many' is not a whole number"),
        (["-l", "1e3"], "whole number"),
        (["-p", "65536"], "'65536' is not a port"),
        (["-p", "0"], "not a port"),
        (["-w", "dance"], "invalid choice: 'dance'"),
        (["--isolation", "none"], "invalid choice"),
        (["--resource-type", "LARGE"], "SCORE"),
        (["--no-such-option"], "--no-such-option"),
        (["--noserver"], "--noserver"),
        (["--set", "beat_s"], "KEY=VALUE"),
        (["--set", "beet_s=1"], "unknown key 'beet_s'; known keys are ballast_bytes, beat_s"),
        (["--set", "beat_s=soon"], "--set: bad value for beat_s: 'soon'"),
        (["--set", "beat_s=-1"], "beat_s"),
        (["--set", "beat_s=nan"], "beat_s"),
        (["--set", "restart_burst=1.5"], "restart_burst"),
        (["--set", "free_space_bytes=some"], "not a size"),
        (["--set", "signal_codes=old"], "bulkhead, classic"),
        (["--url", "ftp://host"], "--url"),
        (["--url", "https://user:secret@host"], "--url: no user name or password"),
        (["--url", "http://host:port"], "--url"),
    ],
)
def test_error_names_the_option_and_the_value(argv, says):
    with pytest.raises(SettingsError, match=re.escape(says)) as caught:
        made(*argv)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("queue", ["", "a b", "../x", "-q", "x" * 200, "a\nb"])
def test_queue_must_be_a_name(queue):
    with pytest.raises(SettingsError, match="queue"):
        build([f"--queue={queue}"], {}, LAUNCH)


def test_queue_is_required():
    with pytest.raises(SettingsError, match=r"-q/--queue.*--help"):
        build([], {}, LAUNCH)


def test_help_shows_groups_defaults_and_examples(capsys):
    with pytest.raises(SystemExit) as left:
        parse(["--help"])
    text = capsys.readouterr().out
    assert left.value.code == 0
    assert all(
        part in text for part in ("who and where:", "the PanDA server:", "(default: 25443)", "examples:", "--set")
    )
    every = {option for action in parser()._actions for option in action.option_strings}
    assert all(option in text for option in every)


def test_set_changes_tuning_and_limits():
    settings = made(
        "--set", "beat_s=1.5", "--set", "restart_burst=2", "--set", "free_space_bytes=3 GB", "--set", "crash_at=x"
    )
    assert (settings.tuning.beat_s, settings.tuning.restart_burst, settings.tuning.crash_at) == (1.5, 2, "x")
    assert settings.limits.free_space_bytes == 3 * 1024**3
    assert made("--set", "signal_codes=classic").tuning.signal_codes == "classic"


def test_getjob_failures_default_becomes_12_in_push_mode():
    assert made("--harvester-submit-mode", "PUSH").getjob_failures == 12
    assert made("--harvester-submit-mode", "PUSH", "-x", "3").getjob_failures == 3


def test_lifetime_variable_wins():
    assert made("-l", "10", PANDAPILOT_LIFETIME="99").lifetime_s == 99.0
    with pytest.raises(SettingsError, match="PANDAPILOT_LIFETIME"):
        made(PANDAPILOT_LIFETIME="long")


def test_base_urls_from_the_environment():
    assert made(PANDA_BASE_URLS="http://a/,").base_urls == ("http://a/",)
    assert made("-g", "http://b/", PANDA_BASE_URLS="http://a/").base_urls == ("http://b/",)


def test_report_file_has_a_place_whenever_updates_go_to_a_file():
    assert made("--job-file", "in/j.json").report_file == "/launch/in/report.json"
    assert made("-z").report_file == "/launch/report.json"
    assert made().report_file == ""


def test_environment_at_entry_is_kept_and_not_shown():
    settings = made(SECRET="canary")
    assert dict(settings.environment) == {"SECRET": "canary"}
    assert "canary" not in repr(settings)


def test_import_is_light():
    code = (
        "import sys, settings.build; print([m for m in ('requests', 'urllib3', 'zmq', 'asyncio') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("environ", "found"),
    [({}, (False, 1.2)), ({"PILOT_ENABLE_DELAY_TO_GET_JOB": "true", "PILOT_LOAD_FACTOR": "3.5"}, (True, 3.5))],
)
def test_the_delay_under_load_comes_from_the_environment(environ, found):
    settings = made(**environ)
    assert (settings.enable_load_delay, settings.load_factor) == found


def test_a_load_factor_that_is_none_is_named():
    with pytest.raises(SettingsError, match="PILOT_LOAD_FACTOR"):
        made(PILOT_LOAD_FACTOR="high")


_TOKEN = {"OIDC_AUTH_TOKEN": "t", "OIDC_AUTH_ORIGIN": "a:b"}


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("http://panda.example.org:25080", ["--url"]),
        ("http://192.0.2.7:25080", ["--url"]),
        ("https://panda.example.org", []),
        ("panda.example.org", []),
        ("http://localhost:8080", []),
        ("http://127.0.0.1:8080", []),
        ("http://[::1]:8080", []),
    ],
)
def test_a_token_over_plain_http_to_another_host_is_warned_of(url, named):
    assert [warning.split(":")[0] for warning in made("--url", url, **_TOKEN).warnings] == named
    assert made("--url", url).warnings == ()


@pytest.mark.parametrize("option", ["--queuedata-url", "--storagedata-url"])
def test_a_description_over_plain_http_from_another_host_is_warned_of(option):
    (warning,) = made(option, "http://panda.example.org/x").warnings
    assert warning.startswith(f"{option}: it comes over plain http")
    assert made(option, "http://127.0.0.1/x").warnings == made(option, "/a/file").warnings == ()
