"""Proxy, token, token key, key pair and secrets of the server (panda-protocol 1.8). Pure; none of it is logged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from settings.settings import Settings
from workers.reporter.calls import Call, UnreadableError, make, text_of
from workers.reporter.dialect_legacy import nested

#: The name under which a pilot asks for a new token.
TOKEN_CLIENT = "pilot_server"  # noqa: S105 - a name of a client, no secret


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A key pair of an object store."""

    public: str = field(repr=False)
    private: str = field(repr=False)


def get_proxy(settings: Settings, role: str, dn: str = "", *, dialect: str = "v1") -> Call[str]:
    """Return the call that brings a proxy (PEM text) with this VOMS role, of `dn` if one is named."""
    return make(settings, dialect, "creds/get_proxy", {"role": role, "dn": dn or None}, _proxy)


def get_access_token(settings: Settings, token_key: str, *, dialect: str = "v1") -> Call[str]:
    """Return the call that brings a new token for the key of the old one."""
    arguments = {"client_name": TOKEN_CLIENT, "token_key": token_key}
    return make(settings, dialect, "creds/get_access_token", arguments, _token)


def get_token_key(settings: Settings, *, dialect: str = "v1") -> Call[str]:
    """Return the call that brings the key with which tokens are renewed."""
    return make(settings, dialect, "creds/get_token_key", {"client_name": TOKEN_CLIENT}, _token_key)


def get_key_pair(settings: Settings, public_name: str, private_name: str, *, dialect: str = "v1") -> Call[KeyPair]:
    """Return the call that brings the keys with these names, those of an object store."""
    arguments = {"public_key_name": public_name, "private_key_name": private_name}
    return make(settings, dialect, "creds/get_key_pair", arguments, _key_pair)


def get_user_secrets(settings: Settings, keys: Sequence[str]) -> Call[dict[str, str]]:
    """Return the call (v1 only) that brings the caller's own secrets with these names."""
    return make(settings, "v1", "creds/get_user_secrets", {"keys": tuple(keys)}, _secrets)


def _proxy(content: Any) -> str:
    return text_of(content, "a proxy", "user_proxy", "userProxy")


def _token(content: Any) -> str:
    """The token comes under the name of a proxy; servers to come may name it as what it is (1.8)."""
    return text_of(content, "a token", "user_proxy", "access_token", "userProxy").strip()


def _token_key(content: Any) -> str:
    return text_of(content, "a token key", "tokenKey", "token_key").strip()


def _key_pair(content: Any) -> KeyPair:
    return KeyPair(
        public=text_of(content, "a public key", "public_key", "publicKey"),
        private=text_of(content, "a private key", "private_key", "privateKey"),
    )


def _secrets(content: Any) -> dict[str, str]:
    found = nested(content) if content is not None else {}
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise UnreadableError("no object of secrets")
    return found
