"""Which outputs go into one archive, and what it is called (event-service 7.1, 7.2). Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from posixpath import basename

from events.ledger import Range


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """An archive to be: its name, its ranges, their files."""

    lfn: str
    ids: tuple[str, ...]
    paths: tuple[str, ...]


def make_group(ready: Sequence[Range], used: Collection[str]) -> Group:
    """Return the archive of these outputs, in their order; one whose file has a name that is taken waits for the next.

    The archive is flat, so two files of one name cannot both be in it. The name is that of the first range; an archive
    made again after a failure has another one, as the first may have come to its storage after all.
    """
    taken: set[str] = set()
    members: list[Range] = []
    for each in ready:
        names = {basename(path) for path in each.paths}
        if not names & taken:
            taken |= names
            members.append(each)
    return group_of(_name(members[0].id, used), members)


def group_of(lfn: str, members: Sequence[Range]) -> Group:
    """Return a group under a name that it has already."""
    paths = tuple(path for each in members for path in each.paths)
    return Group(lfn=lfn, ids=tuple(each.id for each in members), paths=paths)


def _name(first_id: str, used: Collection[str]) -> str:
    stem = f"EventService_premerge_{first_id}"
    name, number = f"{stem}.tar", 1
    while name in used:
        number += 1
        name = f"{stem}.{number}.tar"
    return name
