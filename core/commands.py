"""The server's word in an answer to an update (panda-protocol 3.9), read into what is to be done. Pure.

`command` is a comma separated combination of single words and at most one debug command, whose own arguments may hold
commas. The list of verbs is closed and each has its grammar of arguments (P120): what does not fit is refused, and
nothing that the server sent ever reaches a shell.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_MAX_CHARS = 250
#: Verb and arguments of what is looked at while nothing is asked for: the newest text file that the payload touched.
NEWEST = ("newest",)
#: Whoever asks for this wants the payload ended afterwards.
LAST_LOOK = "gdb"
_MAX_WORDS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What an answer asks for.

    `debug` is None when nothing is said of it; `inspect` holds verb and arguments of a debug command; `refused` is a
    debug command that is not allowed, with the reason; `unknown` is what is not of the list at all.
    """

    kill: bool = False
    unwanted: bool = False
    wrong_attempt: bool = False
    soft_kill: bool = False
    keep_files: bool = False
    debug: bool | None = None
    inspect: tuple[str, ...] = ()
    refused: str = ""
    unknown: str = ""


_WORDS: dict[str, dict[str, bool]] = {
    "": {},
    "null": {},
    "none": {},
    "tobekilled": {"kill": True},
    "softkill": {"soft_kill": True},
    "badattemptnr": {"unwanted": True, "wrong_attempt": True},
    "alreadydone": {"unwanted": True},
    "nocleanup": {"keep_files": True},
}


def read_command(text: str) -> Command:
    """Return what the text of `command` asks for; never raises."""
    parts = text.split(",")
    names = [part.strip().lower() for part in parts]
    found: dict[str, Any] = {}
    for name in names:
        found.update(_WORDS.get(name, {}))
    debug: bool | None = None
    if "debugoff" in names:  # tested first: it holds the other word
        debug = False
    elif "debug" in names:
        debug = True
    # A debug command's own commas are put back; they can only stand between parts that are no words of the list.
    plain = {*_WORDS, "debug", "debugoff"}
    rest = ",".join(part for part, name in zip(parts, names, strict=True) if name not in plain).strip()
    if not rest:
        return Command(debug=debug, **found)
    # "ls;" is the verb ls with something behind it that is refused.
    verb = re.split(r"[\s;&]", rest, maxsplit=1)[0]
    if verb not in _VERBS:
        return Command(debug=debug, unknown=rest[:_MAX_CHARS], **found)
    try:
        words = _inspection(rest)
    except ValueError as error:
        return Command(debug=debug, refused=f"{rest[:80]}: refused: {error}", **found)
    return Command(debug=debug is not False, inspect=words, **found)


def _inspection(text: str) -> tuple[str, ...]:
    """Return verb and arguments of a debug command.

    Raises:
        ValueError: the command or one of its arguments is not allowed; the text says which.
    """
    if ";" in text or "&#59" in text:
        raise ValueError("more than one command")
    if len(text) > _MAX_CHARS or not text.isprintable():
        raise ValueError("not a line of at most 250 characters")
    verb, *words = text.split()
    if len(words) > _MAX_WORDS:
        raise ValueError("too many arguments")
    return (verb, *_VERBS[verb](words))


# ---------------------------------------------------------------- the grammar of each verb's arguments
_TAIL_COUNT = re.compile(r"-n?(\d{1,5})", re.ASCII)
_DU_OPTION = re.compile(r"-[hskmbacx]+|--max-depth=\d{1,2}|--apparent-size", re.ASCII)
_LS_OPTION = re.compile(r"-[lahArtRS1dFsink]+", re.ASCII)
# No "e" in a word without dash: `ps e` shows environments, and with them what is secret.
_PS_OPTION = re.compile(r"-?[axufwlj]+|-[efFlLyjHAaTw]+|-e?o|-[puC]|--forest|--sort=[-+a-z,%]+|--no-headers", re.ASCII)
_PS_VALUE = re.compile(r"[A-Za-z0-9_,%.:+-]{1,120}", re.ASCII)
_PS_ENVIRONMENT = re.compile(r"\benviron\b", re.IGNORECASE)
_PS_TAKES_VALUE = frozenset({"-o", "-eo", "-p", "-u", "-C"})
_PATH = re.compile(r"[A-Za-z0-9_@%+=:.,*?\[\]/-]{1,200}", re.ASCII)
_GDB_WORDS = frozenset({"-q", "-quiet", "--quiet", "-batch", "--batch", "-nx", "--nx", "-n", "--pid", "-p", "%"})
_GDB_WORDS |= {"--pid=%", "-ex", "generate-core-file", "gcore", "bt", "where", "info", "threads", "thread", "apply"}
_GDB_WORDS |= {"all", "detach", "quit", "full"}


def _path(word: str) -> str:
    """Return a relative path or pattern that does not leave the job directory by its text.

    Raises:
        ValueError: it does, or holds characters that no file of a job needs.
    """
    if not _PATH.fullmatch(word) or word.startswith("-"):
        raise ValueError(f"the path {word[:40]!r} has a form that is not allowed")
    if word.startswith("/") or ".." in word.split("/"):
        raise ValueError(f"the path {word[:40]!r} is not inside the job directory")
    return word


def _tail(words: list[str]) -> list[str]:
    count, paths = "10", []
    rest = iter(words)
    for word in rest:
        match = _TAIL_COUNT.fullmatch("-n" + next(rest, "") if word == "-n" else word)
        if match is not None:
            count = match[1]
        else:
            paths.append(_path(word))
    if len(paths) != 1:
        raise ValueError("tail needs one path")
    return [count, *paths]


def _listing(option: re.Pattern[str]) -> Callable[[list[str]], list[str]]:
    def listing(words: list[str]) -> list[str]:
        options = [word for word in words if option.fullmatch(word)]
        paths = [_path(word) for word in words if not option.fullmatch(word)]
        return [*options, "--", *(paths or ["."])]

    return listing


def _ps(words: list[str]) -> list[str]:
    rest = iter(words)
    found: list[str] = []
    for word in rest:
        if not _PS_OPTION.fullmatch(word):
            raise ValueError(f"the option {word[:40]!r} of ps is not allowed")
        found.append(word)
        if word in _PS_TAKES_VALUE:
            value = next(rest, "")
            if not _PS_VALUE.fullmatch(value) or _PS_ENVIRONMENT.search(value):
                raise ValueError(f"the value {value[:40]!r} of {word} is not allowed")
            found.append(value)
    return found


def _gdb(words: list[str]) -> list[str]:
    """Return nothing: what gdb does is fixed (stacks, core), the words only have to ask for no more than that."""
    plain = [word.strip("'\"") for word in words]
    strange = [word for word in plain if word not in _GDB_WORDS]
    if strange:
        raise ValueError(f"gdb may not be given {strange[0][:40]!r}")
    return []


_VERBS: dict[str, Callable[[list[str]], list[str]]] = {
    "tail": _tail,
    "ls": _listing(_LS_OPTION),
    "du": _listing(_DU_OPTION),
    "ps": _ps,
    "gdb": _gdb,
}
