"""The simulation sees: each of these defects, put into the core or its world on purpose, is found within some jobs."""

import itertools
from dataclasses import replace

import pytest
import sim_plans
import sim_world
from sim_campaign import run_here
from sim_payloads import Payload

from core import answers, ending, fleet, life, outbox, step, tasks
from core.actions import Send
from core.state import Phase
from ipc.schema import Assign
from jobs import journal, ledger
from jobs.states import IMPOSSIBLE, STAYS, TABLE, JobEvent, JobState

WITHIN_JOBS = 4000

pytestmark = [pytest.mark.simulation, pytest.mark.timeout(600)]


def any_lease_counts(patch):
    patch.setattr(tasks, "held_by", lambda turn, _role, _by, lease: turn.ledger.tasks.get(lease.split("/", 1)[0]))


def leases_are_numbered_by_task(patch):
    def issue_due(turn):
        for key, task in list(turn.ledger.tasks.items()):
            worker = turn.pilot.workers[task.role]
            if task.issued or worker.phase is not Phase.RUNNING or task.not_before_at > turn.now.mono:
                continue
            leased = replace(task, attempt=task.attempt + 1, issued=worker.incarnation, issued_at=turn.now.mono)
            turn.change_ledger(tasks={**turn.ledger.tasks, key: leased})
            turn.do(Send(task.role, worker.incarnation, Assign(lease=leased.lease, task=leased.task)))

    patch.setattr(tasks, "issue_due", issue_due)


def a_failed_final_update_is_dropped(patch):
    patch.setattr(answers, "delivery_failed", lambda turn, row, diag, **_: outbox.drop_row(turn, row, diag))


def a_retry_is_forgotten(patch):
    def delivery_failed(turn, row, _diag, **_):
        later = replace(row, attempts=row.attempts + 1, next_try_at=turn.now.mono + 1e9)
        turn.change_ledger(outbox={**turn.ledger.outbox, row.sequence: later})

    patch.setattr(answers, "delivery_failed", delivery_failed)


def a_refused_heartbeat_reduces_every_body(patch):
    real = answers.delivery_failed

    def delivery_failed(turn, row, diag, **_):
        real(turn, row, diag, retry=False)

    patch.setattr(answers, "delivery_failed", delivery_failed)


def the_payload_has_no_claim(patch):
    patch.setattr(Payload, "claim", lambda _self: True)


def an_error_is_ignored_while_staging_out(patch):
    patch.setattr(sim_plans, "TABLE", {**TABLE, (JobState.STAGING_OUT, JobEvent.ERROR): STAYS})


def a_move_is_missing(patch):
    patch.setattr(sim_plans, "TABLE", {**TABLE, (JobState.STARTING, JobEvent.PAYLOAD_ENDED): IMPOSSIBLE})


def the_final_update_is_queued_twice(patch):
    real = life.tell

    def tell(turn, key, *, final=False):
        real(turn, key, final=final)
        if final:
            real(turn, key, final=final)

    patch.setattr(life, "tell", tell)


def a_resumed_job_reports_again(patch):
    real = life._report
    patch.setitem(life._ENTER, JobState.REPORTING, lambda turn, key, _before: real(turn, key, JobState.FAILING))


def a_lease_is_not_given_back_after_a_death(patch):
    patch.setattr(fleet, "_give_leases_back", lambda *_, **__: None)


def a_restart_keeps_the_leases(patch):
    patch.setattr(sim_world, "reopened", lambda old: replace(ledger.reopened(old), tasks=old.tasks))


def the_last_error_wins(patch):
    real = life.fail

    def fail(turn, key, code, diag):
        job = turn.ledger.jobs.get(key)
        if job is not None and job.error_code:
            life.put_job(turn, replace(job, error_code=code))
        real(turn, key, code, diag)

    for module in (life, answers, ending):
        patch.setattr(module, "fail", fail)


def the_signal_is_not_told(patch):
    patch.setattr(ending, "tell", lambda *_: None)


def nothing_is_shelved(patch):
    patch.setattr(ending, "_shelve", lambda *_, **__: None)


def silence_is_not_noticed(patch):
    patch.setattr(fleet, "check_silence", lambda _turn: None)


def done_before_it_is_reported(patch):
    patch.setitem(life._ENTER, JobState.REPORTING, lambda turn, key, _: life.move(turn, key, JobEvent.REPORTED))


def workers_start_while_the_pilot_stops(patch):
    real = fleet.start_due

    def start_due(turn):
        stopping, turn.pilot = turn.pilot.stopping, replace(turn.pilot, stopping=False)
        real(turn)
        turn.pilot = replace(turn.pilot, stopping=stopping)

    def stop_all(turn, grace_s):
        turn.change(stopping=True, stop_deadline_at=turn.now.mono + grace_s)

    patch.setattr(fleet, "start_due", start_due)
    patch.setattr(fleet, "stop_all", stop_all)


def no_deadline_for_the_outbox(patch):
    patch.setattr(outbox, "next_deadline", lambda _turn: None)
    patch.setattr(life, "next_heartbeat", lambda _turn: None)
    patch.setattr(ending, "next_deadline", lambda _turn: None)


def the_payload_is_not_killed(patch):
    patch.setitem(life._ENTER, JobState.FAILING, lambda turn, key, _: life.move(turn, key, JobEvent.ENDED))


def the_payload_is_left_when_time_runs_short(patch):
    patch.setattr(ending, "EndPayload", lambda control_dir: ending.EndPayloadOfNobody(control_dir + "/nobody"))
    patch.setattr(ending, "EndPayloadOfNobody", step.EndPayload, raising=False)


def words_go_back(patch):
    words = itertools.cycle(("running", "starting"))
    real = life.server_word

    def server_word(state, last_word, *, failed):
        word = real(state, last_word, failed=failed)
        return next(words) if word in ("starting", "running") else word

    patch.setattr(life, "server_word", server_word)


def the_exit_code_is_always_zero(patch):
    patch.setattr(ending, "_exit_code", lambda _turn: 0)


def a_held_update_keeps_the_hunt_open(patch):
    real = step.hunt.seek

    def seek(turn):
        if not any(row.final for row in turn.ledger.outbox.values()):
            real(turn)

    patch.setattr(step.hunt, "seek", seek)


def the_journal_forgets_updates(patch):
    patch.setattr(journal, "_write_outbox", lambda *_: None)


MUTANTS = [
    any_lease_counts,
    leases_are_numbered_by_task,
    a_failed_final_update_is_dropped,
    a_retry_is_forgotten,
    a_refused_heartbeat_reduces_every_body,
    the_payload_has_no_claim,
    an_error_is_ignored_while_staging_out,
    a_move_is_missing,
    the_final_update_is_queued_twice,
    a_resumed_job_reports_again,
    a_lease_is_not_given_back_after_a_death,
    a_restart_keeps_the_leases,
    the_last_error_wins,
    the_signal_is_not_told,
    nothing_is_shelved,
    silence_is_not_noticed,
    done_before_it_is_reported,
    workers_start_while_the_pilot_stops,
    no_deadline_for_the_outbox,
    the_payload_is_not_killed,
    the_payload_is_left_when_time_runs_short,
    words_go_back,
    the_exit_code_is_always_zero,
    a_held_update_keeps_the_hunt_open,
    the_journal_forgets_updates,
]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_defect_is_found(mutant, monkeypatch, record_property):
    mutant(monkeypatch)
    journal_every = 1 if mutant is the_journal_forgets_updates else 500
    campaign = run_here(WITHIN_JOBS, itertools.count(1), max_failures=1, journal_every=journal_every)
    assert campaign.failures, f"{campaign.tally.jobs} jobs went well with {mutant.__name__}"
    record_property("found_after_jobs", campaign.tally.jobs)
    print(f"{mutant.__name__}: {campaign.tally.jobs} jobs, {campaign.failures[0].splitlines()[0]}")
