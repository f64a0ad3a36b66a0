"""The supervisor's core against 100,000 jobs in a world where everything dies (DESIGN 8).

BULKHEAD_SIM_JOBS sets the number of jobs, BULKHEAD_SIM_FIRST the first seed, BULKHEAD_SEED runs just one seed.
"""

import os
import sys
from itertools import count

import pytest
from sim_campaign import report, run_campaign, run_here
from sim_faults import KINDS

from jobs.states import IMPOSSIBLE, TABLE, JobEvent, JobState

JOBS = int(os.environ.get("BULKHEAD_SIM_JOBS", "100000"))
FIRST_SEED = int(os.environ.get("BULKHEAD_SIM_FIRST", "1"))
#: With fewer jobs than this the rarest faults may not come up.
ENOUGH_JOBS = 20_000

#: Legal pairs that no caller of the table asks for: errors go through `fail`, which leaves alone what is closed to
#: them; a payload's words count only while its lease is held; only held jobs are resumed, only waiting ones shelved.
NOT_ASKED_FOR = (
    {(JobState.FAILING, event) for event in (JobEvent.ERROR, JobEvent.PAYLOAD_STARTED, JobEvent.PAYLOAD_ENDED)}
    | {(state, JobEvent.ERROR) for state in (JobState.REPORTING, JobState.HOLDING, JobState.DONE)}
    | {(state, JobEvent.RESUMED) for state in set(JobState) - {JobState.HOLDING}}
    | {(JobState.HOLDING, JobEvent.SHELVED)}
)

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(3600)]


@pytest.mark.skipif("BULKHEAD_SEED" not in os.environ, reason="BULKHEAD_SEED names no seed")
def test_one_seed():
    seed = int(os.environ["BULKHEAD_SEED"])
    campaign = run_here(1, iter([seed]))
    assert not campaign.failures, "\n".join(campaign.failures)


@pytest.mark.skipif("BULKHEAD_SEED" in os.environ, reason="one seed only")
def test_no_job_is_lost_or_reported_twice_whatever_dies(capsys):
    campaign = run_campaign(JOBS, FIRST_SEED)
    with capsys.disabled():
        # On stderr: that of a process of a parallel test run comes through.
        print(f"\n{report(campaign, FIRST_SEED)}", file=sys.stderr)
    assert not campaign.failures
    assert campaign.tally.jobs >= JOBS * 0.99
    if JOBS >= ENOUGH_JOBS:
        assert [kind for kind in KINDS if not campaign.tally.faults[kind]] == []
        legal = {pair for pair, entry in TABLE.items() if entry != IMPOSSIBLE} - NOT_ASKED_FOR
        seen = {(JobState(state), JobEvent(event)) for state, event in campaign.tally.moves}
        assert legal - seen == set()
        assert seen - legal - NOT_ASKED_FOR == set()


def test_a_seed_always_tells_the_same_story():
    first, second = (run_here(60, count(FIRST_SEED)) for _ in range(2))
    assert first.tally.steps == second.tally.steps
    assert first.tally.faults == second.tally.faults
    assert first.tally.ends == second.tally.ends
