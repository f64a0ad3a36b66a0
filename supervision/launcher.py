"""How a worker process comes to life: forked by multiprocess, cleaned of all that it inherited, then at its loop.

The supervisor has no Python threads, so a fork is safe (pitfall P10). The child first closes every descriptor it was
not given, clears its signal mask, has itself killed with its parent, and makes a ZeroMQ context of its own.
"""

import contextlib
import gc
import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import setproctitle
import zmq

from host import kernel
from host.imports import import_without
from host.processes import Identity, identify, open_pidfd
from ipc.bus import Invitation
from ipc.link import Link
from settings.settings import Settings
from supervision.logs import begin_log
from workers.duties import make_duty
from workers.worker import Post, serve

# Nothing is pickled between processes: without dill the import is 20 ms faster and 1 MiB smaller.
_FORK = import_without("multiprocess", "dill").get_context("fork")
_EXIT_LOST_PARENT = 3
_EXIT_CRASHED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Briefing:
    """All that a new worker is told."""

    role: str
    incarnation: int
    invitation: Invitation
    settings: Settings
    log_path: Path | None
    supervisor: Identity
    guardian: Identity | None


def fork_worker(briefing: Briefing) -> Any:
    """Fork a worker; return its multiprocess Process (exitcode is asked of it, nothing else)."""
    name = f"{briefing.role}.{briefing.incarnation}"
    process = _FORK.Process(target=_be_worker, args=(briefing,), name=name, daemon=False)
    process.start()
    return process


def _be_worker(briefing: Briefing) -> None:
    gc.freeze()  # collections leave alone what was inherited, so that its pages stay shared
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    kernel.default_dispositions()
    kernel.clear_mask()
    kernel.hide_memory()
    supervisor_fd = open_pidfd(briefing.supervisor)
    # The reporter may have a job request under way when the supervisor dies; it keeps the answer before it leaves.
    if briefing.role != "reporter" or supervisor_fd is None:
        kernel.die_with_parent(signal.SIGKILL)
    if os.getppid() != briefing.supervisor.pid:
        raise SystemExit(_EXIT_LOST_PARENT)
    settings = briefing.settings
    begin_log(briefing.log_path, debug=settings.debug, to_stdout=not settings.redirect_stdout)
    show = title_setter(briefing.role)
    show("starting")
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    post = Post(
        role=briefing.role,
        incarnation=briefing.incarnation,
        beat_s=settings.tuning.beat_s,
        supervisor_pid=briefing.supervisor.pid,
        supervisor_fd=supervisor_fd,
        show_title=show,
    )
    try:
        serve(Link(context, briefing.invitation), post, make_duty(briefing.role, settings, briefing.guardian))
    except Exception:
        logging.getLogger(briefing.role).exception("the worker ends by an error of its own")
        raise SystemExit(_EXIT_CRASHED) from None
    with contextlib.suppress(zmq.ZMQError):
        context.term()


def title_setter(role: str) -> Callable[[str], None]:
    """Return a function that shows what a process is doing in its title: "bulkhead: stager [job 123, in 2/5]"."""

    def show(doing: str) -> None:
        setproctitle.setproctitle(f"bulkhead: {role} [{doing}]" if doing else f"bulkhead: {role}")

    return show


def self_identity() -> Identity:
    """Return this process's identity."""
    return identify(os.getpid()) or Identity(pid=os.getpid(), start_ticks=int(time.time()), boot_id="")
