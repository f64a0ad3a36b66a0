"""What a control directory tells about a payload: the claim, the identities, the exit. Facts on disk, never memory."""

import json
import os
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from host.files import read_bounded
from host.processes import Identity, boot_id, is_alive

_LIMIT_BYTES = 64 * 1024
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC

#: What the claim holds when the job was ended before a shim claimed it.
NO_SHIM = "ended before it started"
#: What it holds when the job has several processes: each has a directory of its own, with its claim in it.
STEPS = "steps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """What the shim wrote about the payload's end; `exit_code` None when it is not known or a signal ended it."""

    exit_code: int | None = None
    signal: int = 0
    core_dumped: bool = False
    duration_s: float = 0.0
    cpu_s: float = 0.0
    max_rss_kb: int = 0
    oom_kills: int = 0
    orphaned: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One look at a control directory. `claimed` without `shim`: the claim's maker cannot be read (yet)."""

    claimed: bool = False
    ended_early: bool = False
    shim: Identity | None = None
    shim_alive: bool = False
    payload: Identity | None = None
    payload_alive: bool = False
    this_boot: bool = True
    started_wall: float = 0.0
    exit: Exit | None = None


def look(control_dir: Path) -> Facts:
    """Read the facts; `exit.json` comes last: with a dead shim and no exit then, there will never be one."""
    claim = read_bounded(control_dir / "claim", _LIMIT_BYTES)
    claimed = bool(claim) or (control_dir / "claim").exists()
    shim = _identity(_object(claim)) or _identity(_object_in(control_dir / "shim.json"))
    shim_alive = shim is not None and is_alive(shim)
    mark = _object_in(control_dir / "payload.json")
    payload = _identity(mark)
    boot = boot_id()
    return Facts(
        claimed=claimed,
        ended_early=claim.startswith(NO_SHIM),
        shim=shim,
        shim_alive=shim_alive,
        payload=payload,
        payload_alive=payload is not None and is_alive(payload),
        this_boot=all(who.boot_id == boot for who in (shim, payload) if who is not None),
        started_wall=_number(mark.get("started")),
        exit=_exit(control_dir / "exit.json"),
    )


def still_known(before: Facts, seen: Facts) -> Facts:
    """Return `seen`; or what is left of `before` when the claim is gone: a payload that was started stays started.

    Somebody removed the control directory, the payload perhaps. Its exit will never be read, but it runs once.
    """
    if seen.claimed or not before.claimed:
        return seen
    return replace(
        before,
        shim_alive=before.shim is not None and is_alive(before.shim),
        payload_alive=before.payload is not None and is_alive(before.payload),
    )


def forbid_start(control_dir: Path) -> bool:
    """Make sure that no payload starts here from now on; True when none ever did.

    A shim that is just starting sees either the claim taken or the file `end`, or its `payload.json` can be read when
    this returns (the shim writes that first and looks for `end` then).

    Raises:
        OSError: the control directory cannot be written.
    """
    control_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(control_dir / "end", _CREATE, 0o600))
    return _claim(control_dir, NO_SHIM)


def allow_steps(control_dir: Path) -> bool:
    """Claim the job for its steps; False when it was ended before the first of them.

    Raises:
        OSError: the control directory cannot be written.
    """
    return _claim(control_dir, STEPS)


def is_ended(control_dir: Path) -> bool:
    """Tell whether whoever ends the job has been here: nothing more is to be started."""
    return (control_dir / "end").exists()


def _claim(control_dir: Path, text: str) -> bool:
    """Make the claim with this text, whole from its first moment on; False when there is another one."""
    temporary = control_dir / f".claim.{os.getpid()}.{threading.get_ident()}"
    temporary.write_text(text, encoding="ascii")
    try:
        os.link(temporary, control_dir / "claim")
    except FileExistsError:
        return read_bounded(control_dir / "claim", _LIMIT_BYTES).startswith(text)
    except OSError:  # a file system without hard links
        try:
            descriptor = os.open(control_dir / "claim", _CREATE | os.O_EXCL, 0o600)
        except FileExistsError:
            return read_bounded(control_dir / "claim", _LIMIT_BYTES).startswith(text)
        os.write(descriptor, text.encode())
        os.close(descriptor)
    finally:
        temporary.unlink()
    return True


def _object_in(path: Path) -> dict[str, Any]:
    return _object(read_bounded(path, _LIMIT_BYTES))


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _identity(mark: dict[str, Any]) -> Identity | None:
    pid, ticks, boot = mark.get("pid"), mark.get("start_ticks"), mark.get("boot_id")
    if not isinstance(pid, int) or not isinstance(ticks, int) or not isinstance(boot, str) or pid <= 1:
        return None
    return Identity(pid=pid, start_ticks=ticks, boot_id=boot)


def _exit(path: Path) -> Exit | None:
    record = _object_in(path)
    if not record:
        return None
    code = record.get("exit_code")
    return Exit(
        exit_code=code if isinstance(code, int) else None,
        signal=int(_number(record.get("signal"))),
        core_dumped=record.get("core_dumped") is True,
        duration_s=_number(record.get("duration_s")),
        cpu_s=_number(record.get("user_s")) + _number(record.get("system_s")),
        max_rss_kb=int(_number(record.get("max_rss_kb"))),
        oom_kills=int(_number(record.get("oom_kills"))),
        orphaned=record.get("orphaned") is True,
        error=str(record.get("error", "")),
    )
