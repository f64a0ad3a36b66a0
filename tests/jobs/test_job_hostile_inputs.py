"""Hostile inputs H001 to H039 and H043 of the pitfalls: each is refused with field and code, or safe."""

import json
import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from job_texts import ANALYSIS, HPO, PRODUCTION, SMALL, text_of

from jobs.definition import DefinitionError, identify, parse
from jobs.transform import decide_transform

REFUSED = {
    "H001 input": ({"inFiles": "../../etc/passwd"}, "inFiles", 1402),
    "H001 output": ({"outFiles": "../../etc/passwd", "scopeOut": "s"}, "outFiles", 1371),
    "H002 input": ({"inFiles": "/abs/path"}, "inFiles", 1402),
    "H002 output": ({"outFiles": "/abs/path", "scopeOut": "s"}, "outFiles", 1371),
    "H003 input": ({"inFiles": "-rf"}, "inFiles", 1402),
    "H003 output": ({"outFiles": "-rf", "scopeOut": "s"}, "outFiles", 1371),
    "H004 input": ({"inFiles": "a;touch pwn"}, "inFiles", 1402),
    "H004 output": ({"outFiles": "a;touch pwn", "scopeOut": "s"}, "outFiles", 1371),
    "H005 dollar": ({"inFiles": "a$(id)"}, "inFiles", 1402),
    "H005 backtick": ({"outFiles": "a`id`", "scopeOut": "s"}, "outFiles", 1371),
    "H006 newline": ({"inFiles": "a\nb"}, "inFiles", 1402),
    "H006 newline at the end": ({"inFiles": "ab\n"}, "inFiles", 1402),
    "H006 tab": ({"inFiles": "a\tb"}, "inFiles", 1402),
    "H006 NUL": ({"outFiles": "a\0b", "scopeOut": "s"}, "outFiles", 1371),
    "H006 return": ({"outFiles": "ab\r", "scopeOut": "s"}, "outFiles", 1371),
    "H007 input": ({"inFiles": "a" * 5000}, "inFiles", 1190),
    "H007 output": ({"outFiles": "a" * 5000, "scopeOut": "s"}, "outFiles", 1190),
    "H007 log": ({"logFile": "a" * 5000}, "logFile", 1190),
    "H008 inputs": ({"inFiles": "A.root,a.root"}, "inFiles", 1402),
    "H008 outputs": ({"outFiles": "A.root,a.root", "scopeOut": "s,s"}, "outFiles", 1371),
    "H008 Unicode form": ({"inFiles": "caf\u00e9,cafe\u0301"}, "inFiles", 1402),
    "H009 right-to-left": ({"inFiles": "a\u200fb"}, "inFiles", 1402),
    "H009 lone surrogate": ({"inFiles": "a\udcffb"}, "inFiles", 1402),
    "H010 two destinations": ({"outFiles": "ab,ab", "scopeOut": "s,t"}, "outFiles", 1371),
    "H011 input": ({"inFiles": "ab", "outFiles": "ab", "scopeOut": "s"}, "outFiles", 1371),
    "H011 input by case": ({"inFiles": "AB", "outFiles": "ab", "scopeOut": "s"}, "outFiles", 1371),
    "H011 log by case": ({"outFiles": "AB", "scopeOut": "s", "logFile": "ab"}, "logFile", 1371),
    "H011 log is an input": ({"inFiles": "x.tgz", "logFile": "x.tgz"}, "logFile", 1371),
    "H011 pilotlog.txt": ({"outFiles": "pilotlog.txt", "scopeOut": "s"}, "outFiles", 1371),
    "H011 payload.stdout": ({"outFiles": "payload.stdout", "scopeOut": "s"}, "outFiles", 1371),
    "H011 secrets as input": ({"inFiles": "panda_secrets.json"}, "inFiles", 1402),
    "H012": ({"inFiles": "ab", "scopeIn": ".."}, "scopeIn", 1402),
    "H012 output": ({"outFiles": "ab", "scopeOut": ".."}, "scopeOut", 1402),
    "H012 log": ({"logFile": "ab", "scopeLog": "a..b"}, "scopeLog", 1402),
    "H013": ({"inFiles": "ab", "scopeIn": "x:y"}, "scopeIn", 1402),
    "H014 input": ({"inFiles": "ab", "GUID": "not-hex"}, "GUID", 1402),
    "H014 log": ({"logFile": "ab", "logGUID": "zz"}, "logGUID", 1402),
    "H015 slash": ({"logFile": "dir/"}, "logFile", 1371),
    "H016": ({"logFile": "x.tgz;rm"}, "logFile", 1371),
    "H017": ({"transformation": "http://127.0.0.1/x|sh"}, "transformation", 1149),
    "H017 encoded": ({"transformation": "http://127.0.0.1/%2e%2e/x"}, "transformation", 1149),
    "H017 other scheme": ({"transformation": "file:///etc/passwd"}, "transformation", 1149),
    "H018": ({"transformation": "../../bin/sh"}, "transformation", 1402),
    "H018 inside": ({"transformation": "a/../../b"}, "transformation", 1402),
    "H018 shell": ({"transformation": "x;id"}, "transformation", 1402),
    "H019 too long": ({"jobPars": "x" * (33 * 1024 * 1024)}, "jobPars", 1402),
    "H022 negative": ({"PandaID": -1}, "PandaID", 1402),
    "H022 zero": ({"PandaID": 0}, "PandaID", 1402),
    "H022 2^63": ({"PandaID": 2**63}, "PandaID", 1402),
    "H022 text": ({"PandaID": "12abc"}, "PandaID", 1302),
    "H022 missing": ({"PandaID": None}, "PandaID", 1402),
    "H022 list": ({"PandaID": [1]}, "PandaID", 1302),
    "H022 true": ({"PandaID": True}, "PandaID", 1302),
    "H023 negative": ({"attemptNr": -1}, "attemptNr", 1402),
    "H023 list": ({"attemptNr": [1]}, "attemptNr", 1302),
    "H024 negative": ({"inFiles": "ab", "fsize": "-1"}, "fsize", 1402),
    "H024 2^70": ({"inFiles": "ab", "fsize": str(2**70)}, "fsize", 1402),
    "H024 NaN": ({"inFiles": "ab", "fsize": "NaN"}, "fsize", 1302),
    "H024 1e400": ({"inFiles": "ab", "fsize": "1e400"}, "fsize", 1302),
    "H025 too long": ({"inFiles": "ab", "checksum": "ad:123456789"}, "checksum", 1402),
    "H025 no digits": ({"inFiles": "ab", "checksum": "ad:"}, "checksum", 1402),
    "H025 not hex": ({"inFiles": "ab", "checksum": "ad:0000000g"}, "checksum", 1402),
    "H025 short md5": ({"inFiles": "ab", "checksum": "md:00"}, "checksum", 1402),
    "H027 longer": ({"inFiles": "a,b,c", "fsize": "1,2,3,4"}, "fsize", 1312),
    "H029 negative": ({"coreCount": -1}, "coreCount", 1402),
    "H029 million": ({"coreCount": 10**6}, "coreCount", 1402),
    "H030 negative": ({"maxCpuCount": -5}, "maxCpuCount", 1402),
    "H031 negative": ({"maxWalltime": -1}, "maxWalltime", 1402),
    "H031 a date": ({"maxWalltime": "2020-01-01"}, "maxWalltime", 1302),
    "H033 with blanks": ({"prodSourceLabel": "a b"}, "prodSourceLabel", 1402),
    "H037 LD_PRELOAD": ({"jobPars": "x --overwriteQueueData {'environ': 'LD_PRELOAD=/x.so'}"}, "jobPars", 1402),
    "H037 PATH": ({"jobPars": "--overwriteQueueData={'environ': 'A=1 PATH=/tmp'}"}, "jobPars", 1402),
    "H037 proxy": ({"jobPars": '--overwriteQueueData {"environ": "export X509_USER_PROXY=/x"}'}, "jobPars", 1402),
    "H038 root": ({"container_name": "/"}, "container_name", 1402),
    "H038 option": ({"container_name": "docker://a --bind /:/host"}, "container_name", 1402),
    "H038 option in the parameters": ({"jobPars": "--containerImage=--bind"}, "jobPars", 1402),
    "H038 options of the queue": (
        {"jobPars": "--overwriteQueueData {'container_options': '--bind /:/host'}"}, "jobPars", 1402,
    ),
    "H041 endpoint in": ({"inFiles": "ab", "ddmEndPointIn": "file:///etc"}, "ddmEndPointIn", 1402),
    "H041 endpoint out": ({"outFiles": "ab", "scopeOut": "s", "ddmEndPointOut": "file://h/x"}, "ddmEndPointOut", 1402),
    "H041 dataset": ({"inFiles": "ab", "realDatasetsIn": "file:///etc"}, "realDatasetsIn", 1402),
    "H043": ({"debug": "gdb; id"}, "debug", 1302),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "field", "code"), REFUSED.values(), ids=REFUSED)
def test_hostile_value_is_refused(changes, field, code):
    with pytest.raises(DefinitionError) as caught:
        parse(text_of(SMALL, **changes))
    error = caught.value
    assert (error.field, error.code) == (field, code)
    assert error.job_id == (None if field == "PandaID" else 4711)
    assert error.attempt_nr == (None if field == "attemptNr" else 3)
    assert len(error.diagnostics) <= 256
    assert error.diagnostics.isascii()


TEXTS = {
    "H024 NaN as a number": ('{"PandaID": 4711, "attemptNr": 3, "fsize": NaN}', "definition"),
    "H024 1e400 as a number": ('{"PandaID": 4711, "attemptNr": 3, "fsize": 1e400}', "definition"),
    "H034": ('{"PandaID": 4711, "attemptNr": 3, "outFiles": "a", "outFiles": "b"}', "outFiles"),
    "H034 url-encoded": ("PandaID=1&attemptNr=3&outFiles=a&outFiles=b", "outFiles"),
    "H034 inside": ('{"PandaID": 4711, "attemptNr": 3, "preprocess": {"a": 1, "a": 2}}', "a"),
    "H035": ('{"PandaID": 4711, "attemptNr": 3, "x": ' + "[" * 100_000 + "]" * 100_000 + "}", "definition"),
    "H035 70 deep": ('{"PandaID": 4711, "attemptNr": 3, "x": ' + "[" * 70 + "]" * 70 + "}", "definition"),
    "H009 invalid UTF-8": (b'{"PandaID": 4711, "attemptNr": 3, "inFiles": "\xff"}', "definition"),
    "cut": ('{"PandaID": 4711, "attemptNr": 3, "inFi', "definition"),
    "html": ("<html>a=b</html>", "definition"),
    "empty": ("", "definition"),
    "list": ("[]", "definition"),
    "number of 5000 digits": ('{"PandaID": 4711, "attemptNr": 3, "x": ' + "9" * 5000 + "}", "definition"),
    "too many pairs": ("&".join(f"k{i}=1" for i in range(1001)), "definition"),
}


@pytest.mark.parametrize(("text", "field"), TEXTS.values(), ids=TEXTS)
def test_hostile_text_is_refused(text, field):
    with pytest.raises(DefinitionError) as caught:
        parse(text)
    assert (caught.value.field, caught.value.code) == (field, 1402)
    if b"4711" in (text if isinstance(text, bytes) else text.encode()):
        assert (caught.value.job_id, caught.value.attempt_nr) == (4711, 3)


def test_text_beyond_the_limit_is_refused():
    with pytest.raises(DefinitionError, match="longer than 67108864 bytes"):
        parse(b" " * (64 * 1024 * 1024 + 1))


def test_h010_repeated_output_with_one_destination_counts_once():
    assert [f.lfn for f in parse(text_of(outFiles="ab,ab", scopeOut="s,s")).outputs] == ["ab"]


def test_h014_empty_guid():
    assert parse(text_of(inFiles="ab", GUID="")).inputs[0].guid == ""


@pytest.mark.parametrize("name", ["", "NULL", None])
def test_h015_no_log_name_means_no_log(name):
    assert parse(text_of(logFile=name)).log is None


def test_h017_url_outside_of_the_allowed_bases():
    with pytest.raises(DefinitionError) as caught:
        decide_transform("http://127.0.0.1/x", ["http://pandaserver.example.org/trf"])
    assert caught.value.code == 1149


def test_h019_ten_megabytes_of_parameters():
    text = "--x 'y' " * 1_310_720
    assert parse(text_of(jobPars=text)).parameters == text


def test_h020_unbalanced_quotes():
    assert parse(text_of(jobPars='-x "a b --containerImage evil')).parameters == '-x "a b --containerImage evil'


def test_h021_format_characters_stay():
    text = "%s {} {0.__class__} %(x)s {x!r}"
    assert parse(text_of(jobPars=text)).parameters == text


def test_h023_missing_attempt_number():
    assert parse(text_of(attemptNr=None)).attempt_nr == 0


@pytest.mark.parametrize("text", ["ad:0011AABB", "AD:0011aabb", "0011aabb", "11aabb", "adler32:11AABB"])
def test_h025_forms_of_a_checksum(text):
    file = parse(text_of(inFiles="ab", checksum=text)).inputs[0]
    assert (file.checksum_type, file.checksum_value) == ("adler32", "0011aabb")


def test_h026_9999_inputs():
    names = ",".join(f"file_{i}.root" for i in range(9999))
    assert len(parse(text_of(inFiles=names, fsize=",".join("1" * 9999))).inputs) == 9999


def test_h027_shorter_lists_are_padded():
    assert [f.size_bytes for f in parse(text_of(inFiles="a,b,c", fsize="1,2")).inputs] == [1, 2, None]


@pytest.mark.parametrize("null", ["None", "NULL", "", None, "null", " none "])
def test_h028_nulls_everywhere(null):
    keys = set(PRODUCTION) | set(ANALYSIS) | set(HPO)
    job = parse(json.dumps({**dict.fromkeys(keys, null), **SMALL}))
    assert job == parse(text_of())


@pytest.mark.parametrize(("key", "value", "attribute", "meaning"), [
    ("coreCount", 0, "core_count", 1),
    ("maxCpuCount", 0, "max_cpu_count_s", 0),
    ("maxCpuCount", 1, "max_cpu_count_s", 1),
    ("maxWalltime", 1, "max_walltime_s", 1),
    ("minRamCount", 1, "min_ram_mb", 1),
    ("prodSourceLabel", "nobody_knows", "label", "nobody_knows"),
    ("container_name", "docker://evil", "container_image", "docker://evil"),
    ("secrets", '{"a": "b\nc"}', "secrets", '{"a": "b\nc"}'),
    ("environ", "LD_PRELOAD=/x.so", "environment", (("PANDAID", "4711"), ("PanDA_TaskID", "0"))),
], ids=["H029", "H030 unlimited", "H030 one second", "H031", "H032", "H033", "H038", "H039", "H037"])  # fmt: skip
def test_hostile_but_legal(key, value, attribute, meaning):
    assert getattr(parse(text_of(**{key: value})), attribute) == meaning


def test_h036_text_in_a_text_in_a_text():
    deep = "x"
    for _ in range(12):
        deep = json.dumps(deep)
    assert parse(text_of(jobPars=deep)).parameters == deep


def test_h039_secrets_never_appear_in_an_error():
    with pytest.raises(DefinitionError) as caught:
        parse(text_of(secrets="canary\0"))
    assert "canary" not in str(caught.value)


def test_identify_believes_no_number_that_comes_twice():
    who = identify('{"PandaID": 1, "PandaID": 2, "attemptNr": 3,')
    assert (who.job_id, who.attempt_nr) == (None, 3)


def test_identify_gives_the_log_of_a_broken_job():
    who = identify(text_of(PRODUCTION, fsize="x"))
    assert who.log is not None
    assert (who.job_id, who.task_id, who.log.scope) == (6712345678, 41234567, "mc23")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
NASTY = st.sampled_from(
    ["NULL", "a,b", "a,NULL,b", "../x", "{'a': 1}", "--overwriteQueueData {", "x:y^z", "{[(", "-1", ","]
)
KEYS = sorted(set(PRODUCTION) | set(ANALYSIS) | set(HPO) | {"writeToFile", "postprocess", "isHPO", "useVP"})
OBJECTS = st.dictionaries(st.sampled_from(KEYS), NASTY | JSON, max_size=12)
QUICK = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def outcome(text):
    try:
        return parse(text)
    except DefinitionError as error:
        return error


@QUICK
@given(st.sampled_from([{}, SMALL, PRODUCTION, ANALYSIS, HPO]), OBJECTS)
def test_fuzzed_keys_raise_nothing_else(base, changes):
    text = json.dumps({**base, **changes})
    identify(text)
    found = outcome(text)
    if isinstance(found, DefinitionError):
        assert found.field
        assert len(str(found)) <= 256
    else:
        assert all(re.fullmatch(r"[A-Za-z0-9][^/\s]*", file.lfn) for file in (*found.inputs, *found.outputs))


@QUICK
@given(st.text() | st.binary() | st.text("{}[]\"':,=&ab1.e-"))
def test_fuzzed_texts_raise_nothing_else(text):
    identify(text)
    assert isinstance(outcome(text), DefinitionError)


@QUICK
@given(st.text("--overwriteQueueData {}'\"[]():,a1\\ <ZIP_MAP>/containerImage=", max_size=60), st.text(max_size=20))
def test_fuzzed_parameters_raise_nothing_else(head, tail):
    for text in (f"--overwriteQueueData {head}{tail}", f"--containerImage {head}", f"<ZIP_MAP>{head}", f"{tail}{head}"):
        found = outcome(text_of(jobPars=text))
        assert not isinstance(found, DefinitionError) or found.field == "jobPars"
