"""The credential calls of both dialects (panda-protocol.md 1.8): made-up values that no other server takes."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sandbox.envelope import envelope

_KNOWN_KEYS = frozenset({"sandbox.pub", "sandbox.priv"})
Call = Callable[[Mapping[str, Any]], dict[str, Any]]


def _get_proxy(arguments: Mapping[str, Any], proxy_file: Path | None) -> dict[str, Any]:
    """Give the proxy that lies in the file at this moment; without a file, a text that is no proxy."""
    if proxy_file is None:
        text = f"proxy of sandbox, role {arguments.get('role')}\n"
        return envelope(True, data={"user_proxy": text})
    if not proxy_file.is_file():
        return envelope(False, "'proxy' not found", {"StatusCode": 90})
    return envelope(True, data={"user_proxy": proxy_file.read_text(encoding="utf-8")})


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


def credential_calls(proxy_file: Path | None) -> dict[str, Call]:
    """Return the calls of v1 by name; proxies are taken from a file, if one is named."""
    return {
        "get_proxy": lambda arguments: _get_proxy(arguments, proxy_file),
        "get_access_token": _get_access_token,
        "get_token_key": _get_token_key,
        "get_key_pair": _get_key_pair,
        "get_user_secrets": _get_user_secrets,
    }


#: Legacy method -> v1 call, names of arguments, name of the answer's field in v1 -> in legacy, StatusCode of a refusal.
_LEGACY: Mapping[str, tuple[str, Mapping[str, str], Mapping[str, str], int]] = {
    "getProxy": ("get_proxy", {"role": "role", "dn": "dn"}, {"user_proxy": "userProxy"}, 90),
    "get_access_token": (
        "get_access_token",
        {"client_name": "client_name", "token_key": "token_key"},
        {"user_proxy": "userProxy"},
        50,
    ),
    "get_token_key": ("get_token_key", {"client_name": "client_name"}, {"tokenKey": "tokenKey"}, 50),
    "getKeyPair": (
        "get_key_pair",
        {"publicKeyName": "public_key_name", "privateKeyName": "private_key_name"},
        {"public_key": "publicKey", "private_key": "privateKey"},
        80,
    ),
}


def legacy_credential_calls(proxy_file: Path | None) -> dict[str, Call]:
    """Return the legacy methods by name: the same work, a StatusCode and the fields at the answer's top level."""
    calls = credential_calls(proxy_file)
    return {
        method: _in_legacy(calls[v1], names, fields, refusal)
        for method, (v1, names, fields, refusal) in _LEGACY.items()
    }


def _in_legacy(call: Call, names: Mapping[str, str], fields: Mapping[str, str], refusal: int) -> Call:
    def answer(arguments: Mapping[str, Any]) -> dict[str, Any]:
        told = call({names[name]: value for name, value in arguments.items()})
        if not told["success"]:
            return {"StatusCode": refusal, "errorDialog": told["message"]}
        return {"StatusCode": 0, **{fields[name]: value for name, value in told["data"].items() if name in fields}}

    return answer
