"""The pilot that is measured: a copy of this checkout, as if just unpacked on a worker node.

A copy can be compiled, or have no caches at all, whatever the checkout and the environment are like.
"""

import compileall
import itertools
import os
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_NOT_COPIED = ("tests", "benchmarks", "docs", "deploy", "build", "bulkhead-run")
_copies = itertools.count()


class House:
    """An unpacked pilot."""

    def __init__(self, scratch: Path, *, compiled: bool) -> None:
        """Unpack it, with compile caches or without any."""
        self.path = scratch / f"house-{next(_copies)}"
        self.path.mkdir(parents=True)
        shutil.copy(ROOT / "supervisor.py", self.path)
        for folder in sorted(ROOT.iterdir()):
            if folder.is_dir() and folder.name not in _NOT_COPIED and not folder.name.startswith("."):
                shutil.copytree(folder, self.path / folder.name, ignore=shutil.ignore_patterns("__pycache__"))
        if compiled:
            compileall.compile_dir(self.path, quiet=2)

    def remove(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)


def environment(tmp: Path) -> dict[str, str]:
    """Return the environment of a pilot: this one, without what would change caches or places."""
    left_out = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPYCACHEPREFIX", "XDG_RUNTIME_DIR")
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, "TMPDIR": str(tmp)}
