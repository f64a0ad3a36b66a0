"""Whom TLS believes: the system's authorities and the grid's beside them."""

import ssl
from pathlib import Path

GRID_AUTHORITIES = "/etc/grid-security/certificates"


def trusting_context(named: str = "") -> ssl.SSLContext:
    """Return a context that verifies certificates and host names by the system's authorities and one further place.

    Args:
        named: a directory or a file; "" for the grid's usual directory, where there is one.

    Raises:
        OSError: the file that was named cannot be read (ssl.SSLError when it holds no certificates).
    """
    context = ssl.create_default_context()
    place = Path(named or GRID_AUTHORITIES)
    if place.is_dir():
        context.load_verify_locations(capath=place)
    elif named:
        context.load_verify_locations(cafile=place)
    return context
