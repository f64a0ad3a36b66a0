"""Many seeds in several processes: each takes every n-th seed until it has its share of the jobs, or one seed fails."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from sim_checks import SimError
from sim_faults import Tally
from sim_plans import core_of_the_simulation
from sim_world import run_seed

#: One run in so many has the real journal on disk, every changed record through the codec, plans of the real workflow.
JOURNAL_EVERY = 500
ROUND_TRIP_EVERY = 8
WHOLE_EVERY = 20
MAX_FAILURES = 3


@dataclass(slots=True)
class Campaign:
    """What came out."""

    tally: Tally = field(default_factory=Tally)
    failures: list[str] = field(default_factory=list)
    last_seed: int = 0
    took_s: float = 0.0


def run_here(
    jobs: int, seeds: Iterator[int], *, max_failures: int = MAX_FAILURES, journal_every: int = JOURNAL_EVERY
) -> Campaign:
    """Simulate seeds in this process until `jobs` jobs are done, or too much failed."""
    campaign, began = Campaign(), time.perf_counter()
    with core_of_the_simulation(campaign.tally.moves):
        for seed in seeds:
            try:
                run_seed(
                    seed,
                    campaign.tally,
                    journal=seed % journal_every == 0,
                    round_trip=seed % ROUND_TRIP_EVERY == 0,
                    whole=seed % WHOLE_EVERY == 0,
                )
            except SimError as error:
                campaign.failures.append(str(error))
            campaign.last_seed = seed
            if campaign.tally.jobs >= jobs or len(campaign.failures) >= max_failures:
                break
    campaign.took_s = time.perf_counter() - began
    return campaign


def run_campaign(jobs: int, first_seed: int, processes: int | None = None) -> Campaign:
    """Simulate `jobs` jobs on all processors."""
    processes = processes or os.cpu_count() or 1
    began = time.perf_counter()
    context = multiprocessing.get_context("fork")
    workers = []
    for number in range(processes):
        ours, theirs = context.Pipe(duplex=False)
        share = (jobs // processes, count(first_seed + number, processes), theirs)
        worker = context.Process(target=_share, args=share)
        worker.start()
        theirs.close()
        workers.append((worker, ours))
    whole = Campaign()
    for worker, ours in workers:
        try:
            part: Campaign = ours.recv()
        except EOFError:
            part = Campaign(failures=[f"a process of the simulation died: {worker.name}"])
        worker.join()
        ours.close()
        whole.tally.add(part.tally)
        whole.failures += part.failures
        whole.last_seed = max(whole.last_seed, part.last_seed)
    whole.took_s = time.perf_counter() - began
    return whole


def _share(jobs, seeds, pipe) -> None:
    pipe.send(run_here(jobs, seeds))
    pipe.close()


def report(campaign: Campaign, first_seed: int) -> str:
    """Return the figures, for people."""
    tally, took_s = campaign.tally, max(campaign.took_s, 1e-9)
    what = f"{tally.jobs} jobs, {tally.runs} seeds ({first_seed} to {campaign.last_seed}), {tally.pilots} pilots"
    step_us = tally.step_s / max(1, tally.steps) * 1e6
    lines = [
        f"{what}, {tally.steps} steps, {tally.commits} commits in {campaign.took_s:.1f} s",
        f"{tally.jobs / took_s:.0f} jobs/s, {tally.steps / took_s:.0f} steps/s, {step_us:.1f} us for a step",
        "ends: " + _counts(tally.ends),
        "faults: " + _counts(tally.faults),
        f"moves of the table: {len(tally.moves)}",
    ]
    return "\n".join([*lines, *campaign.failures])


def _counts(counts) -> str:
    return ", ".join(f"{name} {number}" for name, number in counts.most_common())
