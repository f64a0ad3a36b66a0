"""All fields of the update call in the messages of a real pilot, each at its time (update-fields.json, cases 12, 13).

The embedded server is strict in both dialects: one unknown name or wrong type refuses the whole update.
"""

import json

import pytest
from pilotrun import ROOT

from jobs.field_names import LEGACY_NAMES
from tests.waiting import wait_until

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

TABLE = {row["v1"]: row for row in json.loads((ROOT / "sandbox/update_fields.json").read_text())["fields"]}
#: Nothing of ours has a meaning for the first two; the third needs a broken input.
_NEVER = {"grid", "timeout", "corrupted_files"}
_ALWAYS = {name for name, row in TABLE.items() if row["sent_when"].startswith("always")}
_FINAL = {name for name, row in TABLE.items() if row["sent_when"] == "final" or name in ("n_input_files", "pilot_log")}
#: What must have been said before the payload may end.
_WHILE_IT_RUNS = {"mean_core_count", "tot_rchar", "max_pss", "stdout", "n_events", "cpu_consumption_time"}
_REPORT = {
    "resource": {"transform": {"processedEvents": 50}, "dbTimeTotal": 1.25, "dbDataTotal": 150},
    "resimevents": 3,
    "files": {"output": [{"subFiles": [{"name": "o", "nentries": 40}]}]},
}
_USES = ("rss", "vmem", "swap", "pss", "rchar", "wchar", "read_bytes", "write_bytes")
_PRMON = {
    "Max": dict.fromkeys(_USES, 7),
    "Avg": dict.fromkeys(_USES, 5),
    "HW": {"gpu": {"nGPU": 2, "name": "Tesla T4"}},
}
_EVENT_LOOP = "done processing event #77, run #2 50 events read so far\n"


def payload_of(run):
    """Write a payload that leaves all files a pilot reads, then does as the server's usual one; return its path."""
    files = {
        "jobReport.json": json.dumps(_REPORT),
        "memory_monitor_summary.json": json.dumps(_PRMON),
        "eventLoopHeartBeat.txt": _EVENT_LOOP,
    }
    kept = run.home / "of-the-payload"
    kept.mkdir()
    for name, text in files.items():
        (kept / name).write_text(text)
    script = run.home / "payload.sh"
    work = ROOT / "sandbox" / "transforms" / "work.py"
    script.write_text(
        f'#!/bin/sh\ncp {kept}/* .\ni=0\nwhile [ $i -lt 2000000 ]; do i=$((i+1)); done\nexec {work} "$@"\n'
    )
    script.chmod(0o755)
    return str(script)


def surroundings(run):
    """Return the environment of a glidein below a batch system, with short heartbeats."""
    (run.home / "pilot.cfg").write_text("[Pilot]\nheartbeat: 0.4\ndebug_heartbeat: 0.4\n")
    (run.home / "machine.ad").write_text('RemoteScheddName = "schedd.example.org"\n')
    features = run.home / "features"
    features.mkdir()
    (features / "hs06").write_text("80")
    (features / "total_cpu").write_text("8")
    return {
        "HARVESTER_PILOT_CONFIG": str(run.home / "pilot.cfg"),
        "_CONDOR_MACHINE_AD": str(run.home / "machine.ad"),
        "MACHINEFEATURES": str(features),
        "GLIDEIN_Site": "SITE",
        "SLURM_JOB_ID": "7",
        "GTAG": "u",
    }


def updates_in_v1(run, job_id, dialect):
    """Return the updates of a job in the order in which they came, under their v1 names."""
    if dialect == "v1":
        return [entry["body"] for entry in run.updates(job_id)]
    names = {legacy: name for name, legacy in LEGACY_NAMES.items()}
    bodies = [entry["body"] for entry in run.sandbox.record("updateJob")]
    ours = [body for body in bodies if body["jobId"] == str(job_id)]
    return [{names[name]: value for name, value in body.items() if name != "timestamp"} for body in ours]


def names_in(bodies):
    """Return the names of all fields of all bodies."""
    return {name for body in bodies for name in body}


@pytest.mark.parametrize("dialect", ["v1", "legacy"])
def test_cases_12_and_13_every_field_is_sent_at_its_time_and_none_is_refused(run, dialect):
    fields = {"debug": "True", "scheduler_ip": "10.0.0.1", "session_ip": "10.0.0.2"}
    (job_id,) = run.sandbox.make_jobs(
        1,
        inputs=[2000],
        outputs=[3000],
        label="managed",
        transform=payload_of(run),
        payload={"until": str(run.payload_end)},
        fields=fields,
    )
    run.start("--server-api", dialect, environment=surroundings(run), sample_s=0.1)
    try:
        wait_until(lambda: not _WHILE_IT_RUNS - names_in(updates_in_v1(run, job_id, dialect)), 20, "no such fields")
    except AssertionError as error:
        missing = _WHILE_IT_RUNS - names_in(updates_in_v1(run, job_id, dialect))
        raise AssertionError(f"{missing}: {error}\n{run.story()}") from None
    run.payload_end.touch()
    assert run.wait_exit() == 0, run.story()
    run.assert_final(job_id, "finished", 0, rejected=0)
    answers = [entry["answer"] for entry in run.sandbox.record("update_job" if dialect == "v1" else "updateJob")]
    assert all((answer.get("data") or answer)["StatusCode"] == 0 for answer in answers), run.story()
    *early, final = updates_in_v1(run, job_id, dialect)
    assert set(TABLE) - names_in([*early, final]) == _NEVER
    for body in (*early, final):
        assert set(body) >= _ALWAYS
    for body in early:
        assert not set(body) & _FINAL, body["job_status"]
        assert body["job_output_report"] == body["meta_data"] == ""
    assert set(final) >= _FINAL
    assert (int(final["n_events"]), int(final["n_input_files"])) == (50, 1)
    assert json.loads(final["meta_data"]) == _REPORT
    assert (final["source_site"], final["destination_site"]) == ("schedd.example.org", "SITE")
    metrics = dict(pair.split("=") for pair in final["job_metrics"].split(" "))
    assert {name: metrics[name] for name in metrics if name not in ("actualCoreCount", "workDirSize")} == {
        "nEvents": "50",
        "nEventsW": "40",
        "dbTime": "1.25",
        "dbData": "150",
        "resimevents": "3",
        "hs06": "10.00",
        "eventnumber": "77",
        "schedulerIP": "10.0.0.1",
        "sessionIP": "10.0.0.2",
        "readbyterate": "0.00",
        "GPU_name": "Tesla_T4",
        "nGPU": "2",
    }
    assert int(metrics["actualCoreCount"]) >= 1
    assert int(metrics["workDirSize"]) > 0
    run.assert_clean()


@pytest.mark.parametrize("dialect", ["v1", "legacy"])
def test_corrupted_inputs_are_named(run, dialect):
    (job_id,) = run.sandbox.make_jobs(1, inputs=[2000, 2000, 2000], outputs=[3000])
    names = run.sandbox.job(job_id)["definition"]["inFiles"].split(",")
    broken = run.sandbox.stored_path("sandbox.test", names[1])
    broken.write_bytes(bytes(reversed(broken.read_bytes())))
    run.start("--server-api", dialect, transfer_attempts=1, task_attempts=1)
    assert run.wait_exit() == 0, run.story()
    final = run.assert_final(job_id, "failed", 1171, rejected=0)["final"]
    assert final["corrupted_files"] == names[1]
    run.assert_clean()
