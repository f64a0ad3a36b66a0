"""Where a file is on a storage: the deterministic path, and the URL made from it (protocol 8.5)."""

import hashlib
from collections.abc import Collection

from errors.codes import ErrorCode
from queues.faults import PlacementError
from queues.storages import Access, Storage


def deterministic_path(scope: str, lfn: str) -> str:
    """Return the relative path of a file: scope split at dots, two and two hex digits of md5("scope:lfn"), LFN."""
    digest = hashlib.md5(f"{scope}:{lfn}".encode(), usedforsecurity=False).hexdigest()
    return "/".join([*scope.split("."), digest[:2], digest[2:4], lfn])


def join_url(access: Access, relative: str) -> str:
    """Return `endpoint` + `path` + relative path; doubled slashes stay, some protocols need them."""
    path = access.path if not access.path or access.path.endswith("/") else f"{access.path}/"
    if not path and not access.endpoint.endswith("/"):
        path = "/"
    return f"{access.endpoint}{path}{relative}"


def first_access(storage: Storage, activities: Collection[str], schemes: Collection[str]) -> tuple[Access, ...]:
    """Return the protocols of the first activity that has one with an allowed scheme, in the storage's order."""
    for activity in activities:
        allowed = tuple(access for access in storage.protocols.get(activity, ()) if access.scheme in schemes)
        if allowed:
            return allowed
    return ()


def output_url(storage: Storage, scope: str, lfn: str, schemes: Collection[str]) -> str:
    """Return the URL an output goes to.

    Raises:
        PlacementError: 1329 when the storage is neither deterministic nor an object store, 1313 when it has no protocol
            of an allowed scheme, or the file has no scope.
    """
    if not storage.is_deterministic and not storage.is_object_store:
        raise PlacementError(lfn, f"{storage.name} is not deterministic", ErrorCode.NONDETERMINISTICDDM)
    found = first_access(storage, ("write_lan", "w", "write_wan"), schemes)
    if not found:
        raise PlacementError(
            lfn, f"{storage.name} has no protocol for writing with {', '.join(schemes)}", ErrorCode.NOSTORAGEPROTOCOL
        )
    if not storage.is_deterministic:
        return join_url(found[0], lfn)
    if not scope:
        raise PlacementError(lfn, f"{storage.name} needs a scope", ErrorCode.NONDETERMINISTICDDM)
    return join_url(found[0], deterministic_path(scope, lfn))
