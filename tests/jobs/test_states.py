"""The table of a job's life is complete, leads where it should, and the server's words follow from it."""

import pytest

from jobs.states import (
    IMPOSSIBLE,
    MAY_HAVE_PAYLOAD,
    OPEN_TO_ERRORS,
    SETTLED,
    STAYS,
    TABLE,
    JobEvent,
    JobState,
    server_word,
)

PAIRS = [(state, event) for state in JobState for event in JobEvent]
MAIN_LINE = (
    (JobState.RECEIVED, JobEvent.ACCEPTED),
    (JobState.PREPARING, JobEvent.PREPARED),
    (JobState.STAGING_IN, JobEvent.STAGED_IN),
    (JobState.STARTING, JobEvent.PAYLOAD_STARTED),
    (JobState.RUNNING, JobEvent.PAYLOAD_ENDED),
    (JobState.STAGING_OUT, JobEvent.STAGED_OUT),
    (JobState.TRANSFERRING_LOG, JobEvent.LOG_SETTLED),
    (JobState.REPORTING, JobEvent.REPORTED),
)


def reachable(start):
    seen, todo = {start}, [start]
    while todo:
        state = todo.pop()
        for event in JobEvent:
            target = TABLE[state, event]
            if isinstance(target, JobState) and target not in seen:
                seen.add(target)
                todo.append(target)
    return seen


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_every_pair_has_an_entry(state, event):
    assert isinstance(TABLE[state, event], JobState) or TABLE[state, event] in (STAYS, IMPOSSIBLE)


def test_the_table_has_no_other_pairs():
    assert set(TABLE) == set(PAIRS)


def test_the_main_line_leads_from_received_to_done():
    state = JobState.RECEIVED
    for expected, event in MAIN_LINE:
        assert state is expected
        state = TABLE[state, event]
    assert state is JobState.DONE


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.LOST}, key=lambda state: state.value))
def test_done_can_be_reached_from_everywhere(state):
    assert JobState.DONE in reachable(state)


def test_lost_is_reached_from_nowhere():
    assert all(target is not JobState.LOST for target in TABLE.values())


@pytest.mark.parametrize("state", sorted(OPEN_TO_ERRORS, key=lambda state: state.value))
def test_an_error_is_legal_wherever_it_is_open_to_one(state):
    assert TABLE[state, JobEvent.ERROR] in (JobState.FAILING, STAYS)


@pytest.mark.parametrize("state", [JobState.REPORTING, JobState.HOLDING, JobState.DONE])
def test_an_error_changes_nothing_once_the_final_update_is_on_disk(state):
    assert TABLE[state, JobEvent.ERROR] == STAYS
    assert state not in OPEN_TO_ERRORS


def test_no_way_leads_around_the_report():
    before_done = {state for (state, _), target in TABLE.items() if target is JobState.DONE}
    assert before_done == {JobState.REPORTING, JobState.HOLDING}


def test_a_failing_job_never_runs_again():
    assert reachable(JobState.FAILING) & {JobState.STARTING, JobState.RUNNING, JobState.STAGING_OUT} == set()


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.LOST}, key=lambda state: state.value))
def test_resuming_is_always_legal(state):
    assert TABLE[state, JobEvent.RESUMED] != IMPOSSIBLE


def test_nothing_follows_a_settled_job():
    assert all(not isinstance(TABLE[state, event], JobState) for state in SETTLED for event in JobEvent)


def test_a_payload_exists_only_where_it_can_be_killed():
    assert {JobState.STARTING, JobState.RUNNING, JobState.FAILING} == MAY_HAVE_PAYLOAD


def test_the_first_word_is_starting():
    for state in OPEN_TO_ERRORS | {JobState.FAILING}:
        assert server_word(state, "", failed=False) == "starting"


@pytest.mark.parametrize("last", ["starting", "running"])
@pytest.mark.parametrize("state", sorted(OPEN_TO_ERRORS | {JobState.FAILING}, key=lambda state: state.value))
def test_words_never_go_back(state, last):
    order = ("starting", "running")
    assert order.index(server_word(state, last, failed=True)) >= order.index(last)


def test_a_job_that_is_staged_out_is_running_for_the_server():
    """Nobody at the server misses the heartbeats of a production job that is "transferring" (release 1.0)."""
    assert server_word(JobState.STAGING_OUT, "running", failed=False) == "running"
    assert server_word(JobState.TRANSFERRING_LOG, "running", failed=True) == "running"


@pytest.mark.parametrize("state", [JobState.REPORTING, JobState.HOLDING, JobState.DONE])
def test_the_final_word_says_how_it_ended(state):
    assert server_word(state, "running", failed=True) == "failed"
    assert server_word(state, "", failed=False) == "finished"
