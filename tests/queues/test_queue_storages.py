"""Storage documents and paths: conformance case 67, hostile inputs H041 and H042."""

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queue_texts import DAVS, STORAGES, storages_of

from queues.faults import PlacementError, QueueError
from queues.paths import deterministic_path, join_url, output_url
from queues.storages import Access, parse_storages


def test_example_storages():
    found = storages_of()
    assert (found["EXAMPLE-PROD_DATADISK"].id, found["EXAMPLE-PROD_DATADISK"].is_deterministic) == (1001, True)
    assert (found["EXAMPLE-PROD_ES"].is_object_store, found["EXAMPLE-PROD_ES"].bucket_id) == (True, 77)
    assert [a.scheme for a in found["EXAMPLE-PROD_DATADISK"].protocols["read_lan"]] == ["root", "davs"]


def test_only_the_wanted_are_looked_at():
    broken = json.dumps({**STORAGES, "BROKEN": 5})
    assert list(parse_storages(broken, ["EXAMPLE-PROD_ES", "NOT_THERE"])) == ["EXAMPLE-PROD_ES"]
    with pytest.raises(QueueError):
        parse_storages(broken)


def test_job_values_win_key_by_key():
    found = parse_storages(json.dumps(STORAGES), ["EXAMPLE-PROD_ES"], {"EXAMPLE-PROD_ES": {"id": 5}})
    assert (found["EXAMPLE-PROD_ES"].id, found["EXAMPLE-PROD_ES"].type) == (5, "OS_ES")


def test_case_67_output_url():
    digest = hashlib.md5(b"mc23:f.root").hexdigest()
    url = output_url(storages_of()["EXAMPLE-PROD_DATADISK"], "mc23", "f.root", ("davs", "root"))
    assert url == f"davs://se.example.org:443/atlas/datadisk/rucio/mc23/{digest[:2]}/{digest[2:4]}/f.root"


def test_scope_is_split_at_dots():
    digest = hashlib.md5(b"user.jdoe:f").hexdigest()
    assert deterministic_path("user.jdoe", "f") == f"user/jdoe/{digest[:2]}/{digest[2:4]}/f"


@pytest.mark.parametrize(
    ("endpoint", "path", "url"),
    [
        ("root://h:1094/", "/a/", "root://h:1094//a/f"),
        ("davs://h", "/a", "davs://h/a/f"),
        ("davs://h", "", "davs://h/f"),
        ("file://localhost", "/mnt/", "file://localhost/mnt/f"),
        ("/mnt", "/x", "/mnt/x/f"),
        ("srm://h:8443/srm/managerv2?SFN=", "/a/", "srm://h:8443/srm/managerv2?SFN=/a/f"),
    ],
)
def test_join_url(endpoint, path, url):
    assert join_url(Access(endpoint=endpoint, path=path), "f") == url


def test_object_store_needs_no_scope():
    store = storages_of()["EXAMPLE-PROD_ES"]
    assert output_url(store, "", "f", ("s3",)) == "s3://os.example.org:443/atlas-eventservice/f"


@pytest.mark.parametrize(
    ("name", "scope", "schemes", "code"),
    [
        ("EXAMPLE-PROD_SCRATCHDISK", "mc23", ("davs",), 1329),
        ("EXAMPLE-PROD_DATADISK", "mc23", ("root",), 1313),
        ("EXAMPLE-PROD_DATADISK", "", ("davs",), 1329),
    ],
)
def test_no_output_url(name, scope, schemes, code):
    with pytest.raises(PlacementError) as caught:
        output_url(storages_of()[name], scope, "f", schemes)
    assert (caught.value.code, caught.value.field) == (code, "f")


def entry(endpoint, path="/a/"):
    return {"X": {"is_deterministic": True, "arprotocols": {"read_lan": [{"endpoint": endpoint, "path": path}]}}}


HOSTILE = {
    "H042 password": "https://user:password@se.example.org/",
    "H042 user": "root://user@se.example.org//",
    "H042 metadata address": "http://169.254.169.254/latest",
    "H042 metadata name": "http://metadata.google.internal/",
    "H042 metadata v6": "http://[fd00:ec2::254]/",
    "H041 file of another host": "file://evil.example.org/etc",
    "H041 climbing": "file:///mnt/../etc",
    "no host": "https:///x",
    "shell": "https://h/$(id)",
    "blank": "https://h /x",
    "relative": "etc/passwd",
}


@pytest.mark.parametrize("endpoint", HOSTILE.values(), ids=HOSTILE)
def test_hostile_endpoint(endpoint):
    with pytest.raises(QueueError) as caught:
        parse_storages(json.dumps(entry(endpoint)))
    assert (caught.value.code, caught.value.field) == (1117, "X.endpoint")
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    "endpoint",
    ["file:///etc", "file://localhost/etc", "/etc", "http://127.0.0.1:8", "http://[::1]/", "http://localhost/"],
)
def test_h041_h042_a_job_may_not_name_local_places(endpoint):
    parse_storages(json.dumps(entry(endpoint)))
    with pytest.raises(QueueError) as caught:
        parse_storages("", None, entry(endpoint))
    assert caught.value.field == "X.endpoint"


@pytest.mark.parametrize("path", ["/a/../b", "/a;id", "/a b"])
def test_hostile_path(path):
    with pytest.raises(QueueError) as caught:
        parse_storages(json.dumps(entry("davs://h", path)))
    assert caught.value.field == "X.path"


VALUES = st.recursive(
    st.none() | st.integers() | st.text(max_size=20) | st.just(DAVS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["read_lan", "endpoint", "path"]), inner)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(["id", "type", "arprotocols", "resource", "is_deterministic"]), VALUES))
def test_fuzzed_storage_raises_nothing_else(changes):
    try:
        storages_of(X=changes)
    except QueueError as error:
        assert error.field.startswith("X")  # noqa: PT017
