"""Starting our own child programs: what the parent's Python finds, the child finds too."""

import os
import sys

_BOOT = "import sys; sys.path[:0] = sys.argv[3:]; import importlib; importlib.import_module(sys.argv[2]).main()"


def program_arguments(program: str) -> list[str]:
    """Return the argument list that runs the `main` of a module: isolated from user and site set-up.

    The parent's module path is passed on because the child must find what the parent found (also from an archive);
    `-S` saves the half of its start that looks for site packages. The child finds its parent's pid in `sys.argv[1]`.
    """
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120 - pathlib costs start time
    others = [path for path in sys.path if path and path != root]
    return [sys.executable, "-I", "-S", "-c", _BOOT, str(os.getpid()), program, root, *others]
