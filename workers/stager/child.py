"""The stager's child program: a mover child that also packs log archives.

{"id": 7, "kind": "archive", "order": {arguments of jobs.archive.make_archive}}
"""

from typing import Any

from errors.codes import ErrorCode
from movers.base import MoverError
from movers.child import Answers, serve


def main() -> None:
    """Carry out orders until there are no more."""
    serve({"archive": _archive})


def _archive(message: dict[str, Any], answers: Answers) -> dict[str, Any]:
    from errors.exceptions import JobError  # noqa: PLC0415 - most children never pack, and they must start fast
    from jobs.archive import make_archive  # noqa: PLC0415

    try:
        made = make_archive(**message["order"], report=answers.report, announce=answers.announce)
    except JobError as error:
        no_space = error.code == ErrorCode.NOLOCALSPACE
        raise MoverError(error.code, error.detail, retry=not no_space) from error
    return {"size_bytes": made.size_bytes, "members": made.members, "notes": list(made.notes[:20])}
