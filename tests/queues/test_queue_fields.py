"""Every field of protocol 8.2 and 8.5: read, kept by the reporter, and named in the error when it is wrong."""

import json

import pytest
from queue_texts import QUEUE, STORAGES, storages_of

from jobs.values import Fields
from queues.faults import QueueError
from queues.queue import READ_FIELDS, parse_queue
from queues.storages import parse_storages

WRONG = {
    **dict.fromkeys(
        ("nickname", "panda_resource", "atlas_site", "state", "status", "type", "resource_type", "cmtconfig", "appdir"),
        True,
    ),
    **dict.fromkeys(("catchall", "environ", "container_options"), 7),
    "container_type": ["a"],
    **dict.fromkeys(
        ("copytools", "acopytools", "acopytools_schemas", "astorages", "aprotocols", "params"), "no object"
    ),
    **dict.fromkeys(
        ("allow_lan", "allow_wan", "direct_access_lan", "direct_access_wan", "use_pcache", "is_cvmfs"), "perhaps"
    ),
    **dict.fromkeys(
        ("maxwdir", "maxrss", "maxinputsize", "maxtime", "timefloor", "corecount", "pledgedcpu", "zip_time_gap",
         "memkillgrace"),
        "many",
    ),
}  # fmt: skip


@pytest.mark.parametrize("field", WRONG)
def test_case_65_a_wrong_field_is_named(field):
    with pytest.raises(QueueError, match=field) as caught:
        parse_queue(json.dumps({**QUEUE, field: WRONG[field]}), "EXAMPLE_SITE")
    assert (caught.value.code, caught.value.field) == (1117, field)


@pytest.mark.parametrize(
    "key", ["job_maxwalltime", "allow_altstageout", "pilot_walltime_grace", "pilot_rss_grace", "pilot_maxwdir_grace"]
)
def test_case_65_a_wrong_parameter_is_named(key):
    with pytest.raises(QueueError, match=key):
        parse_queue(json.dumps({**QUEUE, "params": {key: "some"}}), "EXAMPLE_SITE")


def test_all_fields_that_are_read_are_known_to_be(monkeypatch):
    read = set()
    raw = Fields.raw

    def noting(self, key):
        if self._raw.get("nickname") == "EXAMPLE_SITE":
            read.add(key)
        return raw(self, key)

    monkeypatch.setattr(Fields, "raw", noting)
    parse_queue(json.dumps({**QUEUE, "atlas_site": None}), "EXAMPLE_SITE")
    assert read == READ_FIELDS


def test_keyed_protocols_name_their_keys():
    entry = {
        **STORAGES["EXAMPLE-PROD_ES"],
        "rprotocols": {
            "2301": {
                "endpoint": "s3://os.example.org:443",
                "path": "/atlas-eventservice/",
                "flavour": "AWS-S3-SSL",
                "activities": ["r", "w"],
                "settings": {"access_key": "A.pub", "secret_key": "A.key", "is_secure": "true"},
            }
        },
    }
    keyed = storages_of(ES=entry)["ES"].keyed["2301"]
    assert (keyed.access_key, keyed.secret_key, keyed.is_secure) == ("A.pub", "A.key", True)
    assert (keyed.activities, keyed.flavour) == (("r", "w"), "AWS-S3-SSL")
    assert (keyed.endpoint, keyed.path) == ("s3://os.example.org:443", "/atlas-eventservice/")


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("id", "x", "S.id"),
        ("is_deterministic", "perhaps", "S.is_deterministic"),
        ("arprotocols", {"r": "x"}, "S.arprotocols"),
        ("rprotocols", {"1": "x"}, "S.rprotocols"),
        ("rprotocols", {"1": {"endpoint": "http://169.254.1.1"}}, "S.rprotocols"),
        ("resource", "x", "S.resource"),
    ],
)
def test_a_wrong_field_of_a_storage_is_named(field, value, named):
    with pytest.raises(QueueError) as caught:
        parse_storages(json.dumps({"S": {"id": 1, field: value}}))
    assert caught.value.field.startswith(named)
