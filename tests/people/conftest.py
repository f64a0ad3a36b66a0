import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from host.processes import identify
from ipc.observations import Usage
from ipc.parts import TransferredFile
from jobs.journal import Journal
from jobs.ledger import Hunt, Ledger, Row
from jobs.record import JobRecord, Stamps
from jobs.states import JobState
from supervision.place import make_place

BEGAN_WALL = 1_700_000_000.0
QUEUE = json.dumps({"nickname": "A_QUEUE"})


def make_job(job_id: int = 7, state: JobState = JobState.RUNNING, **more) -> JobRecord:
    stamps = Stamps(received=BEGAN_WALL, stage_in=BEGAN_WALL + 1, staged_in=BEGAN_WALL + 2, started=BEGAN_WALL + 3)
    return JobRecord(key=f"{job_id}.1", job_id=job_id, attempt_nr=1, state=state, stamps=stamps, **more)


@pytest.fixture
def sample(tmp_path) -> Callable[..., tuple[Path, Journal, Ledger]]:
    """Make the main directory of a pilot with one job running, one done, and an update that waits."""

    def make(name: str = "PanDA_Pilot3_11_1700000000", guardian_pid: int = 0) -> tuple[Path, Journal, Ledger]:
        pid, wall = name.split("_")[2:]
        place = make_place(str(tmp_path), "", int(pid), float(wall))
        journal = Journal(place.journal)
        journal.note(run_dir=str(tmp_path / "run"))
        who = identify(guardian_pid) if guardian_pid else None
        journal.note(guardian=[who.pid, who.start_ticks, who.boot_id] if who else [999_999_999, 1, "gone"])
        journal.note(supervisor=999_999_998)
        empty = Ledger()
        done = make_job(
            6,
            JobState.DONE,
            outputs=(TransferredFile(lfn="o", kind="output", status="transferred", size_bytes=2048),),
        )
        done = replace(done, stamps=replace(done.stamps, ended=BEGAN_WALL + 13), cpu_time_s=4)
        both = replace(
            empty,
            began_wall=BEGAN_WALL,
            hunt=Hunt(queue_text=QUEUE, jobs_taken=2),
            jobs={"6.1": done, "7.1": make_job(usage=Usage(cpu_time_s=3, avg_pss_kb=2048))},
            outbox={1: Row(sequence=1, job_key="7.1", call="update_job", body='{"secret": "s3cret"}', final=True)},
        )
        journal.commit(empty, both, time.time(), ("first line", "second line"))
        ledger = replace(both, jobs={"7.1": both.jobs["7.1"]})
        journal.commit(both, ledger, time.time(), ("third line",))
        return place.main_dir, journal, ledger

    return make
