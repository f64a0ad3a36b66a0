"""The commands for people by name; each is imported only when it is called."""

import io
import sys
from importlib import import_module

#: Command -> the module whose `main(argv) -> int` it is.
_COMMANDS = {
    "run": "people.run",
    "status": "people.status",
    "sandbox": "sandbox.__main__",
}
_USAGE_EXIT = 2
_MISSING = (
    "bulkhead {name}: the Python package {package} is missing; install the extras people and sandbox (make setup)\n"
)


def run_command(name: str, argv: list[str]) -> int:
    """Run the command `name` (run, sandbox or status) with its own arguments; return the exit code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may hold what a terminal cannot show
    try:
        code: int = import_module(_COMMANDS[name]).main(argv)
    except ModuleNotFoundError as error:
        sys.stderr.write(_MISSING.format(name=name, package=error.name))
        return _USAGE_EXIT
    except KeyboardInterrupt:
        return 130
    return code
