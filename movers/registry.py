"""Which module is which mover: a new one is a file in this folder (or a module elsewhere) and a line here."""

import importlib
from typing import cast

from errors.codes import ErrorCode
from movers.base import Mover, MoverError

#: Name of the copy tool -> module. Imported when first used: most need libraries that others do without.
MOVERS = {
    "cp": "movers.cp",
    "http": "movers.http",
    "https": "movers.http",
    "ln": "movers.ln",
    "mv": "movers.mv",
}


def find(name: str) -> Mover:
    """Return the mover called `name`.

    Raises:
        MoverError: no such mover (1323), or what it needs is not installed (1342); both permanent.
    """
    module = MOVERS.get(name)
    if module is None:
        raise MoverError(ErrorCode.UNKNOWNCOPYTOOL, f"no mover is called {name[:40]!r}")
    try:
        return cast("Mover", importlib.import_module(module))
    except ImportError as error:
        raise MoverError(ErrorCode.MIDDLEWAREIMPORTFAILURE, f"mover {name} cannot be loaded: {error}") from error
