"""The jobs in one definition file: {"<PandaID>": {...}, ...}, a list of jobs, one flat job, or url-encoded pairs. Pure.

Only the first job is looked at closely: one further down that is broken is told of when its turn comes.
"""

import json
from typing import Any

from jobs.decoding import decode
from jobs.definition_error import DefinitionError

_BOM = b"\xef\xbb\xbf"


def definition_of(text: bytes) -> str:
    """Return the first job in a file as the JSON text of one flat object.

    Raises:
        DefinitionError: 1402, the file is none of the forms.
    """
    jobs = _jobs_in(text)
    if isinstance(jobs, list):
        job = jobs[0]
    else:
        key, job = next(iter(jobs.items()))
        job = {**job, "PandaID": job.get("PandaID", key)} if key else job
    if not isinstance(job, dict) or "PandaID" not in job:
        raise DefinitionError("PandaID", "missing")
    return json.dumps(job)


def without_first(text: bytes) -> bytes:
    """Return a file with the jobs that follow the first one, in the form it has; b"" when there are none.

    Raises:
        DefinitionError: as `definition_of`.
    """
    jobs = _jobs_in(text)
    if isinstance(jobs, list):
        rest: Any = jobs[1:]
    else:
        rest = dict(list(jobs.items())[1:])
    return json.dumps(rest).encode() if rest else b""


def _jobs_in(text: bytes) -> list[Any] | dict[str, Any]:
    """Return the jobs of a file, never none; one flat job has the key ""."""
    text = text.removeprefix(_BOM).strip()
    if text.startswith(b"["):
        fields = decode(b'{"jobs": ' + text + b"}")
        jobs = fields.get("jobs")
        if len(fields) != 1 or not isinstance(jobs, list) or not jobs:
            raise DefinitionError("definition", "not a list of jobs")
        return jobs
    fields = decode(text)
    if "PandaID" not in fields and fields and all(isinstance(job, dict) for job in fields.values()):
        return fields
    return {"": fields}
