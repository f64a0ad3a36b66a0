#!/usr/bin/env python3
"""Print the project's dependencies, one a line, for `pip install -r`: pyproject.toml is the only list there is.

The project itself is not in the list: it runs from its checkout, and a second copy of its packages in the environment
could be imported instead. Standard library only, as it runs before anything is installed.
"""

import argparse
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def requirements(project: Path, extras: Sequence[str]) -> list[str]:
    """Return the dependencies of `project` with those of `extras`, each once, in the order of the file.

    Raises:
        KeyError: an extra that the file does not have.
        OSError: the file cannot be read.
        tomllib.TOMLDecodeError: it is not TOML.
    """
    with project.open("rb") as stream:
        table = tomllib.load(stream)["project"]
    found = list(table.get("dependencies", []))
    for extra in extras:
        found += table.get("optional-dependencies", {})[extra]
    return list(dict.fromkeys(found))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print them; an unknown extra is a usage error."""
    parser = argparse.ArgumentParser(description="Print the dependencies of the project, one a line.")
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="extra of pyproject.toml to add, such as people")
    parser.add_argument("--project", type=Path, default=_PROJECT, metavar="FILE", help="pyproject.toml to read")
    options = parser.parse_args(arguments)
    try:
        lines = requirements(options.project, options.extras)
    except KeyError as error:
        parser.error(f"{options.project} has no extra named {error}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
