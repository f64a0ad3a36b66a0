"""Storage endpoints and their protocols (protocol 8.5). Only the endpoints asked for are looked at."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from jobs.definition_error import DefinitionError, shown
from jobs.values import Fields
from queues.faults import QueueError
from queues.reading import read_document

_DOCUMENT = "storages"
_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<user>[^/@]*@)?(?P<host>[A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?][A-Za-z0-9._+=@~:/%?&-]*)?"
)
_PATH = re.compile(r"[A-Za-z0-9._+=@~:/%?&-]*")
_METADATA_HOSTS = re.compile(r"169\.254\.[0-9.]+|fd00:ec2::254|metadata(?:\.google\.internal)?", re.IGNORECASE)
_LOOPBACK_HOSTS = re.compile(r"localhost|127\.[0-9.]+|0\.0\.0\.0|0|::1|::ffff:127\.[0-9.]+", re.IGNORECASE)
OBJECT_STORES = frozenset({"OS_ES", "OS_LOGS"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """One way to reach a storage: URLs are `endpoint` + `path` + relative path.

    Attributes:
        endpoint: scheme, host and port, or "file://..."; without user and password.
        path: base path on it.
        flavour: kind of protocol ("XROOT", "WEBDAV", ...).
        id: protocol id, 0 when there is none.
    """

    endpoint: str
    path: str = ""
    flavour: str = ""
    id: int = 0

    @property
    def scheme(self) -> str:
        """URL scheme; "file" for a plain absolute path."""
        scheme, mark, _ = self.endpoint.partition("://")
        return scheme if mark else "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedAccess:
    """A way to reach an object store, by its protocol id, with the names (not the values) of the keys for it.

    Attributes:
        endpoint, path, flavour: as in Access.
        activities: what it is for: "r", "w", ...
        access_key, secret_key: names for the server's key pair call.
        is_secure: TLS.
    """

    endpoint: str
    path: str = ""
    flavour: str = ""
    activities: tuple[str, ...] = ()
    access_key: str = ""
    secret_key: str = ""
    is_secure: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A storage endpoint (RSE).

    Attributes:
        name: name of the endpoint.
        id: storage id, reported as objstoreID.
        type: "DATADISK", ...; "OS_ES" and "OS_LOGS" are object stores.
        token, state, site: words of the document.
        is_deterministic: paths can be built from scope and LFN.
        bucket_id: alternative id, 0 when there is none.
        protocols: ways to reach it by activity ("read_lan", "write_lan", ...), in order.
        keyed: ways to reach an object store by protocol id.
    """

    name: str
    id: int = 0
    type: str = ""
    token: str = ""
    state: str = ""
    site: str = ""
    is_deterministic: bool = False
    bucket_id: int = 0
    protocols: Mapping[str, tuple[Access, ...]] = field(default_factory=dict, hash=False)
    keyed: Mapping[str, KeyedAccess] = field(default_factory=dict, hash=False)

    @property
    def is_object_store(self) -> bool:
        """Paths on it are `path` + LFN."""
        return self.type in OBJECT_STORES


def parse_storages(
    text: str | bytes,
    names: Iterable[str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> dict[str, Storage]:
    """Return the storages of a document by name.

    Args:
        text: the document; "" for none when there are overrides.
        names: the endpoints wanted, None for all; those that are not in the document are left out.
        overrides: entries of the job (`JobDefinition.overwrite_storage`); they win, key by key, and may name neither
            local files nor this host.

    Raises:
        QueueError: 1116 or 1117, naming endpoint and field; also for a URL with a user or password in it, or one that
            points to a metadata service.
    """
    given = overrides or {}
    document = read_document(text, _DOCUMENT) if text or not given else {}
    wanted = set(document) | set(given) if names is None else set(names)
    found: dict[str, Storage] = {}
    for name in sorted(wanted & (set(document) | set(given))):
        own, mine = document.get(name, {}), given.get(name, {})
        if not isinstance(own, dict) or not isinstance(mine, dict):
            raise QueueError(name, "is not an object")
        found[name] = _storage(name, {**own, **mine}, foreign=name in given)
    return found


def _storage(name: str, raw: Mapping[str, object], *, foreign: bool) -> Storage:
    fields = Fields(raw)
    try:
        resource = Fields(fields.mapping("resource") or {})
        return Storage(
            name=name,
            id=fields.integer("id"),
            type=fields.text("type"),
            token=fields.text("token"),
            state=fields.text("state"),
            site=fields.text("site"),
            is_deterministic=fields.flag("is_deterministic"),
            bucket_id=resource.integer("bucket_id"),
            protocols={
                activity: _accesses(name, items, foreign=foreign)
                for activity, items in (fields.mapping("arprotocols") or {}).items()
            },
            keyed={
                key: _keyed(name, key, item, foreign=foreign)
                for key, item in (fields.mapping("rprotocols") or {}).items()
            },
        )
    except DefinitionError as error:
        raise QueueError(f"{name}.{error.field}", error.text) from error


def _accesses(name: str, items: object, *, foreign: bool) -> tuple[Access, ...]:
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise QueueError(f"{name}.arprotocols", "is not a list of objects")
    found = []
    for item in items:
        fields = Fields(item)
        endpoint, path = _place(name, fields, foreign=foreign)
        found.append(Access(endpoint=endpoint, path=path, flavour=fields.text("flavour"), id=fields.integer("id")))
    return tuple(found)


def _place(name: str, fields: Fields, *, foreign: bool) -> tuple[str, str]:
    """Return endpoint and path of a protocol, both checked."""
    endpoint, path = fields.text("endpoint"), fields.text("path")
    check_endpoint(endpoint, f"{name}.endpoint", foreign=foreign)
    if not _PATH.fullmatch(path) or ".." in path.split("/"):
        raise QueueError(f"{name}.path", f"{shown(path)} is not a plain path")
    return endpoint, path


def _keyed(name: str, key: str, item: object, *, foreign: bool) -> KeyedAccess:
    """Return one entry of `rprotocols`."""
    where = f"{name}.rprotocols.{shown(key)}"
    if not isinstance(item, dict):
        raise QueueError(where, "is not an object")
    fields = Fields(item)
    settings = Fields(fields.mapping("settings") or {})
    endpoint, path = _place(where, fields, foreign=foreign)
    return KeyedAccess(
        endpoint=endpoint,
        path=path,
        flavour=fields.text("flavour"),
        activities=tuple(activity for activity in fields.items("activities") if activity),
        access_key=settings.text("access_key"),
        secret_key=settings.text("secret_key"),
        is_secure=settings.flag("is_secure", default=True),
    )


def check_endpoint(endpoint: str, field_name: str, *, foreign: bool = False) -> None:
    """Refuse a storage URL that is malformed, carries a user, or points where no storage is.

    Args:
        endpoint: a URL, or a plain absolute path.
        field_name: for the error.
        foreign: the value comes from a job: local files and this host are refused as well.

    Raises:
        QueueError: code 1117. The text never shows a password.
    """
    if endpoint.startswith("/") or not endpoint:
        if foreign or not _PATH.fullmatch(endpoint) or ".." in endpoint.split("/"):
            raise QueueError(field_name, "is not a storage URL")
        return
    match = _URL.fullmatch(endpoint)
    if match is None or ".." in (match["rest"] or "").split("/"):
        raise QueueError(field_name, "is not a storage URL")
    if match["user"]:
        raise QueueError(field_name, f"the URL of {match['host']} carries a user or password")
    host = match["host"].strip("[]")
    if match["scheme"] == "file":
        if foreign or host.lower() not in {"", "localhost"}:
            raise QueueError(field_name, "a file URL is not allowed here")
    elif not host or _METADATA_HOSTS.fullmatch(host) or (foreign and _LOOPBACK_HOSTS.fullmatch(host)):
        raise QueueError(field_name, f"{shown(host)} is not the host of a storage")
