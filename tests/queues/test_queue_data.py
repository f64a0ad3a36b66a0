"""Queue documents: conformance cases 65 and 66, hostile input H040."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queue_texts import QUEUE, queue_of

from errors.catalogue import process_exit_code
from queues.faults import QueueError
from queues.queue import check_active, check_online, parse_queue


def test_case_65_example_queue():
    queue = queue_of()
    assert (queue.name, queue.time_floor_s, queue.site, queue.rss_factor) == ("EXAMPLE_SITE", 3600, "EXAMPLE-PROD", 2.0)
    assert (queue.container_type["pilot"], queue.zip_time_gap_s, queue.workdir_factor) == ("apptainer", 7200, 1.2)
    assert (queue.max_workdir_mb, queue.is_cvmfs, queue.direct_access_lan, queue.walltime_factor) == (
        30000,
        False,
        True,
        1.0,
    )
    assert (queue.internet_protocol_version, queue.allow_alt_stage_out, queue.core_count) == ("IPv4", True, 8)
    assert (queue.copytools, queue.copytool_setups["gfalcopy"]) == (("rucio", "gfalcopy"), "/setup.sh")
    assert queue.acopytools_schemas["read_lan/rucio"] == ("root", "davs")
    assert queue.container_options == "-B /cvmfs,${workdir} --contain"


@pytest.mark.parametrize(
    ("field", "value", "check", "code", "shell"),
    [("state", "DISABLED", check_active, 1359, 78), ("status", "offline", check_online, 1386, 83)],
)
def test_case_66_queue_that_takes_no_jobs(field, value, check, code, shell):
    check_active(queue_of())
    check_online(queue_of())
    with pytest.raises(QueueError) as caught:
        check(queue_of(**{field: value}))
    assert (caught.value.code, caught.value.field, process_exit_code(caught.value.code)) == (code, field, shell)


def test_queue_without_state_is_not_active():
    with pytest.raises(QueueError, match="without state"):
        check_active(parse_queue("{}", "Q"))


def test_defaults():
    queue = parse_queue("{}", "Q")
    assert (queue.name, queue.core_count, queue.allow_lan, queue.allow_wan, queue.is_cvmfs) == (
        "Q",
        1,
        True,
        False,
        True,
    )
    assert (queue.rss_factor, queue.workdir_factor, queue.allow_alt_stage_out, queue.time_floor_s) == (
        2.0,
        1.2,
        None,
        0,
    )


def test_null_values_are_defaults():
    assert parse_queue(json.dumps(dict.fromkeys(QUEUE, "NULL")), "Q") == parse_queue("{}", "Q")


def test_catchall():
    queue = queue_of()
    assert queue.has_tag("allow_wan_for_lib")
    assert (queue.tag_value("IMAGE_BASE"), queue.tag_value("nopenfiles"), queue.tag_value("BASE")) == (
        "/images",
        "3",
        "",
    )


def test_environment():
    assert queue_of().environment == (("FRONTIER_PROXY", "site"), ("A", "b c"), ("B", "1"), ("C", "2"))


@pytest.mark.parametrize(
    ("options", "catchall", "result"),
    [
        ("None", "", ""),
        (None, "x singularity_options='-B /a --contain'", "-B /a,${workdir} --contain"),
        (None, 'apptainer_options="-e"', "-e"),
        ("-B ${workdir} --contain", "", "-B ${workdir} --contain"),
    ],
)
def test_container_options(options, catchall, result):
    assert queue_of(container_options=options, catchall=catchall).container_options == result


def test_opportunistic_queue():
    assert queue_of(pledgedcpu=-1).zip_time_gap_s == 600
    assert queue_of(pledgedcpu=-1, zip_time_gap=5).zip_time_gap_s == 5


def test_document_with_many_queues():
    document = json.dumps({"A": {"timefloor": 1}, "B": {"timefloor": 2}})
    assert parse_queue(document, "B").time_floor_s == 120
    with pytest.raises(QueueError) as caught:
        parse_queue(document, "C")
    assert caught.value.code == 1116


def test_short_document_over_the_full_one():
    full = json.dumps({"Q": {"maxrss": 1, "maxwdir": 2}})
    queue = parse_queue('{"maxrss": 5}', "Q", schedconf=full)
    assert (queue.max_rss_mb, queue.max_workdir_mb) == (5, 2)


def test_overrides_win():
    assert parse_queue('{"maxrss": 5}', "Q", {"maxrss": 7, "cmtconfig": "x"}).max_rss_mb == 7


def test_python_literals_are_understood():
    assert queue_of(copytools="{'mv': {'setup': ''}}").copytools == ("mv",)


@pytest.mark.parametrize(
    ("text", "field", "code"),
    [
        ("", "queuedata", 1116),
        (b" \n", "queuedata", 1116),
        ('{"error": "no such queue"}', "queuedata", 1116),
        ("<html>", "queuedata", 1117),
        ("[]", "queuedata", 1117),
        ("[" * 100_000, "queuedata", 1117),
        ('{"timefloor": "x"}', "timefloor", 1117),
        ('{"maxrss": -1}', "maxrss", 1117),
        ('{"allow_wan": "perhaps"}', "allow_wan", 1117),
        ('{"copytools": 5}', "copytools", 1117),
        ('{"astorages": {"pr": ["file:///x"]}}', "astorages", 1117),
        ('{"params": {"pilot_rss_grace": "x"}}', "pilot_rss_grace", 1117),
        ('{"acopytools_schemas": {"pr": ["x y"]}}', "acopytools_schemas", 1117),
    ],
)
def test_refused_with_code_and_field(text, field, code):
    with pytest.raises(QueueError) as caught:
        parse_queue(text, "Q")
    assert (caught.value.field, caught.value.code) == (field, code)


@pytest.mark.parametrize(
    "data",
    [
        {"copytools": {"../../x": {}}},
        {"acopytools": {"pr": ["../../x"]}},
        {"acopytools": {"pr": "rm -rf"}},
        {"acopytools": {"pr": [None]}},
    ],
)
@pytest.mark.parametrize("by_job", [False, True])
def test_h040_names_that_are_no_copytool(data, by_job):
    with pytest.raises(QueueError) as caught:
        parse_queue("{}" if by_job else json.dumps(data), "Q", data if by_job else None)
    assert (caught.value.code, caught.value.field) == (1323, next(iter(data)))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(QUEUE)), VALUES, max_size=8))
def test_fuzzed_queue_raises_nothing_else(changes):
    try:
        queue_of(**changes)
    except QueueError as error:
        assert len(str(error)) <= 256  # noqa: PT017
