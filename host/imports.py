"""Importing a library without what it could use but is not used for here: each saves megabytes in every pilot."""

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import cast


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Make imports of `names` fail inside, as if they were not installed; what they would warn of is known."""
    loaded = {name: sys.modules.pop(name, None) for name in names}
    for name in names:
        sys.modules[name] = cast("ModuleType", None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in names:
            del sys.modules[name]
            module = loaded[name]
            if module is not None:
                sys.modules[name] = module


def import_without(name: str, *missing: str) -> ModuleType:
    """Import `name` as if `missing` were not installed; a module that is loaded already is returned as it is."""
    with absent(*missing):
        return importlib.import_module(name)
