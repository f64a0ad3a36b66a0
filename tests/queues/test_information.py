"""Which sources are asked, in which order, and where a job's lines go (panda-protocol 8.1, 8.3, behaviour 24)."""

import pytest
from queue_texts import job_of, queue_of

from jobs.ledger import Hunt
from settings.settings import Settings
from workflows.information import life_limit_s, overrides_of, queue_task
from workflows.realtime import log_stream

CVMFS = "/sw/atlas.cern.ch/repo/sw/local/etc"


def task_of(*, environment=(("ATLAS_SW_BASE", "/sw"),), **fields):
    return queue_task(Settings(queue="Q", launch_dir="/launch", environment=environment, **fields), "/home")


def test_the_usual_sources():
    task = task_of()
    assert task.queue_sources == (
        "/launch/queuedata.json",
        "https://pandaserver.cern.ch:25443/cache/schedconfig/{pandaqueue}.all.json",
        f"{CVMFS}/cric_pandaqueues.json",
        "https://atlas-cric.cern.ch/cache/schedconfig/{pandaqueue}.json",
    )
    assert task.full_sources == ("/launch/cric_pandaqueues.json", *task.queue_sources[2:])
    assert task.storage_sources == (
        "/launch/cric_ddmendpoints.json",
        f"{CVMFS}/cric_ddmendpoints.json",
        "https://atlas-cric.cern.ch/cache/ddmendpoints.json",
    )
    assert (task.cache_dir, task.needed_paths) == ("/home", ())


def test_what_the_user_names_wins_and_is_not_replaced_by_another_experiments():
    own = {"queuedata_url": "http://h/q", "storagedata_url": "http://h/s"}
    task = task_of(**own)
    assert task.queue_sources == ("/launch/queuedata.json", "http://h/q")
    assert task.storage_sources == ("http://h/s", "/launch/cric_ddmendpoints.json")
    atlas = task_of(pilot_user="ATLAS", **own)
    assert atlas.queue_sources[1:3] == ("http://h/q", f"{CVMFS}/cric_pandaqueues.json")
    assert len(atlas.storage_sources) == 4


def test_a_local_full_description_and_a_cache_directory():
    environment = (("LOCAL_AGIS_SCHEDCONF", "/site/full.json"),)
    task = task_of(environment=environment, information_cache_dir="/cache")
    assert task.full_sources[0] == "/site/full.json"
    assert task.cache_dir == "/cache"
    assert task.queue_sources[2].startswith("/cvmfs/")


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({"pilot_user": "atlas"}, ("/sw/atlas.cern.ch/repo/sw",)),
        ({"pilot_user": "atlas", "check_cvmfs": False}, ()),
        ({"pilot_user": "atlas", "environment": (("NO_CVMFS_OK", "1"),)}, ()),
        ({"pilot_user": "generic"}, ()),
    ],
)
def test_what_is_needed_of_cvmfs(fields, needed):
    assert task_of(**fields).needed_paths == needed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("None", {}),
        ("rucio, gfal", {"acopytools": {"default": ["rucio", "gfal"]}}),
        ("{'pr': ['cp']}", {"acopytools": "{'pr': ['cp']}"}),
    ],
)
def test_copy_tools_of_the_configuration(text, found):
    assert overrides_of(Settings(queue="Q", acopytools=text)) == found


@pytest.mark.parametrize(("maxtime", "option", "life"), [(0, 50.0, 50.0), (40, 50.0, 40.0), (60, 50.0, 50.0)])
def test_the_pilots_life(maxtime, option, life):
    hunt = Hunt(queue_text=f'{{"nickname": "Q", "maxtime": {maxtime}}}')
    assert life_limit_s(hunt, Settings(queue="Q", lifetime_s=option)) == life
    assert life_limit_s(Hunt(), Settings(queue="Q", lifetime_s=option)) == option
    assert life_limit_s(hunt, Settings(queue="Q", lifetime_s=option, pod=True)) == option


def stream_of(catchall="", *, environment=(), job=None, **fields):
    settings = Settings(queue="Q", environment=environment, **fields)
    return log_stream(job or job_of(taskID=5), queue_of(catchall=catchall), settings)


def test_no_lines_leave_unless_asked_for_and_a_server_is_named():
    assert stream_of() is None
    assert stream_of(use_realtime_logging=True) is None
    assert stream_of(environment=(("LOKI_URL", "http://l"),)).dormant
    assert stream_of(realtime_logging_server="loki;http://l").dormant
    assert stream_of("logging=kafka;http://l") is None
    assert stream_of("logging=loki;file:///etc/passwd") is None
    assert stream_of(job=job_of(debug="True"), realtime_logging_server="loki;http://l").dormant is False


def test_where_lines_go():
    loki = stream_of(use_realtime_logging=True, environment=(("LOKI_URL", "https://l:3100/"), ("LOKI_PERIOD", "7")))
    assert (loki.kind, loki.url, loki.file, loki.period_s) == (
        "loki",
        "https://l:3100/loki/api/v1/push",
        "payload.stdout",
        7.0,
    )
    secrets = {"logstash_login": "u", "logstash_password": "canary"}
    job = job_of(taskID=5, pilotSecrets=secrets)
    logstash = stream_of("logging=logstash;http://h:8443,loggingfile=out.txt", job=job)
    assert (logstash.kind, logstash.url) == ("logstash", "http://h:8443")
    assert (logstash.file, logstash.period_s) == ("out.txt", 5.0)
    assert (logstash.user, logstash.password) == ("u", "canary")
    assert "canary" not in repr(logstash)
    assert {label.name: label.value for label in logstash.labels}["TaskID"] == "5"


@pytest.mark.parametrize("name", ["../pilotlog.txt", "/etc/passwd", "a/b"])
def test_a_queue_cannot_name_a_file_outside_the_job(name):
    assert stream_of(f"logging=loki;http://l loggingfile={name}").file == "payload.stdout"


@pytest.mark.parametrize(("text", "period_s"), [("", 30.0), ("0", 1.0), ("x", 30.0), ("1e9", 30.0), ("-3", 30.0)])
def test_a_period_that_is_none(text, period_s):
    environment = (("LOKI_URL", "http://l"), ("LOKI_PERIOD", text))
    assert stream_of(use_realtime_logging=True, environment=environment).period_s == period_s
