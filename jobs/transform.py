"""What to run: a script to fetch, a path or a plain command, and the payload's own command line.

Pure: nothing is fetched or looked up. The payload's line is the only one a shell ever reads; what the pilot adds to it
is quoted (pitfalls P113).
"""

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from errors.codes import ErrorCode
from jobs.definition_error import DefinitionError, shown

_MAX_LENGTH = 1024
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_WORD = r"[A-Za-z0-9._+/@=:,%-]+"
_SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._+~=@-]*"


@dataclass(frozen=True, slots=True)
class Transform:
    """How the payload's program comes to the job directory.

    Attributes:
        kind: "url" is fetched and made executable; "path" and "command" are run as they stand.
        source: the URL, the path, or the command with its first words.
        local_name: file name in the job directory for a URL, else "".
    """

    kind: Literal["url", "path", "command"]
    source: str
    local_name: str = ""

    def command_line(self, parameters: str = "") -> str:
        """Return the payload's shell line: the program, quoted, and the parameters as the job wrote them."""
        if self.kind == "url":
            program = shlex.quote(f"./{self.local_name}")
        else:
            first, *others = self.source.split()
            if self.kind == "path" and not first.startswith(("/", "./")):
                first = f"./{first}"
            program = shlex.join([first, *others])
        return f"{program} {parameters}" if parameters else program


def is_url(transformation: str) -> bool:
    """Say whether a transformation is fetched, which also marks a user job (protocol 2.2)."""
    return transformation.lower().startswith(("http://", "https://"))


def check_transformation(transformation: str, field: str = "transformation") -> None:
    """Refuse a transformation that could reach the shell, or a file outside, by its form.

    Raises:
        DefinitionError: 1149 for a bad URL, 1402 for a bad path or command.
    """
    if "://" in transformation or is_url(transformation):
        if len(transformation) > _MAX_LENGTH or not _url().fullmatch(transformation):
            raise DefinitionError(
                field, f"{shown(transformation)} is not a plain http(s) URL", ErrorCode.TRFDOWNLOADFAILURE
            )
        return
    words = transformation.split(" ")
    if len(transformation) > _MAX_LENGTH or not all(re.fullmatch(_WORD, word) for word in words):
        raise DefinitionError(field, f"{shown(transformation)} is not a plain path or command")
    if words[0].startswith("-") or words[0].endswith("/") or any(".." in word.split("/") for word in words):
        raise DefinitionError(field, f"{shown(transformation)} is not a path inside the job directory or a command")


def decide_transform(transformation: str, allowed_bases: Iterable[str], field: str = "transformation") -> Transform:
    """Return how to come by the program.

    Args:
        transformation: URL, path or command of the job, or of its pre-, co- or post-process.
        allowed_bases: URLs below which scripts may be fetched; compared by scheme, host, port and whole path parts.
        field: key of the job definition, for the error.

    Raises:
        DefinitionError: 1149 for a URL that is malformed or under none of the bases, 1402 for a bad path or command.
    """
    check_transformation(transformation, field)
    if not is_url(transformation):
        kind: Literal["path", "command"] = "path" if "/" in transformation.split(" ", maxsplit=1)[0] else "command"
        return Transform(kind, transformation)
    if not any(_is_below(transformation, base) for base in allowed_bases):
        raise DefinitionError(
            field, f"{shown(transformation)} is not under an allowed base URL", ErrorCode.TRFDOWNLOADFAILURE
        )
    return Transform("url", transformation, transformation.rpartition("/")[2])


def _is_below(url: str, base: str) -> bool:
    wanted, given = _url().fullmatch(url), _base().fullmatch(base.strip())
    if wanted is None or given is None or _origin(wanted) != _origin(given):
        return False
    return wanted["path"].startswith(given["path"].rstrip("/") + "/")


def _origin(match: re.Match[str]) -> tuple[str, str, str]:
    scheme = match["scheme"].lower()
    return scheme, match["host"].lower(), (match["port"] or _DEFAULT_PORTS[scheme]).lstrip("0")


_HOST = r"(?P<scheme>https?)://(?P<host>[a-z0-9][a-z0-9.-]*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"


@cache
def _url() -> re.Pattern[str]:
    return re.compile(rf"{_HOST}(?P<path>(?:/{_SEGMENT})+)", re.IGNORECASE | re.ASCII)


@cache
def _base() -> re.Pattern[str]:
    return re.compile(rf"{_HOST}(?P<path>(?:/{_SEGMENT})*/?)", re.IGNORECASE | re.ASCII)
