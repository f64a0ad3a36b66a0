"""Allow-lists for the names in a job definition (pitfalls P115, behaviour.md 13) and the names the pilot keeps.

Everything here becomes a file name, a path or a word in a command, so what is not listed is refused.
"""

import re
from functools import cache

from errors.codes import ErrorCode
from jobs.definition_error import DefinitionError, shown

MAX_LFN = 255

#: The user's secrets (panda-protocol 2.3) and the payload's own proxy, in the job directory while the payload runs.
USER_SECRETS = "panda_secrets.json"
PAYLOAD_PROXY = "x509_payload.proxy"
SECRET_FILES = (USER_SECRETS, PAYLOAD_PROXY)

_PATTERNS = {
    "lfn": r"[A-Za-z0-9][A-Za-z0-9._+:=@~-]{0,254}",
    "output": r"[A-Za-z0-9][A-Za-z0-9.\-_]{1,250}",
    "scope": r"[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64}){0,7}",
    "guid": r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}",
    "dataset": r"[A-Za-z0-9][A-Za-z0-9._+:=@~#{}%-]*+(?:/[A-Za-z0-9_+:=@~#{}%][A-Za-z0-9._+:=@~#{}%-]*+)*/?",
    "endpoint": r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
    "token": r"[A-Za-z0-9][A-Za-z0-9._/:+-]{0,127}",
    "word": r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,127}",
    "platform": r"[A-Za-z0-9._#][A-Za-z0-9._+/#&*:-]{0,255}",
    "script": r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}",
    "image": r"(?:(?:docker|oras|library|shub|https?)://)?/?[A-Za-z0-9][A-Za-z0-9._+=:@~-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+=:@~-]*)*",
    "google": r"gs://[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9_][A-Za-z0-9._+=@~-]*)+",
}  # fmt: skip

_PILOTS_OWN = frozenset({
    "container_script.sh", "heartbeat.json", "job_definition.json", "kill_worker", "my_release_setup.sh",
    "open_file.sh", "output.list", "oversized_files.zip", "panda_secrets.json", "pandatracerlog.txt",
    "poolfilecatalog.xml", "rucio_upload.json", "setup.stderr", "setup.stdout", "stagein.sh", "stageout.sh",
    "worker_attributes.json", PAYLOAD_PROXY,
})  # fmt: skip
_PILOTS_OWN_STARTS = (
    "payload.std", "payload.exit", "payload.sh", "pilotlog", "preprocess_std", "postprocess_std", "coprocess_std",
    "memory_monitor_", "bulkhead",
)  # fmt: skip


@cache
def pattern(kind: str) -> re.Pattern[str]:
    """Return the allow-list of a kind of name: "lfn", "output", "scope", "guid", "dataset", "endpoint", ..."""
    return re.compile(_PATTERNS[kind])


def checked(kind: str, field: str, value: str, *, limit: int = 512, code: int = ErrorCode.BADJOBDEFINITION) -> str:
    """Return a value that matches the allow-list of its kind.

    Raises:
        DefinitionError: with the given code, naming the field.
    """
    if len(value) > limit or not pattern(kind).fullmatch(value):
        raise DefinitionError(field, f"{shown(value)} is not a valid {kind}", code)
    return value


def checked_lfn(field: str, value: str, *, output: bool = False) -> str:
    """Return a logical file name that is safe as the name of a file.

    Raises:
        DefinitionError: 1190 for more than 255 bytes, 1371 for a bad output name, 1402 for a bad input name.
    """
    if len(value.encode("utf-8", "surrogatepass")) > MAX_LFN:
        raise DefinitionError(field, f"{shown(value)} is longer than {MAX_LFN} bytes", ErrorCode.LFNTOOLONG)
    code = ErrorCode.BADOUTPUTFILENAME if output else ErrorCode.BADJOBDEFINITION
    checked("output" if output else "lfn", field, value, code=code)
    if is_pilots_own(value):
        raise DefinitionError(field, f"{shown(value)} is a file of the pilot itself", code)
    return value


def is_pilots_own(name: str) -> bool:
    """Say whether the pilot writes a file of this name (in any case) into the job directory itself."""
    lower = name.lower()
    return lower in _PILOTS_OWN or lower.startswith(_PILOTS_OWN_STARTS)
