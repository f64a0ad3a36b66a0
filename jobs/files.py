"""The files of a job: what comes in, what goes out, and the log (protocol 2.4).

Parallel lists keep their index when an item is skipped; shorter lists are padded; longer ones are refused with 1312.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from errors.codes import ErrorCode
from jobs.definition_error import DefinitionError, shown
from jobs.names import checked, checked_lfn
from jobs.values import Fields, to_integer

_NEVER_DIRECT = (".tar.gz", ".lib.tgz", ".raw.")
_FORCES_COPY = frozenset({"local"})
_ADLER_DIGITS, _MD5_DIGITS = 8, 32
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputFile:
    """One file the payload reads.

    Attributes:
        lfn: logical file name, also the name in the job directory.
        scope: Rucio scope, "" when there is none.
        dataset: dataset, may be "scope:name".
        guid: GUID as given, "" when there is none.
        size_bytes: expected size, None when it is not known.
        checksum_type: "adler32" or "md5", "" when there is no checksum.
        checksum_value: lower-case hexadecimal digits, 8 or 32.
        endpoint: storage endpoint (RSE) that should have it, "" when there is none.
        token: "local", a storage id, or "" (key prodDBlockToken).
        access: "copy", or "direct" when the payload may read it where it is.
        url: full source when the definition gives one (gs://...), else "".
        in_archive: a member of a tar archive (the definition says zip://name).
    """

    lfn: str
    scope: str = ""
    dataset: str = ""
    guid: str = ""
    size_bytes: int | None = None
    checksum_type: str = ""
    checksum_value: str = ""
    endpoint: str = ""
    token: str = ""
    access: str = "copy"
    url: str = ""
    in_archive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One file the payload makes, or the log archive.

    Attributes:
        lfn: logical file name, also the name in the job directory.
        scope: Rucio scope, "" when there is none.
        dataset: dataset name.
        guid: GUID of the log; "" means that the stage-out makes one.
        endpoint: wanted storage endpoint (RSE), "" when the queue decides.
        token: storage token of an event service output (key prodDBlockTokenForOutput).
        allow_missing: the job is still good without it (key allowNoOutput).
    """

    lfn: str
    scope: str = ""
    dataset: str = ""
    guid: str = ""
    endpoint: str = ""
    token: str = ""
    allow_missing: bool = False


def read_inputs(fields: Fields, *, direct: bool) -> tuple[InputFile, ...]:
    """Return the input files in the order of the definition; repeated and NULL names are left out.

    Args:
        fields: the job definition.
        direct: the job may read its input where it is.

    Raises:
        DefinitionError: a name, checksum, size or list is not valid.
    """
    names = fields.items("inFiles")
    column = _columns(fields, len(names))
    datasets, guids, sizes = column("realDatasetsIn"), column("GUID"), column("fsize")
    checksums, scopes = column("checksum"), column("scopeIn")
    endpoints, tokens = column("ddmEndPointIn"), column("prodDBlockToken")
    found: dict[str, InputFile] = {}
    for at, name in enumerate(names):
        if name is None:
            continue
        lfn, url, in_archive = _source(name)
        if lfn in found:
            continue
        kind, value = _checksum(checksums[at])
        size = sizes[at]
        token = _optional("token", "prodDBlockToken", tokens[at])
        found[lfn] = InputFile(
            lfn=lfn,
            scope=_optional("scope", "scopeIn", scopes[at]),
            dataset=_optional("dataset", "realDatasetsIn", datasets[at]),
            guid=_optional("guid", "GUID", guids[at]),
            size_bytes=None if size is None else to_integer("fsize", size),
            checksum_type=kind,
            checksum_value=value,
            endpoint=_optional("endpoint", "ddmEndPointIn", endpoints[at]),
            token=token,
            access="direct" if direct and token not in _FORCES_COPY and not _never_direct(lfn) else "copy",
            url=url,
            in_archive=in_archive,
        )
    _check_case("inFiles", found, ErrorCode.BADJOBDEFINITION)
    return tuple(found.values())


def read_outputs(fields: Fields, allow_missing: Iterable[str]) -> tuple[OutputFile, ...]:
    """Return the output files without the log, in the order of the definition.

    The scope list has no item for the log, every other list has one (protocol 2.4).

    Raises:
        DefinitionError: 1371 for a bad or repeated name, 1312 when scopes are too few or a list is too long, 1402 when
            there are outputs but no scopes at all.
    """
    names = fields.items("outFiles")
    log = fields.raw("logFile")
    scopes = _output_scopes(fields, names, log)
    column = _columns(fields, len(names))
    datasets, endpoints = column("realDatasets"), column("ddmEndPointOut")
    tokens = column("prodDBlockTokenForOutput")
    allowed = frozenset(allow_missing)
    found: dict[str, OutputFile] = {}
    for at, name in enumerate(names):
        if name is None or name == log:
            continue
        output = OutputFile(
            lfn=checked_lfn("outFiles", name, output=True),
            scope=_optional("scope", "scopeOut", scopes[at]),
            dataset=_optional("dataset", "realDatasets", datasets[at]),
            endpoint=_optional("endpoint", "ddmEndPointOut", endpoints[at]),
            token=_optional("token", "prodDBlockTokenForOutput", tokens[at]),
            allow_missing=name in allowed,
        )
        if found.setdefault(name, output) != output:
            raise DefinitionError(
                "outFiles", f"{shown(name)} comes twice, with two destinations", ErrorCode.BADOUTPUTFILENAME
            )
    return tuple(found.values())


def read_log(fields: Fields, name: str = "") -> OutputFile | None:
    """Return the log archive, None for a job without one.

    Args:
        fields: the job definition.
        name: replaces the name in the definition (environment PILOT_LOGFILE).

    Raises:
        DefinitionError: 1371 for a bad name, 1190 for one that is too long, 1402 for the other fields.
    """
    own = fields.raw("logFile")
    if own is None:
        return None
    if not isinstance(own, str):
        raise DefinitionError("logFile", f"{shown(own)} is not a name", ErrorCode.BADOUTPUTFILENAME)
    lfn = checked_lfn("logFile", name or own, output=True)
    names = fields.items("outFiles")
    column = _columns(fields, len(names))
    at = names.index(own) if own in names else None
    return OutputFile(
        lfn=lfn,
        scope=_optional("scope", "scopeLog", fields.text("scopeLog")),
        dataset="" if at is None else _optional("dataset", "realDatasets", column("realDatasets")[at]),
        guid=_optional("guid", "logGUID", fields.text("logGUID")),
        endpoint="" if at is None else _optional("endpoint", "ddmEndPointOut", column("ddmEndPointOut")[at]),
    )


def check_collisions(inputs: Iterable[InputFile], outputs: Iterable[OutputFile], log: OutputFile | None) -> None:
    """Refuse outputs that would overwrite an input, each other or the log, also where only the case differs.

    Raises:
        DefinitionError: code 1371, naming outFiles or logFile.
    """
    taken = {file.lfn.lower(): "an input" for file in inputs}
    named = [("outFiles", file.lfn) for file in outputs]
    if log is not None:
        named.append(("logFile", log.lfn))
    for field, lfn in named:
        other = taken.get(lfn.lower())
        if other:
            raise DefinitionError(
                field, f"{shown(lfn)} has the name of {other} (case does not count)", ErrorCode.BADOUTPUTFILENAME
            )
        taken[lfn.lower()] = "another output"


def _columns(fields: Fields, length: int) -> Callable[[str], tuple[str | None, ...]]:
    def column(key: str) -> tuple[str | None, ...]:
        items = fields.items(key)
        if any(items[length:]):
            raise DefinitionError(key, f"has {len(items)} items for {length} files", ErrorCode.NOTSAMELENGTH)
        return items[:length] + (None,) * (length - len(items))

    return column


def _output_scopes(fields: Fields, names: tuple[str | None, ...], log: object) -> list[str | None]:
    """Spread the scopes over the outputs, leaving the log out."""
    wanted = sum(name is None or name != log for name in names)
    given = fields.items("scopeOut")
    if not given and fields.is_given_null("scopeOut"):
        given = (None,) * wanted
    if not given and any(name is not None and name != log for name in names):
        raise DefinitionError("scopeOut", "is missing although there are output files")
    if any(given[wanted:]):
        raise DefinitionError(
            "scopeOut", f"has {len(given)} items for {wanted} files without the log", ErrorCode.NOTSAMELENGTH
        )
    left = iter(given)
    spread = [None if name == log and name is not None else next(left, "") for name in names]
    for name, scope in zip(names, spread, strict=True):
        if scope == "" and name is not None:
            raise DefinitionError("scopeOut", f"has no item for {shown(name)}", ErrorCode.NOTSAMELENGTH)
    return spread


def _optional(kind: str, field: str, value: str | None) -> str:
    return checked(kind, field, value) if value else ""


def _source(name: str) -> tuple[str, str, bool]:
    """Return LFN, URL and the archive flag for an item of `inFiles`."""
    if name.startswith("zip://"):
        return checked_lfn("inFiles", name.removeprefix("zip://")), "", True
    if name.startswith("gs://"):
        url = checked("google", "inFiles", name, limit=1024)
        return checked_lfn("inFiles", url.rpartition("/")[2]), url, False
    return checked_lfn("inFiles", name), "", False


def _checksum(text: str | None) -> tuple[str, str]:
    """Return type and value; adler32 is assumed, digits lost in front of an adler32 are put back."""
    if text is None:
        return "", ""
    prefix, mark, digits = text.rpartition(":")
    digits = digits.lower()
    types = {"ad": "adler32", "adler32": "adler32", "md": "md5", "md5": "md5"}
    kind = types.get(prefix.lower(), "") if mark else "md5" if len(digits) == _MD5_DIGITS else "adler32"
    if not kind:
        raise DefinitionError("checksum", f"{shown(text)} is of an unknown type", ErrorCode.UNKNOWNCHECKSUMTYPE)
    if kind == "adler32" and 0 < len(digits) < _ADLER_DIGITS:
        digits = digits.zfill(_ADLER_DIGITS)
    if len(digits) != (_ADLER_DIGITS if kind == "adler32" else _MD5_DIGITS) or not _HEX.issuperset(digits):
        raise DefinitionError("checksum", f"{shown(text)} is not a valid {kind}")
    return kind, digits


def _never_direct(lfn: str) -> bool:
    return lfn.startswith("raw.") or any(part in lfn for part in _NEVER_DIRECT)


def _check_case(field: str, names: Iterable[str], code: int) -> None:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise DefinitionError(field, f"{shown(name)} differs from another file only by case", code)
        seen.add(name.lower())
