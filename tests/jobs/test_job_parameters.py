"""What is cut out of the parameters, transforms, and literals without eval."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.definition_error import DefinitionError
from jobs.environment import check_environ, is_kept
from jobs.literals import parse_literal, read_literal
from jobs.parameters import process
from jobs.transform import Transform, decide_transform

QUEUE = [
    "-a --overwriteQueueData {'maxrss': 1, 'x': {'y': [1, 2.5, None, True]}} -b",
    '-a --overwriteQueueData={"maxrss": 1, "x": {"y": [1, 2.5, null, true]}} -b',
    "-a --overwriteQueueData \"{'maxrss': 1, 'x': {'y': (1, 2.5, None, True)}}\" -b",
    '-a --overwriteQueueData \'{"maxrss": 1, "x": {"y": [1, 2.5, null, true]}}\' -b',
    '-a --overwriteQueueData "{\\"maxrss\\": 1, \\"x\\": {\\"y\\": [1, 2.5, null, true]}}" -b',
]


@pytest.mark.parametrize("text", QUEUE)
def test_queue_values_are_read_and_cut_out(text):
    found = process(text)
    assert found.overwrite_queue == {"maxrss": 1, "x": {"y": [1, 2.5, None, True]}}
    assert found.text == "-a -b"


def test_all_options_together():
    text = "--overwriteQueuedata={'a': 1} -x  'a  b' --overwriteStorageData {'R': {'id': 1}}"
    text += " <ZIP_MAP>o:i</ZIP_MAP> --containerImage 'img:1' %s"
    found = process(text)
    assert (found.text, found.zip_map, found.image) == ("-x  'a  b' %s", "o:i", "img:1")
    assert (found.overwrite_queue, found.overwrite_storage) == ({}, {"R": {"id": 1}})


@pytest.mark.parametrize(
    "text",
    ["'--containerImage x'", '-p "a --containerImage x"', "-p 'a --overwriteQueueData {'", "x\\'--containerImage"],
)
def test_quoted_text_is_left_alone(text):
    assert process(text).text == text


@pytest.mark.parametrize(
    "value", ["{", "[1]", "'{'", "{'a': x}", "{'a': 1, 'a': 2}", "{" * 100, "{'a': 1e999}", "{1: 2", '"{']
)
def test_broken_queue_values(value):
    with pytest.raises(DefinitionError):
        process(f"--overwriteQueueData {value}")


LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(LITERALS)
def test_literals_read_as_python_wrote_them(value):
    assert parse_literal(repr(value)) == ast.literal_eval(repr(value))


@pytest.mark.parametrize(
    "text",
    ["", "x", "__import__('os')", "f'x'", "1 2", "{1}", "{'a': 1, 'a': 2}", "'a' 'b'", "'", "[1,,2]", "(1", "{]"],
)
def test_no_literal(text):
    with pytest.raises(ValueError):
        parse_literal(text)


def test_literal_with_text_behind_it():
    assert read_literal("x={'a': 'b}'} rest", 2) == ({"a": "b}"}, 13)


BASES = ["http://panda.example.org:25085/trf/user", "https://cache.example.org/trf/", "not a url"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://panda.example.org:25085/trf/user/runGen-00-00-02", "runGen-00-00-02"),
        ("http://PANDA.example.org:25085/trf/user/a/b.sh", "b.sh"),
        ("https://cache.example.org:443/trf/x", "x"),
    ],
)
def test_url_under_a_base(url, name):
    assert decide_transform(url, BASES) == Transform("url", url, name)


@pytest.mark.parametrize(
    "url",
    [
        "http://panda.example.org:25085/trf/username/x",
        "http://panda.example.org:25085/trf/user",
        "http://panda.example.org/trf/user/x",
        "https://panda.example.org:25085/trf/user/x",
        "http://panda.example.org.evil.org:25085/trf/user/x",
        "http://a@panda.example.org:25085/trf/user/x",
        "http://panda.example.org:25085/trf/user/../x",
        "http://panda.example.org:25085/trf/user//x",
        "http://panda.example.org:25085/trf/user/x?y",
        "http://panda.example.org:25085/trf/user/.x",
        "http://panda.example.org:25085/trf/user/x\n",
        "http://panda.example.org:25085/trf/user/-x",
    ],
)
def test_url_under_no_base(url):
    with pytest.raises(DefinitionError) as caught:
        decide_transform(url, BASES)
    assert caught.value.code == 1149


@pytest.mark.parametrize(
    ("transformation", "line"),
    [
        ("Reco_tf.py", "Reco_tf.py a 'b'"),
        ("./run.sh", "./run.sh a 'b'"),
        ("sub/run.sh", "./sub/run.sh a 'b'"),
        ("/bin/echo", "/bin/echo a 'b'"),
        ("python3 run.py", "python3 run.py a 'b'"),
        ("https://cache.example.org/trf/x@1", "./x@1 a 'b'"),
    ],
)
def test_command_line(transformation, line):
    assert decide_transform(transformation, BASES).command_line("a 'b'") == line


def test_command_line_without_parameters():
    assert decide_transform("true", ()).command_line() == "true"


@pytest.mark.parametrize("name", ["LD_AUDIT", "path", "PYTHONPATH", "X509_CERT_DIR", "BASH_ENV", "PANDA_AUTH_TOKEN"])
def test_kept_variables(name):
    assert is_kept(name)
    with pytest.raises(DefinitionError, match="may not set"):
        check_environ(f"A=1;export {name} = x", "jobPars")


def test_other_variables_may_be_set():
    check_environ("FRONTIER_PROXY=site LD=1 MYPATH=2", "jobPars")
