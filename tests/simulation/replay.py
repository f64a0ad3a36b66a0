"""Simulate seeds by hand: `python tests/simulation/replay.py SEED [COUNT]`; one seed alone is told step by step."""

import sys
from itertools import count as upwards
from itertools import islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent)]

from sim_campaign import report, run_here  # noqa: E402


def main() -> None:
    """Run the seeds of the command line; say what failed."""
    first = int(sys.argv[1])
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    campaign = run_here(10**9, islice(upwards(first), seeds), max_failures=10**9)
    stories, campaign.failures = campaign.failures, []
    print(report(campaign, first))
    for story in stories:
        print(story if seeds == 1 else "\n".join(story.splitlines()[:2]))


if __name__ == "__main__":
    main()
