"""Which payloads get a proxy of their own (panda-protocol 1.8, behaviour 8)."""

import json
from dataclasses import replace

import pytest

from ipc.tasks import FetchProxy
from jobs.definition import parse
from queues.queue import parse_queue
from settings.settings import Settings
from workflows.credentials import payload_proxy, pilot_role

ATLAS = Settings(queue="Q", pilot_user="ATLAS", environment=(("X509_USER_PROXY", "/own"),))
USER = {"PandaID": 1, "transformation": "https://host/trf", "jobPars": "x", "prodSourceLabel": "user"}


def wanted(settings=ATLAS, kind="unified", **changes):
    queue = parse_queue(json.dumps({"nickname": "Q", "type": kind, "state": "ACTIVE"}), "Q")
    return payload_proxy(parse(json.dumps({**USER, **changes})), queue, settings, "/j")


@pytest.mark.parametrize("kind", ["unified", "analysis", "production"])
def test_a_users_payload_gets_one(kind):
    expected = FetchProxy(path="/j/x509_payload.proxy", role="atlas", dn="atlpilo2", least_s=2400)
    assert wanted(kind=kind) == expected
    assert wanted(replace(ATLAS, environment=(), ca_cert="/own"), kind) == expected


@pytest.mark.parametrize("option", ["verify_payload_proxy", "payload_proxy_from_server"])
def test_without_the_check_only_a_unified_queue_has_it_fetched(option):
    settings = replace(ATLAS, **{option: False})
    assert wanted(settings, "analysis") is None
    assert wanted(settings, "unified").verify is (option != "verify_payload_proxy")


@pytest.mark.parametrize(
    "changes",
    [
        {"pilot_user": "generic"},
        {"environment": ()},
        {"verify_proxy": False},
        {"update_server": False},
        {"job_file": "/job"},
    ],
)
def test_nobody_asks_for_one_that_nobody_wants_or_gives(changes):
    assert wanted(replace(ATLAS, **changes)) is None


def test_a_production_payload_gets_none():
    assert wanted(transformation="Reco_tf.py") is None


def test_the_pilots_own_role():
    assert pilot_role(ATLAS) == {"proxy_role": "atlas:/atlas/Role=production", "proxy_dn": ""}
    assert pilot_role(replace(ATLAS, pilot_user="generic")) == {}
