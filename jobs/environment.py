"""Which environment variables a job may not set (pitfalls P107, hostile input H037).

No key of a job definition sets the environment; only `--overwriteQueueData` can, through the queue field `environ`.
"""

import re

from jobs.definition_error import DefinitionError, shown

_KEPT = frozenset(
    {"PATH", "HOME", "SHELL", "ENV", "BASH_ENV", "IFS", "TMPDIR", "USER", "LOGNAME", "SHELLOPTS", "BASHOPTS"}
)
_KEPT_STARTS = ("LD_", "PYTHON", "X509_", "OIDC_", "PANDA_AUTH", "PANDA_PILOT", "PILOT_", "BEARER_TOKEN", "BULKHEAD_",
                "HARVESTER_", "APPTAINER", "SINGULARITY", "BASH_FUNC_", "SSL_", "CURL_", "AWS_", "GOOGLE_")  # fmt: skip


def is_kept(name: str) -> bool:
    """Say whether a variable belongs to the pilot or the loader, so that a job may not set it."""
    upper = name.upper()
    return upper in _KEPT or upper.startswith(_KEPT_STARTS)


def check_environ(text: str, field: str) -> None:
    """Refuse a text of `NAME=value` pairs that sets a variable the job may not touch.

    Raises:
        DefinitionError: code 1402, naming the variable.
    """
    for match in re.finditer(r"([A-Za-z_][A-Za-z0-9_]*)(?:\(\))?\s*\+?=", text):
        if is_kept(match[1]):
            raise DefinitionError(field, f"the job may not set {shown(match[1])}")
