"""What a plan says of a job's pre-, co- and post-process, and of its traces."""

import json
from dataclasses import replace

import pytest

from errors.exceptions import JobError
from jobs.definition import build
from jobs.ledger import Hunt
from jobs.record import Plan
from settings.settings import Settings
from tests.jobs.job_texts import HPO
from workflows.standard import make_plan

BASE = "http://pandaserver.example.org/trf"
QUEUE = {
    "nickname": "Q",
    "panda_resource": "Q-PROD",
    "state": "ACTIVE",
    "status": "online",
    "copytools": {"cp": {"setup": ""}},
    "astorages": {"read_lan": ["D"], "write_lan": ["D"]},
}
SETTINGS = Settings(
    queue="Q", base_urls=(BASE,), input_dir="/in", output_dir="/out", node="slot1@node7", rucio_host="r.example.org"
)
STEP = {"command": f"{BASE}/user/post", "args": "--out 'a b'"}


def plan(settings=SETTINGS, **fields) -> Plan:
    definition = {**HPO, "ddmEndPointOut": None, **fields}
    text = json.dumps({name: value for name, value in definition.items() if value is not None})
    return make_plan(text, Hunt(queue_text=json.dumps(QUEUE), storage_text="{}"), settings, "/m", "1.0")


def test_the_lines_of_all_steps():
    run = plan(postprocess=STEP).run
    assert run.preprocess == './preHPO -j "" --in a.json'
    assert (run.coprocess, run.postprocess, run.repeats) == ("co.sh", "./post --out 'a b'", True)
    assert run.command.startswith("./")


def test_programs_by_url_are_fetched_once_each():
    transfers = plan(postprocess=STEP, coprocess=STEP).stage_in.transfers
    names = [each.lfn for each in transfers if each.kind == "transform"]
    assert sorted(names) == sorted(["preHPO", "post", build(HPO).transformation.rpartition("/")[2]])
    assert {each.mode for each in transfers if each.kind == "transform"} == {0o755}


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ({"command": "http://elsewhere.example.org/post"}, 1149),
        ({"command": f"{BASE}/other/preHPO"}, 1149),
        ({"command": "../post"}, 1402),
    ],
    ids=["not allowed", "two programs of one name", "outside"],
)
def test_a_program_that_cannot_be_had_is_refused_by_name(step, code):
    with pytest.raises(JobError, match="postprocess") as caught:
        plan(postprocess=step)
    assert caught.value.code == code


def test_a_job_without_steps_is_as_before():
    run = plan(preprocess=None, coprocess=None, postprocess=None).run
    assert (run.preprocess, run.coprocess, run.postprocess, run.repeats) == ("", "", "", False)


def test_horovod_takes_the_payload_away_from_jobs_with_steps_only():
    elsewhere = replace(SETTINGS, environment=(("HARVESTER_HOROVOD", "1"),))
    assert plan(elsewhere).run.command == ""
    assert plan(elsewhere, preprocess=None, coprocess=None).run.command


def test_transfers_are_traced_where_there_is_a_server_for_it():
    made = plan()
    assert made.traces.url == "https://r.example.org/traces/"
    assert (made.traces.node, made.traces.queue, made.traces.is_analysis) == ("node7", "Q-PROD", True)
    assert {each.kind for each in made.traces.files} <= {"input", "output", "log"}
    assert all(step.traced for step in (made.stage_in, made.stage_out, made.log) if step is not None)
    off = plan(replace(SETTINGS, use_rucio_traces=False))
    assert off.traces is None
    assert not any(step.traced for step in (off.stage_in, off.stage_out, off.log) if step is not None)
