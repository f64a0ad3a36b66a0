"""Makes a job's directories and the small files in them; doing it again changes nothing."""

import contextlib
import errno
import logging
import os
import stat
from pathlib import Path, PurePosixPath

from errors.codes import ErrorCode
from errors.exceptions import JobError
from ipc.parts import TextFile
from ipc.tasks import PrepareJob
from jobs.names import SECRET_FILES
from workers.runner.launch import write_program

_LOG = logging.getLogger("runner")
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def prepare(task: PrepareJob) -> None:
    """Make the job directory (0770) and the control directory (0700), write the files.

    Raises:
        JobError: 1098 when the disk is full, 1199 when it could not be done for another reason.
    """
    job_dir, control_dir = Path(task.job_dir), Path(task.control_dir)
    try:
        if control_dir.resolve().is_relative_to(job_dir.resolve()):
            raise JobError(ErrorCode.MKDIR, f"the control directory lies in the job directory: {control_dir}")
        _make(job_dir, 0o770)
        _make(control_dir, 0o700)
        write_program(control_dir)
        for file in task.files:
            _write(job_dir, file)
    except OSError as error:
        code = ErrorCode.NOLOCALSPACE if error.errno in _FULL else ErrorCode.MKDIR
        raise JobError(code, str(error)) from error
    if task.shared_link:
        try:
            _link(Path(task.shared_link), job_dir)
        except OSError as error:
            _LOG.warning("%s does not lead to the job directory: %s", task.shared_link, error)


def _link(path: Path, job_dir: Path) -> None:
    """Make a link to the job directory, in place of one that is there.

    Raises:
        OSError: it cannot be made, or something else is there.
    """
    if not path.is_symlink() and path.exists():
        raise FileExistsError(errno.EEXIST, "something else is there")
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(job_dir)
    temporary.replace(path)


def remove_secrets(job_dir: str) -> None:
    """Remove the job's secrets: they are there only while the payload runs (panda-protocol, case 30)."""
    for name in SECRET_FILES:
        with contextlib.suppress(OSError):
            (Path(job_dir) / name).unlink()


def make_executable(path: Path) -> None:
    """Give a script of the job, where there is one, the mode 0755; a link is left alone."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o755)
        finally:
            os.close(descriptor)


def _make(path: Path, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir()
    except FileExistsError:
        if path.is_symlink() or not path.is_dir():
            raise
    path.chmod(mode)


def _write(job_dir: Path, file: TextFile) -> None:
    """Write one file below the job directory: no step of its path is a link, and what stood there is replaced."""
    parts = PurePosixPath(file.name).parts
    if not parts or file.name.startswith("/") or ".." in parts or "\0" in file.name:
        raise JobError(ErrorCode.MKDIR, f"not a name inside the job directory: {file.name!r}")
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open(job_dir, flags)
    try:
        for part in parts[:-1]:
            with contextlib.suppress(FileExistsError):  # the task may be carried out twice
                os.mkdir(part, 0o770, dir_fd=directory)
            below = os.open(part, flags, dir_fd=directory)
            os.close(directory)
            directory = below
        temporary = f".{parts[-1]}.part"
        new = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(temporary, new, 0o600, dir_fd=directory), "wb") as stream:
            stream.write(file.text.encode("utf-8", "surrogateescape"))
            stream.flush()
            os.fchmod(stream.fileno(), file.mode)
        os.rename(temporary, parts[-1], src_dir_fd=directory, dst_dir_fd=directory)
    finally:
        os.close(directory)
