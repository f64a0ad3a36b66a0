"""The credential calls of v1 (panda-protocol.md 1.8): made-up values that no other server takes."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.envelope import envelope

_KNOWN_KEYS = frozenset({"sandbox.pub", "sandbox.priv"})


def _get_proxy(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return envelope(True, data={"user_proxy": f"proxy of sandbox, role {arguments.get('role')}\n"})


def _get_access_token(arguments: Mapping[str, Any]) -> dict[str, Any]:
    if arguments.get("token_key") != "sandbox-key":
        return envelope(False, "failed since token key is invalid for pilot_server")
    return envelope(True, data={"user_proxy": "sandbox-token\n"})


def _get_token_key(_arguments: Mapping[str, Any]) -> dict[str, Any]:
    return envelope(True, data={"tokenKey": "sandbox-key"})


def _get_key_pair(arguments: Mapping[str, Any]) -> dict[str, Any]:
    names = (arguments["public_key_name"], arguments["private_key_name"])
    if not set(names) <= _KNOWN_KEYS:
        return envelope(False, f"Failed for 'sandbox' since {names[0]} is missing on localhost")
    return envelope(True, data={"public_key": "sandbox-public", "private_key": "sandbox-private"})


def _get_user_secrets(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Answer with an object as JSON text, as the server does."""
    return envelope(True, data=json.dumps({name: f"secret of {name}" for name in arguments.get("keys") or ()}))


CREDENTIAL_CALLS: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "get_proxy": _get_proxy,
    "get_access_token": _get_access_token,
    "get_token_key": _get_token_key,
    "get_key_pair": _get_key_pair,
    "get_user_secrets": _get_user_secrets,
}
