"""Starts the shim: an argument list without secrets, the order over a descriptor, a session of its own."""

import functools
import importlib.util
import marshal
import os
import subprocess
import sys
import tempfile
from importlib.abc import InspectLoader
from pathlib import Path
from typing import IO

from host.files import write_atomic
from host.processes import Identity
from ipc.tasks import RunPayload

#: What the shim's interpreter may need to start; the payload gets none of it.
_INTERPRETER_VARIABLES = ("LD_LIBRARY_PATH", "PATH")
_PROGRAM = "shim.pyc"


@functools.cache
def _program() -> bytes:
    """Return the shim compiled, from the bytecode cache if there is one: that saves each start a third of its time."""
    spec = importlib.util.find_spec(f"{__package__}.shim")
    loader = spec.loader if spec is not None else None
    code = loader.get_code(f"{__package__}.shim") if isinstance(loader, InspectLoader) else None
    if code is None:
        raise FileNotFoundError("workers/runner/shim.py")
    return importlib.util.MAGIC_NUMBER + bytes(12) + marshal.dumps(code)


def write_program(control_dir: Path) -> None:
    """Put the shim beside its control files, where it stays readable whatever happens to the installation.

    Raises:
        OSError: the control directory cannot be written.
    """
    write_atomic(control_dir / _PROGRAM, _program(), mode=0o600)


def make_order(
    task: RunPayload,
    guardian: Identity | None,
    orphan_grace_s: float,
    term_grace_s: float,
    *,
    end_dir: str = "",
    append: bool = False,
) -> bytes:
    """Return the order as the shim reads it.

    Args:
        task: what is to be run.
        guardian: whose end is the payload's end.
        orphan_grace_s: how long the payload goes on without it.
        term_grace_s: time between TERM and KILL.
        end_dir: the job's control directory, where the task's own is that of one of its processes.
        append: the output goes behind what is there.

    Raises:
        ValueError: text with a NUL byte, or an environment variable that has no proper name.
    """
    pairs = [
        ("job_dir", task.job_dir),
        ("control_dir", task.control_dir),
        ("command", task.command),
        ("stdout", task.stdout),
        ("stderr", task.stderr),
        ("end_file", f"{end_dir or task.control_dir}/end"),
        ("append", "yes" if append else "no"),
        ("guardian_pid", str(guardian.pid if guardian else 0)),
        ("guardian_ticks", str(guardian.start_ticks if guardian else 0)),
        ("orphan_grace_s", str(orphan_grace_s)),
        ("term_grace_s", str(term_grace_s)),
    ]
    for variable in task.environment:
        if not variable.name or "=" in variable.name:
            raise ValueError(f"no name for an environment variable: {variable.name!r}")
        pairs.append(("env", f"{variable.name}={variable.value}"))
    for name in (task.stdout, task.stderr):
        if not name or "/" in name or name in {".", ".."}:
            raise ValueError(f"no name for an output file: {name!r}")
    pairs.append(("whole", "yes"))
    for key, text in pairs:
        if "\0" in text:
            raise ValueError(f"a NUL byte in {key}")
    return b"".join(os.fsencode(key) + b"\0" + os.fsencode(text) + b"\0" for key, text in pairs)


def _nameless_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("order"), "w+b")
    return tempfile.TemporaryFile()


def start_shim(order: bytes, task: RunPayload) -> tuple[subprocess.Popen[bytes], int]:
    """Start a shim; return it with a non-blocking descriptor that becomes readable when there is something to look at.

    Raises:
        OSError: it could not be started.
    """
    control_dir = Path(task.control_dir)
    program = control_dir / _PROGRAM
    if not program.is_file():
        write_program(control_dir)
    news, teller = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        # A file without a name, so that nobody waits for the shim to read.
        with _nameless_file() as stdin, (control_dir / "shim.log").open("ab") as log:
            stdin.write(order)
            stdin.seek(0)
            shim = subprocess.Popen(
                [sys.executable, "-I", "-S", str(program), f"bulkhead: shim [job {task.job_id}]"],
                stdin=stdin,
                stdout=teller,
                stderr=log,
                env={name: os.environ[name] for name in _INTERPRETER_VARIABLES if name in os.environ},
                cwd="/",
                start_new_session=True,
            )
    except BaseException:
        os.close(news)
        raise
    finally:
        os.close(teller)
    return shim, news
