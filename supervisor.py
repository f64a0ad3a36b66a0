"""The pilot: `python3 supervisor.py -q QUEUE -j LABEL ...`; also the `bulkhead` command (run, sandbox, status).

This file is the guardian's: it imports next to nothing, so that the first process is small and stands at once.
"""

import os
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent
_COMMANDS = ("run", "sandbox", "status")


def main(argv: list[str] | None = None) -> int:
    """Run a pilot, or one of the commands for people; return the exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    if str(_ROOT) not in sys.path:
        sys.path.insert(0, str(_ROOT))
    if arguments[:1] and arguments[0] in _COMMANDS:
        from people.commands import run_command  # noqa: PLC0415 - the pilot itself needs none of it

        return run_command(arguments[0], arguments[1:])
    if {"-h", "--help", "--version"} & set(arguments):
        from settings.options import parser  # noqa: PLC0415

        parser().parse_args(["--version" if "--version" in arguments else "--help"])
        return 0
    return _pilot(arguments)


def _pilot(arguments: list[str]) -> int:
    if sys.getfilesystemencoding() != "utf-8":
        # An old locale must not decide which names of files and jobs can be handled; the payload keeps its own.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program again
    from supervision.guardian import Watchman, guard  # noqa: PLC0415

    def run(watchman: Watchman) -> int:
        # Imported in the child: the guardian stays without libraries.
        import ipc  # noqa: PLC0415
        import workers  # noqa: PLC0415

        for package in (ipc, workers):
            if Path(str(package.__file__)).resolve().parent.parent != _ROOT:
                print(f"bulkhead: {package.__name__} was loaded from {package.__file__}, not from beside supervisor.py")  # noqa: T201
                return 2
        from supervision.pilot import run_supervisor  # noqa: PLC0415

        return run_supervisor(arguments, watchman)

    return guard(run)


if __name__ == "__main__":
    sys.exit(main())
