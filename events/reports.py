"""What the server is told of ranges (event-service 2.2, 7.4, 8): version 0 for failures, 1 for archives. Pure."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from errors.codes import ErrorCode
from events.channel import TEXT_CHARS
from events.ledger import ERROR, STAGED, Ledger, Range, Tar

#: Ranges in one call (7.4); the server itself takes a hundred times as many.
MAX_RANGES = 1000
#: "scope transient".
PATH_CONVENTION = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One call: its version, its entries, the ranges in their order; the same content has the same name."""

    version: int
    entries: tuple[Mapping[str, Any], ...]
    ids: tuple[str, ...]

    @property
    def name(self) -> str:
        """Return what the call is known by, also after a restart."""
        return f"report-{zlib.crc32(' '.join(self.ids).encode()):08x}"


def due_reports(ledger: Ledger, storage_ids: Mapping[str, int]) -> list[Report]:
    """Return the calls that are to be made, archives first; `storage_ids` gives the storage id of each endpoint."""
    found = []
    by_tar: dict[str, list[Range]] = {}
    for each in ledger.in_state(STAGED):
        by_tar.setdefault(each.tar, []).append(each)
    for lfn, members in by_tar.items():
        archive = _archive(ledger.stored[lfn], ledger.members[lfn], storage_ids)
        found += [_archive_report(archive, part) for part in _parts(members)]
    found += [_failure_report(part) for part in _parts(list(ledger.in_state(ERROR)))]
    return found


def _parts(members: list[Range]) -> list[list[Range]]:
    return [members[at : at + MAX_RANGES] for at in range(0, len(members), MAX_RANGES)]


def _archive(tar: Tar, members: int, storage_ids: Mapping[str, int]) -> dict[str, Any]:
    return {
        "numEvents": members,
        "objstoreID": storage_ids[tar.endpoint],
        "lfn": tar.lfn,
        "fsize": tar.size_bytes,
        "adler32": tar.checksum.rpartition(":")[2],
        "pathConvention": PATH_CONVENTION,
    }


def _archive_report(archive: Mapping[str, Any], members: list[Range]) -> Report:
    ranges = [{"eventRangeID": each.id, "eventStatus": "finished"} for each in members]
    ids = tuple(each.id for each in members)
    return Report(version=1, entries=({"zipFile": archive, "eventRanges": ranges},), ids=ids)


def _failure_report(members: list[Range]) -> Report:
    entries = tuple(
        {
            "eventRangeID": each.id,
            "eventStatus": "fatal" if each.fatal else "failed",
            "errorCode": each.code or int(ErrorCode.UNKNOWNPAYLOADFAILURE),
            "errorDiag": each.text[:TEXT_CHARS],
        }
        for each in members
    )
    return Report(version=0, entries=entries, ids=tuple(each.id for each in members))
