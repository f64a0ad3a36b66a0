"""What the pilot takes out of the payload's parameters, `jobPars` (protocol 2.5), and the lists it writes (2.4).

Options are cut out where they stand, outside of quotes; the rest keeps its bytes. Nothing is formatted or expanded,
so `%s`, `{}`, unbalanced quotes and base64 pass as they are.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from jobs.definition_error import DefinitionError, shown
from jobs.environment import check_environ
from jobs.literals import parse_literal, read_literal
from jobs.names import checked, checked_lfn

_FIELD = "jobPars"
_LISTS = "writeToFile"
_VALUE = r"""(?:=|\s+)(?P<value>"[^"]*"|'[^']*'|[^\s"']+)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """The payload's parameters and what was found in them.

    Attributes:
        text: the parameters without the pilot's options.
        image: container image of `--containerImage`, "" when there is none.
        access: "copy" or "direct" when the parameters demand it, else "".
        zip_map: inside of <ZIP_MAP>, "" when there is none.
        overwrite_queue: values of `--overwriteQueueData` over the queue's.
        overwrite_storage: values of `--overwriteStorageData` over the storages'.
    """

    text: str
    image: str = ""
    access: str = ""
    zip_map: str = ""
    overwrite_queue: Mapping[str, object] = field(default_factory=dict, hash=False)
    overwrite_storage: Mapping[str, object] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class ListFile:
    """A text file with input names, to be written into the job directory before the payload starts.

    Attributes:
        name: file name, ending in ".txt".
        option: the option of the payload that reads it, which is the first line; "" for none.
        lfns: one per line after that.
    """

    name: str
    option: str
    lfns: tuple[str, ...]

    @property
    def content(self) -> str:
        """The text of the file."""
        lines = (self.option, *self.lfns) if self.option else self.lfns
        return "".join(f"{line}\n" for line in lines)


def process(text: str) -> Parameters:
    """Take the pilot's options out of `jobPars`.

    Raises:
        DefinitionError: code 1402; an option's value is broken or asks for what a job may not have.
    """
    text, queue = _take_dictionary(text, "--overwriteQueueData")
    text, _ = _take_dictionary(text, "--overwriteQueuedata")  # the old spelling is removed and has no effect
    text, storage = _take_dictionary(text, "--overwriteStorageData")
    check_environ(str(queue.get("environ", "")), _FIELD)
    if "container_options" in queue:
        raise DefinitionError(_FIELD, "a job may not replace the container options of the queue")
    zip_map = ""
    if "<ZIP_MAP>" in text:
        text, zip_map = _take(text, r"<ZIP_MAP>(?P<value>.*?)</ZIP_MAP>", everywhere=True)
    image = ""
    if "--containerImage" in text:
        text, image = _take(text, rf"(?<!\S)--containerImage{_VALUE}")
        if image:
            checked("image", _FIELD, image)
    return Parameters(
        text=text,
        image=image,
        access=_access(text),
        zip_map=zip_map,
        overwrite_queue=queue,
        overwrite_storage=storage,
    )


def read_list_files(written: str, text: str) -> tuple[tuple[ListFile, ...], str]:
    """Read `writeToFile` and fit the parameters to the files that will be written.

    Args:
        written: "name:lfn,lfn^name:lfn", empty for none.
        text: the parameters.

    Returns:
        The files, and the parameters with `<option>=@<name>` turned into `@<name>.txt`.

    Raises:
        DefinitionError: code 1402, naming writeToFile.
    """
    files: list[ListFile] = []
    for part in filter(None, (part.strip() for part in written.split("^"))):
        name, mark, lfns = part.partition(":")
        if not mark or not lfns:
            raise DefinitionError(_LISTS, f"{shown(part)} has no file names")
        checked("lfn", _LISTS, name, limit=250)
        names = tuple(checked_lfn(_LISTS, lfn.strip()) for lfn in lfns.split(",") if lfn.strip())
        match = re.search(rf"(?<!\S)(?P<option>[^\s=]+)=@{re.escape(name)}(?![\w.-])", text)
        option = match["option"] if match else ""
        if match:
            text = f"{text[: match.start()]}@{name}.txt{text[match.end() :]}"
        files.append(ListFile(f"{name}.txt", option, names))
    if files:
        text = re.sub(r"\s*(?<!\S)--autoConfiguration=everything(?!\S)", "", text)
    return tuple(files), text


def _take(text: str, pattern: str, *, everywhere: bool = False) -> tuple[str, str]:
    """Cut the first match that is not inside quotes; return the rest and the match's value without its quotes."""
    outside = _outside_quotes(text)
    for match in re.finditer(pattern, text, re.DOTALL):
        if everywhere or outside(match.start()):
            value = match["value"]
            return _cut(text, match.start(), match.end()), value.strip("'\"") if not everywhere else value
    return text, ""


def _take_dictionary(text: str, option: str) -> tuple[str, Mapping[str, object]]:
    if option not in text:
        return text, {}
    outside = _outside_quotes(text)
    for match in re.finditer(rf"(?<!\S){option}(?:\s*=\s*|\s+)", text):
        if not outside(match.start()):
            continue
        try:
            value, end = _dictionary_at(text, match.end())
        except ValueError as error:
            raise DefinitionError(_FIELD, f"{option} is not followed by a dictionary: {error}") from error
        if not isinstance(value, dict):
            raise DefinitionError(_FIELD, f"{option} is not followed by a dictionary")
        return _cut(text, match.start(), end), value
    return text, {}


def _dictionary_at(text: str, at: int) -> tuple[object, int]:
    quote = text[at : at + 1]
    if quote not in {"'", '"'}:
        return read_literal(text, at)
    match = re.compile(r"'(?P<s>[^']*+)'" if quote == "'" else r'"(?P<s>(?:\\.|[^"\\]++)*+)"', re.DOTALL).match(
        text, at
    )
    if match is None:
        raise ValueError("the quotes are not closed")
    inner = match["s"] if quote == "'" else re.sub(r'\\(["\\$`])', r"\1", match["s"])
    return parse_literal(inner), match.end()


def _cut(text: str, start: int, end: int) -> str:
    """Remove a part and the blanks before it (behind it at the very start)."""
    before, after = text[:start].rstrip(), text[end:]
    return f"{before}{after}" if before else after.lstrip()


def _outside_quotes(text: str) -> Callable[[int], bool]:
    """Return a test whether a place is outside of shell quotes; a quote that is never closed reaches to the end."""
    pattern = r"""\\.|'[^']*+(?:'|\Z)|"(?:\\.|[^"\\]++)*+(?:"|\\?\Z)"""
    spans = [match.span() for match in re.finditer(pattern, text, re.DOTALL)]
    starts = [start for start, _ in spans]

    def outside(place: int) -> bool:
        at = bisect_right(starts, place) - 1
        return at < 0 or place >= spans[at][1]

    return outside


def _access(text: str) -> str:
    if "--useLocalIO" in text and re.search(r"(?<!\S)--useLocalIO(?!\S)", text):
        return "copy"
    if "--accessmode=" in text:
        match = re.search(r"(?<!\S)--accessmode=(copy|direct)(?!\S)", text)
        return match[1] if match else ""
    return ""
