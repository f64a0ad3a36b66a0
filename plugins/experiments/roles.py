"""The VOMS roles under which an experiment's proxies are asked of the server (panda-protocol 1.8). Data."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyRole:
    """What the server is asked for: a VOMS role, and whose proxy ("" for that of whoever asks)."""

    role: str
    dn: str = ""


#: For the payloads of users; an experiment that is not listed gives its payloads no proxy.
USER_ROLES: Mapping[str, ProxyRole] = {"atlas": ProxyRole(role="atlas", dn="atlpilo2")}
#: For the pilot itself, when the attributes of its proxy end soon.
PILOT_ROLES: Mapping[str, ProxyRole] = {"atlas": ProxyRole(role="atlas:/atlas/Role=production")}
