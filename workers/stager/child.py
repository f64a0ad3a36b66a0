"""The stager's child program: a mover child that also packs log archives and archives of events.

{"id": 7, "kind": "archive", "order": {arguments of jobs.archive.make_archive}}
{"id": 7, "kind": "tar", "order": {arguments of jobs.event_tar.make_tar}}
"""

from typing import Any

from errors.codes import ErrorCode
from movers.base import MoverError
from movers.child import Answers, serve


def main() -> None:
    """Carry out orders until there are no more."""
    serve({"archive": _archive, "tar": _tar})


def _archive(message: dict[str, Any], answers: Answers) -> dict[str, Any]:
    from errors.exceptions import JobError  # noqa: PLC0415 - most children never pack, and they must start fast
    from jobs.archive import make_archive  # noqa: PLC0415

    try:
        made = make_archive(**message["order"], report=answers.report, announce=answers.announce)
    except JobError as error:
        no_space = error.code == ErrorCode.NOLOCALSPACE
        raise MoverError(error.code, error.detail, retry=not no_space) from error
    return {"size_bytes": made.size_bytes, "members": made.members, "notes": list(made.notes[:20])}


def _tar(message: dict[str, Any], answers: Answers) -> dict[str, Any]:
    from errors.exceptions import JobError  # noqa: PLC0415 - as above
    from jobs.event_tar import make_tar  # noqa: PLC0415

    try:
        size_bytes = make_tar(**message["order"], report=answers.report)
    except JobError as error:
        raise MoverError(error.code, error.detail) from error
    # The bytes are counted when the tar is brought.
    return {"size_bytes": 0, "packed_bytes": size_bytes}
