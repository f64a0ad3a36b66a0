"""What a server's database cannot keep must not cost a job its final update (seen on real servers)."""

import pytest

from errors.codes import ErrorCode

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(90)]

_REPORT = r'{"error_code": 1099511627776, "error_diag": "a\u0000b\ud800c"}'


def test_odd_characters_and_numbers_of_a_payload_reach_the_server(pilot, tmp_path):
    script = tmp_path / "odd.sh"
    script.write_text(f"cat > payload_error_report.json <<'END'\n{_REPORT}\nEND\nprintf 'x\\0\\377y' >&2\nexit 3\n")
    (job_id,) = pilot.sandbox.make_jobs(1, transform="bash", extra_args=str(script))
    pilot.start()
    pilot.wait_exit()
    job = pilot.assert_final(job_id, "failed", rejected=0)
    assert job["final"]["trans_exit_code"] == 3
    assert "\0" not in str(job["final"])


def test_a_job_taken_over_in_another_slot_keeps_its_batch_id(pilot):
    """The server ends a job whose batch id changes (release 1.0: it refuses every update of it)."""
    (job_id,) = pilot.sandbox.make_jobs(1, payload={"until": str(pilot.payload_end)}, outputs=[1000])
    pilot.start(environment={"SLURM_JOB_ID": "first.slot"})
    pilot.wait_call("update_job", job_status="running")
    pilot.kill_all()
    pilot.wait_exit()
    pilot.start(environment={"SLURM_JOB_ID": "second.slot"})
    pilot.wait_exit()
    job = pilot.assert_final(job_id, "failed", ErrorCode.PAYLOADLOST, rejected=0)
    assert job["final"]["batch_id"] == "first.slot"
