"""Ends all that a job started, found again from the control directory, without ever blocking."""

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

from host.clock import Now
from host.processes import Identity, ProcessRow, freeze_and_kill, process_table, send_signal, signal_rows, tree_of
from jobs.steps import control_dirs
from workers.runner.control import Facts, look
from workers.runner.machine import EndStep, judge_end

_SOON_S = 0.02
_STRIKE_S = 0.05

_log = logging.getLogger("runner")


class Ending:
    """TERM, grace, KILL, until nothing is left. Call `step` at `next_step_at` and whenever a process has ended."""

    def __init__(self, job_dir: Path, control_dir: Path, grace_s: float) -> None:
        """Plan the end; nothing is signalled before the first step.

        A control directory with directories of steps stands for all of them.
        """
        self.left: tuple[str, ...] = ()
        self.over = False
        self.next_step_at = 0.0
        self._job_dir = job_dir
        self._control_dir = control_dir
        self._grace_s = grace_s
        self._asked_at: float | None = None
        self._bare_at: float | None = None

    def step(self, moment: Now) -> bool:
        """Do what is due; True when nothing is left, or only what `left` names."""
        facts = self.facts()
        rows = living(facts, self._job_dir)
        shims = [each.shim for each in facts if each.shim is not None]
        if self._asked_at is None:
            self._asked_at = moment.mono
            if self._grace_s > 0:
                signal_rows(rows, signal.SIGTERM)
                signal_rows(rows, signal.SIGCONT)  # one that is stopped would not see the TERM
            for shim in shims:
                send_signal(shim, signal.SIGCONT)
        if rows:
            self._bare_at = None
        elif self._bare_at is None:
            self._bare_at = moment.mono
        step = judge_end(
            alive=len(rows),
            shim_alive=any(each.shim_alive for each in facts),
            asked_s=moment.mono - self._asked_at,
            grace_s=self._grace_s,
            bare_s=0.0 if self._bare_at is None else moment.mono - self._bare_at,
        )
        self._carry_out(step, facts, rows, moment)
        return self.over

    def facts(self) -> list[Facts]:
        """Look at every directory that may still have a process."""
        return [look(path) for path in control_dirs(self._control_dir)]

    def _carry_out(self, step: EndStep, facts: list[Facts], rows: list[ProcessRow], moment: Now) -> None:
        wait_s = _STRIKE_S
        if step is EndStep.WAIT:
            grace_left_s = self._grace_s - (moment.mono - (self._asked_at or 0.0))
            wait_s = min(_STRIKE_S, max(_SOON_S, grace_left_s))
        elif step is EndStep.STRIKE:
            self._strike(facts, rows)
            wait_s = _SOON_S
        elif step is EndStep.STRIKE_SHIM:
            for shim in _living_shims(facts):
                _log.warning("shim does not leave: pid=%d", shim.pid)
                send_signal(shim, signal.SIGKILL)
        elif step is EndStep.GIVE_UP:
            self.left = tuple(f"{row.name} (pid {row.pid}, state {row.state})" for row in rows)
            if not rows:
                self.left = tuple(f"shim (pid {shim.pid})" for shim in _living_shims(facts))
            self.over = True
        elif step is EndStep.OVER:
            self.over = True
        self.next_step_at = moment.mono + wait_s

    def _strike(self, facts: list[Facts], rows: list[ProcessRow]) -> None:
        payloads = {each.payload.pid for each in facts if each.payload is not None}
        sessions = sorted(payloads & {row.session for row in rows})
        spare = [shim.pid for shim in _living_shims(facts)]
        freeze_and_kill([row.pid for row in rows] + spare, sessions, spare=[*spare, os.getpid()])


def _living_shims(facts: list[Facts]) -> list[Identity]:
    return [each.shim for each in facts if each.shim is not None and each.shim_alive]


def living(facts: list[Facts], job_dir: Path) -> list[ProcessRow]:
    """Return the living processes of the trees that `facts` tell of, without the shims, the oldest first.

    So a shell gets its signal before it can see that its children got theirs.

    They are the descendants of each payload and of its shim, and the members of the payload's session. With the shim
    dead, those whose working directory, output or first environment is of the job directory count too, when they lost
    their parent: a daemon of the payload came home to an ancestor of this process, and nothing else tells whose it was.
    """
    table = process_table()
    roots: list[int] = []
    sessions: list[int] = []
    spared = {os.getpid()}
    for each in facts:
        if not each.this_boot:
            continue
        if each.shim is not None and each.shim_alive:
            spared.add(each.shim.pid)
            roots.append(each.shim.pid)
        if each.payload is not None:
            leader = table.get(each.payload.pid)
            # Once the payload is reaped its pid may be given to a stranger; not while its session has members.
            if leader is None or leader.start_ticks == each.payload.start_ticks:
                roots.append(each.payload.pid)
                sessions.append(each.payload.pid)
            if not each.shim_alive:
                roots += _strays(table, job_dir, each.payload.start_ticks)
    rows = [row for row in tree_of(roots, table, sessions) if row.pid not in spared and row.state not in "ZX"]
    return sorted(rows, key=lambda row: (row.start_ticks, row.pid))


def _strays(table: dict[int, ProcessRow], job_dir: Path, since_ticks: int) -> Iterator[int]:
    """Yield orphans, younger than the payload, that work in the job directory, write there or were started there."""
    ancestors = {1}  # the parent itself may be hidden from us (hidepid)
    row = table.get(os.getppid())
    while row is not None and row.pid not in ancestors:
        ancestors.add(row.pid)
        row = table.get(row.ppid)
    ancestors.add(os.getppid())
    inside = f"{os.path.realpath(job_dir)}/"
    # What a daemon cannot take back: the PWD (or OLDPWD) in the environment that it was started with.
    marks = [f"PWD={place.rstrip('/')}/".encode() for place in {str(job_dir), inside}]
    for candidate in table.values():
        if candidate.ppid not in ancestors or candidate.pid == os.getpid() or candidate.start_ticks < since_ticks:
            continue
        if _was_started_with(candidate.pid, marks):
            yield candidate.pid
            continue
        for name in ("cwd", "fd/1", "fd/2"):
            with contextlib.suppress(OSError):
                if f"{Path(f'/proc/{candidate.pid}/{name}').readlink()}/".startswith(inside):
                    yield candidate.pid
                    break


def _was_started_with(pid: int, marks: list[bytes]) -> bool:
    """Tell whether a process's first environment has one of `marks`, each a name and the beginning of a path."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # gone, or not ours to read
        return False
    return any(mark in environment.replace(b"\0", b"/\0") for mark in marks)
