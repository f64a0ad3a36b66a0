"""A child program that looks into a job directory: one order on its input, what it saw on its output, then its end.

All looking is done here, never in the monitor: a file system that hangs costs this process only. No shell is involved;
what is executed are fixed tools with argument lists, and every path is inside the job directory after links are
resolved. The order is a JSON object: words, job_dir, control_dir.
"""

import json
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from host.files import read_bounded
from host.kernel import clear_mask, die_with_parent
from host.processes import Identity, is_alive
from jobs.names import SECRET_FILES
from jobs.steps import main_dirs

LIMIT_CHARS = 2048
#: Its name is none of those that the log leaves out.
CORE_PREFIX = "debug_core."
_LINES = 10
_TAIL_BYTES = 64 * 1024
_ENTRIES = 50_000
_PEEK_BYTES = 1024
_MATCHES = 200
#: The pilot's own files, which say nothing of the payload.
_OWN = ("pilotlog", "memory_monitor", "job_definition", "pandaJob", "pilot_heartbeat")
_NOT_PAYLOAD = (*_OWN, *SECRET_FILES)
_TOOLS = frozenset({"ls", "du", "ps"})


class RefusedError(Exception):
    """What was asked for is not shown; the text says why."""


def main() -> None:
    """Carry out the one order."""
    die_with_parent()
    if os.getppid() != int(sys.argv[1]):
        return
    clear_mask()
    order = json.loads(sys.stdin.buffer.read())
    try:
        os.chdir(order["job_dir"])
        seen = look(order)
        if isinstance(seen, list):
            os.dup2(1, 2)
            os.execvp(seen[0], seen)  # noqa: S606 - no shell is what is wanted
    except (RefusedError, OSError) as error:
        seen = f"{' '.join(order['words'][:1])}: {error}\n"
    sys.stdout.buffer.write(seen.encode("utf-8", "replace"))


def look(order: dict[str, Any]) -> str | list[str]:
    """Return what the order's words show, or the argument list of the tool that shows it.

    Raises:
        RefusedError: there is no such file in the job directory, or it is not to be seen.
        OSError: it cannot be read.
    """
    verb, *arguments = order["words"]
    top = Path(order["job_dir"])
    if verb == "newest":
        return newest(top)
    if verb == "tail":
        return tail(top, arguments[1], int(arguments[0]))
    if verb in _TOOLS:
        return [verb, *(arguments if verb == "ps" else _inside(top, arguments))]
    if verb == "gdb":
        return gdb_line(Path(order["control_dir"]))
    raise RefusedError("not a command of the list")


def gdb_line(control_dir: Path) -> list[str]:
    """Return the argument list that writes stacks to the output and a core file to the job directory.

    Raises:
        RefusedError: there is no payload.
    """
    newest_place = (control_dir, *main_dirs(control_dir))[-1]
    mark = json.loads(read_bounded(newest_place / "payload.json", 4096) or "{}")
    pid = int(mark.get("pid", 0))
    if not pid or not is_alive(Identity(pid=pid, start_ticks=mark["start_ticks"], boot_id=mark["boot_id"])):
        raise RefusedError("there is no payload")
    # Files of the payload must not make gdb run anything.
    quiet = ["-nx", "-batch", "-iex", "set auto-load off", "-iex", "set debuginfod enabled off"]
    core = f"generate-core-file {CORE_PREFIX}{pid}"
    return ["gdb", *quiet, "-p", str(pid), "-ex", "thread apply all bt", "-ex", core]


# ---------------------------------------------------------------- paths
def _inside(top: Path, arguments: list[str]) -> list[str]:
    """Return options as they are and paths, patterns expanded, if all of them are inside the job directory."""
    split = arguments.index("--") + 1
    found = arguments[:split]
    for pattern in arguments[split:]:
        found += [f"./{path.relative_to(top)}" for path in _matches(top, pattern)]
    return found


def _matches(top: Path, pattern: str) -> list[Path]:
    """Return what fits a relative path or pattern, at least one.

    Raises:
        RefusedError: nothing does, or a link leads out of the job directory.
    """
    wild = any(sign in pattern for sign in "*?[")
    try:
        paths = sorted(top.glob(pattern))[:_MATCHES] if wild else [top / pattern]
    except (ValueError, NotImplementedError) as error:
        raise RefusedError(f"{pattern}: {error}") from error
    root = top.resolve()
    for path in paths:
        real = path.resolve()
        if not real.is_relative_to(root):
            raise RefusedError(f"{pattern} leads out of the job directory")
        if real.name in SECRET_FILES:
            raise RefusedError("not shown")
    here = [path for path in paths if path.exists()]
    if not here:
        raise RefusedError(f"{pattern}: no such file")
    return here


# ---------------------------------------------------------------- text
def tail(top: Path, pattern: str, lines: int) -> str:
    """Return the name and the last lines of the newest file that fits."""
    files = [path for path in _matches(top, pattern) if path.is_file()]
    if not files:
        raise RefusedError(f"{pattern}: not a file")
    latest = max(files, key=lambda path: path.stat().st_mtime)
    return _shown(str(latest.relative_to(top)), latest.resolve(), lines)


def newest(top: Path) -> str:
    """Return the name and the last lines of the newest text file of the payload, "" when there is none."""
    found = sorted(_files(top), reverse=True)
    for _, name in found:
        if _is_text(top / name):
            return _shown(name, top / name, _LINES)
    return ""


def _files(top: Path) -> Iterator[tuple[float, str]]:
    """Yield time of change and name of the regular files below the top; links are not followed."""
    left = _ENTRIES
    for directory, _, names in os.walk(top):
        for name in names:
            left -= 1
            if left < 0:
                return
            path = Path(directory, name)
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode) and not name.startswith(_NOT_PAYLOAD):
                yield status.st_mtime, str(path.relative_to(top))


def _is_text(path: Path) -> bool:
    return "\0" not in read_bounded(path, _PEEK_BYTES) and "\ufffd" not in read_bounded(path, _PEEK_BYTES)[:-4]


def _shown(name: str, path: Path, lines: int) -> str:
    """Return the name, a line break and the last lines: at most LIMIT_CHARS, what is too long loses its beginning."""
    text = read_bounded(path, _TAIL_BYTES, tail=True).replace("\0", "")
    kept = "\n".join(text.splitlines()[-lines:]) if lines else ""
    name = name[-LIMIT_CHARS // 4 :]
    room = LIMIT_CHARS - len(name) - 1
    return f"{name}\n{kept[-room:]}"


if __name__ == "__main__":
    main()
