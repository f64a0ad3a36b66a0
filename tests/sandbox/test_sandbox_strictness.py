"""What the server refuses, call by call (panda-protocol.md 1.3 to 1.7, 12)."""

import gzip
import json

import pytest

from sandbox.arguments import load_tables

TABLES = load_tables()
GOOD = {"int": 1, "float": 1.5, "str": "x", "bool": True, "number": 1, "list[int]": [1], "list[dict]": [{}], "any": 1}
BAD = {"int": "1", "float": 1, "str": 1, "bool": "True", "list[int]": 1, "list[dict]": "x"}
POSTS = sorted(path for path, table in TABLES.items() if table.http == "POST")


def complete(table):
    return {name: GOOD[table.types[name]] for name in table.required}


def send(pilot, path, arguments):
    return pilot.ask("POST", f"/api/v1/{path}", json.dumps(arguments))


def test_update_job_takes_exactly_the_fields_of_the_specification(spec_fields):
    assert len(spec_fields) == 51
    assert dict(TABLES["pilot/update_job"].types) == {field["v1"]: field["json_type"] for field in spec_fields}


@pytest.mark.parametrize("path", POSTS)
def test_unknown_argument(pilot, path):
    reply = send(pilot, path, {**complete(TABLES[path]), "gpu": 1})
    assert reply.status == 200
    assert reply.json["success"] is False
    assert reply.json["data"] is None
    assert reply.json["message"].startswith("Argument error: ")
    assert "'gpu'" in reply.json["message"]


@pytest.mark.parametrize(("path", "name"), [(path, name) for path in POSTS for name in sorted(TABLES[path].required)])
def test_missing_argument(pilot, path, name):
    arguments = complete(TABLES[path])
    del arguments[name]
    reply = send(pilot, path, arguments)
    assert reply.status == 200
    assert reply.json["message"] == f"Argument error: missing a required argument: '{name}'"


@pytest.mark.parametrize("path", POSTS)
def test_each_wrong_type(pilot, path):
    table = TABLES[path]
    for name, word in table.types.items():
        reply = send(pilot, path, {**complete(table), name: BAD.get(word)})
        if word in BAD:
            assert reply.status == 200, name
            got = type(BAD[word]).__name__
            wanted = "list" if word.startswith("list") else word
            assert reply.json["message"] == f"Type error: '{name}' must be of type {wanted}, got {got}."


@pytest.mark.parametrize("value", ["0", 1.5, True, None])
def test_job_id_is_an_integer_and_nothing_else(pilot, value):
    reply = pilot.post("update_job", job_id=value, job_status="running")
    assert reply.status == 200
    kind = type(value).__name__
    assert reply.json["message"] == f"Type error: 'job_id' must be of type int, got {kind}."


@pytest.mark.parametrize("value", ["1", True, [1]])
@pytest.mark.parametrize("name", ["max_rss", "cpu_conversion_factor", "rate_wbytes"])
def test_wrong_type_of_a_union_is_a_500(pilot, name, value):
    reply = pilot.post("update_job", **{"job_id": 1, "job_status": "running", name: value})
    assert (reply.status, reply.content_type) == (500, "text/plain")


@pytest.mark.parametrize("name", ["max_rss", "cpu_conversion_factor"])
@pytest.mark.parametrize("value", [1, 1.5, None])
def test_good_values_of_a_union(pilot, name, value):
    assert pilot.post("update_job", **{"job_id": 1, "job_status": "running", name: value}).json["success"]


def test_null_is_fine_only_where_it_is_the_default(pilot):
    good = pilot.post("update_job", job_id=1, job_status="running", node=None, n_events=None)
    assert good.json["success"]
    bad = pilot.post("update_job", job_id=1, job_status="running", meta_data=None)
    assert bad.json["message"] == "Type error: 'meta_data' must be of type str, got NoneType."


@pytest.mark.parametrize("state", ["stagein", "stageout", "Running", "cancelled", ""])
def test_state_outside_the_list(pilot, state):
    answer = pilot.post("update_job", job_id=1, job_status=state).json
    assert answer == {"success": False, "message": f"Invalid job status: {state}", "data": {"StatusCode": 50}}


def test_wrong_method(pilot):
    assert pilot.ask("GET", "/api/v1/pilot/acquire_jobs?site_name=x").json["message"] == "expecting POST, received GET"
    reply = pilot.ask("POST", "/api/v1/pilot/get_job_status", '{"job_ids": [1]}')
    assert (reply.status, reply.json["message"]) == (200, "expecting GET, received POST")


@pytest.mark.parametrize(
    "path",
    ["/server/panda/getJob", "/api/v1/pilot/getJob", "/api/v1/pilot/x/getJob", "/api/latest/pilot/getJob"],
)
def test_unknown_method_is_forbidden(pilot, path):
    reply = pilot.ask("POST", path, "{}")
    assert (reply.status, reply.content_type, reply.text) == (
        403,
        "text/plain",
        "ERROR : method getJob is forbidden",
    )


def test_broken_json_is_a_500(pilot):
    reply = pilot.ask("POST", "/api/v1/pilot/update_job", '{"job_id": 1')
    assert (reply.status, reply.content_type) == (500, "text/plain")
    assert reply.text.startswith("ERROR : received invalid JSON : ")
    assert pilot.ask("POST", "/api/v1/pilot/update_job", "[1]").status == 500


def test_gzip_only_with_its_header(pilot):
    body = gzip.compress(b'{"job_id": 1, "job_status": "running"}')
    plain = {"Content-Type": "application/json"}
    path = "/api/v1/pilot/update_job"
    assert pilot.ask("POST", path, body, {**plain, "Content-Encoding": "gzip"}).json["success"] is True
    assert pilot.ask("POST", path, body, plain).status == 500
    assert pilot.ask("POST", path, b"{}", {**plain, "Content-Encoding": "gzip"}).status == 500


def test_content_type_has_to_be_exact(pilot):
    body = b'{"job_id": 1, "job_status": "running"}'
    headers = {"Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}
    assert "Argument error" in pilot.ask("POST", "/api/v1/pilot/update_job", body, headers).json["message"]


def test_a_form_fails_the_type_check(pilot):
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    reply = pilot.ask("POST", "/api/v1/pilot/update_job", b"job_id=1&job_status=running", headers)
    assert reply.json["message"] == "Type error: 'job_id' must be of type int, got str."


def test_answers_are_text_plain_and_python_text_unless_json_is_named(pilot):
    reply = pilot.ask("GET", "/api/v1/pilot/get_job_status?job_ids=1", headers={"Accept": "*/*"})
    assert reply.content_type == "text/plain"
    assert reply.text == str(
        {"success": True, "message": "", "data": [{"job_id": 1, "status": "not found", "attempt_number": 0}]}
    )
    assert pilot.ask("GET", "/api/v1/pilot/get_job_status?job_ids=1").content_type == "text/plain"


def test_query_values_are_cast(pilot):
    assert pilot.ask("GET", "/api/v1/pilot/get_job_status?job_ids=1.0&job_ids=2&timeout=5").json["success"]
    reply = pilot.ask("GET", "/api/v1/pilot/get_job_status?job_ids=a")
    assert "could not be casted" in reply.json["message"]
    assert "job_ids" in pilot.ask("GET", "/api/v1/pilot/get_job_status").json["message"]


def test_worker_calls(pilot):
    assert pilot.post("update_worker_status", worker_id=1, harvester_id="h", status="started").json["success"]
    assert not pilot.post("update_worker_status", worker_id=1, harvester_id="h", status="running").json["success"]
    assert not pilot.post("update_worker_status", worker_id="x1", harvester_id="h", status="started").json["success"]
    node = {"site": "s", "host_name": "h", "cpu_model": "c"}
    assert pilot.post("update_worker_node", **node, clock_speed=2000.0, total_memory=1).json["success"]
    assert not pilot.post("update_worker_node", **node, clock_speed=2000).json["success"]
    gpu = {"site": "s", "host_name": "h", "vendor": "v", "model": "m", "count": 1}
    assert pilot.post("update_worker_node_gpu", **gpu, vram=1).json["success"]


def test_resource_types(pilot):
    data = pilot.ask("GET", "/api/v1/metaconfig/get_resource_types").json["data"]
    assert {"SCORE", "MCORE"} <= {entry["resource_name"] for entry in data}
    assert set(data[0]) == {"resource_name", "mincore", "maxcore", "minrampercore", "maxrampercore"}


def test_bulk(server, pilot):
    one, two = server.make_jobs(2)
    updates = [{"job_id": one, "job_status": "running"}, {"job_id": two, "job_status": "stagein"}]
    answer = pilot.post("update_jobs_bulk", job_list=updates, harvester_id="h").json
    assert [item["success"] for item in answer["data"]] == [True, False]
    spoiled = pilot.post("update_jobs_bulk", job_list=[updates[0], {"job_status": "running"}]).json
    assert (spoiled["success"], spoiled["data"]) == (False, [])
    assert server.job(one)["updates_accepted"] == 2
    typed = pilot.post("update_jobs_bulk", job_list=[{"job_id": "1", "job_status": "running"}]).json
    assert typed["data"][0]["message"].startswith("Type error")
