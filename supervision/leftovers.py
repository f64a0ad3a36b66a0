"""What a pilot that leaves must not leave behind of jobs that wait for a later one (pitfall P119)."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

from jobs.record import Plan
from workflows.standard import secrets_only


def remove_job_secrets(plans: Iterable[Plan]) -> None:
    """Remove the files of jobs that hold secrets; what a later pilot needs of them is in the journal (0600)."""
    for plan in plans:
        for path in secrets_only(plan).paths:
            with contextlib.suppress(OSError):
                Path(path).unlink()
