"""One real pilot against the embedded server: started as a batch system starts it, watched and killed by role.

Nothing escapes: this process is a subreaper while a pilot runs, so whatever the pilot leaves behind becomes its child
and is seen by `assert_clean` and killed at the end.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from host.processes import ProcessRow, process_table, tree_of
from sandbox.client import Sandbox
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SOAK = os.environ.get("BULKHEAD_SOAK") == "1"

#: Periods and limits so short that a hang is found within seconds.
FAST = {
    "beat_s": 0.2,
    "silence_s": 1.5,
    "hello_s": 5,
    "stall_limit_s": 2,
    "sample_s": 0.5,
    "getjob_pause_s": 0.2,
    "queue_pause_s": 0.2,
    "retry_first_s": 0.1,
    "retry_cap_s": 1,
    "task_retry_s": 0.2,
    "restart_delay_s": 0.05,
    "term_grace_s": 0.5,
    "ballast_bytes": 65536,
}
WORKERS = ("stager", "runner", "monitor", "reporter")
#: What may lie in a main directory after a pilot, besides the journal.
_CACHES = ("queuedata.json", "cric_pandaqueues.json", "cric_ddmendpoints.json")
_OWN = (".bulkhead", ".bulkhead/control", ".bulkhead/takeover.lock")
_PROMISED = ("pilotlog.txt", "pilot_heartbeat.json", *_OWN, *_CACHES)
_LIMIT_S = 30.0


def as_new(sandbox: Sandbox) -> Sandbox:
    """Return the server without jobs, faults and stored files."""
    sandbox.reset()
    for path in sandbox.storage.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return sandbox


def alive(row: ProcessRow) -> bool:
    """Whether it is more than a name in the table."""
    return row.state not in "ZX"


def command_line(pid: int) -> str:
    """Return what `ps` shows of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


class PilotRun:
    """A pilot with a directory of its own for work, sockets and inputs; use it as a context manager.

    Attributes:
        workdir: What -a names.
        tmp: What TMPDIR names.
        payload_end: A payload told to wait `until` this file ends when it is there.
    """

    def __init__(self, sandbox: Sandbox, *, home: Path | None = None) -> None:
        self.sandbox = sandbox
        self.home = home or Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))
        self.workdir = self.home / "a"
        self.tmp = self.home / "tmp"
        self.inputs = self.home / "in"
        self.payload_end = self.home / "end"
        self.out = self.home / "out.txt"
        self.process: subprocess.Popen | None = None
        self.since = 0
        self._others: set[int] = set()
        for path in (self.workdir, self.tmp, self.inputs):
            path.mkdir(exist_ok=True)

    def __enter__(self) -> "PilotRun":
        self._others = {row.pid for row in tree_of([os.getpid()], process_table())}
        return self

    def __exit__(self, *_: object) -> None:
        self.kill_all()
        if self.process is not None:
            self.process.wait(5)
        shutil.rmtree(self.home, ignore_errors=True)

    # ------------------------------------------------------------ start and end
    def command(self, *options: str, **tuning: object) -> list[str]:
        """Return the command line with which a wrapper starts a pilot here."""
        url = urlsplit(self.sandbox.url)
        words = ["--pilot-user=generic", "-q", "SANDBOX", "-j", "test", "-w", "generic"]
        words += ["--url", f"{url.scheme}://{url.hostname}", "-p", str(url.port)]
        words += ["--queuedata-url", f"{self.sandbox.url}/cache/schedconfig/{{pandaqueue}}.all.json"]
        words += ["--storagedata-url", f"{self.sandbox.url}/cache/ddmendpoints.json"]
        words += ["--baseurls", f"{self.sandbox.url}/transforms", "-a", str(self.workdir)]
        words += ["--input-destination-dir", str(self.inputs), "-b", "-t", "-y", "-x", "1"]
        # No experiment's own trace server is ever told of a test; a later option wins.
        words += ["--use-rucio-traces", "no"]
        for key, value in {**FAST, **tuning}.items():
            words += ["--set", f"{key}={value}"]
        return [sys.executable, str(ROOT / "supervisor.py"), *words, *options]

    def start(
        self,
        *options: str,
        wrap: Callable[[list[str]], list[str]] = list,
        environment: dict[str, str] | None = None,
        **tuning: object,
    ) -> "PilotRun":
        """Start the pilot; `wrap` may put a shell around its command line."""
        environ = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        environ.update({"TMPDIR": str(self.tmp), **(environment or {})})
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                wrap(self.command(*options, **tuning)),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environ,
                cwd=self.home,
                start_new_session=True,
            )
        return self

    def wait_exit(self, timeout_s: float = _LIMIT_S) -> int:
        """Return the exit code of what was started (negative for a signal)."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the pilot did not end within {timeout_s} s\n{self.story()}") from None

    def kill_all(self) -> None:
        """Kill all that descends from this process and was not there before; none of them sees another one die."""
        deadline = time.monotonic() + 10
        while (pids := [row.pid for row in self.family()]) and time.monotonic() < deadline:
            self.signal_all(pids, signal.SIGSTOP)
            self.signal_all(pids, signal.SIGKILL)
            self._reap()
        if self.process is not None:
            self.process.wait(10)  # dead, but perhaps not to be reaped yet when the last look was taken

    def _reap(self) -> None:
        for row in process_table().values():
            own = self.process is not None and row.pid == self.process.pid
            if row.ppid == os.getpid() and not alive(row) and row.pid not in self._others and not own:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(row.pid, os.WNOHANG)
        if self.process is not None:
            self.process.poll()

    # ------------------------------------------------------------ processes by role
    def family(self) -> list[ProcessRow]:
        """Return all living processes of the pilot and of what it started."""
        rows = tree_of([os.getpid()], process_table())
        return [row for row in rows if row.pid not in self._others and alive(row)]

    def find(self, role: str) -> list[int]:
        """Return the pids of the processes of a role, possibly none."""
        rows = self.family()
        titles = {row.pid: command_line(row.pid) for row in rows}
        if role in ("guardian", "supervisor", *WORKERS):
            return [
                row.pid
                for row in rows
                if titles[row.pid].startswith(f"bulkhead: {role}")
                # A worker that is just forked still has the title of the supervisor.
                and not (role == "supervisor" and titles.get(row.ppid, "").startswith("bulkhead: supervisor"))
            ]
        if role == "mover":
            return [row.pid for row in rows if "workers.stager.child" in titles[row.pid]]
        shims = {row.pid for row in rows if "bulkhead: shim" in titles[row.pid]}
        if role == "shim":
            return sorted(pid for pid in shims if pid == _session(rows, pid))
        if role == "payload":
            return [row.pid for row in rows if row.ppid in shims and row.session == row.pid]
        raise ValueError(role)

    def one(self, role: str, timeout_s: float = 10.0) -> int:
        """Return the pid of a role's process once there is one."""
        wait_until(lambda: self.find(role), timeout_s, f"no {role}")
        found = self.find(role)
        return found[0] if found else self.one(role, timeout_s)

    def kill(self, role: str, number: int = signal.SIGKILL) -> int:
        """Send a signal to the (first) process of a role; return its pid."""
        pid = self.one(role)
        os.kill(pid, number)
        return pid

    def signal_all(self, pids: Sequence[int], number: int) -> None:
        """Send a signal to processes of which some may be gone."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def wait_gone(self, pid: int, timeout_s: float = 15.0) -> None:
        """Wait until a process has ended."""
        wait_until(lambda: pid not in {row.pid for row in self.family()}, timeout_s, f"process {pid} is still there")

    def wait_replaced(self, role: str, old: int, timeout_s: float = 15.0) -> float:
        """Wait until a role has another process than `old`; return how long that took."""
        began = time.monotonic()
        wait_until(lambda: any(pid != old for pid in self.find(role)), timeout_s, f"no new {role}\n{self.story()}")
        return time.monotonic() - began

    # ------------------------------------------------------------ what the pilot and the server say
    def main_dirs(self) -> list[Path]:
        """Return the main directories of the pilots that were started here, with -a or without."""
        own = [self.home] if (self.home / ".bulkhead").exists() else []
        found = []
        for folder, names, _ in os.walk(self.home):  # which does not mind what goes away under it
            mains = [name for name in names if name.startswith("PanDA_Pilot3_")]
            found += [Path(folder, name) for name in mains]
            names[:] = [name for name in names if name not in mains]
        return [*own, *sorted(found)]

    def log(self) -> str:
        """Return the text of all pilot logs."""
        texts = []
        for main in self.main_dirs():
            with contextlib.suppress(OSError):
                texts.append((main / "pilotlog.txt").read_text(encoding="utf-8", errors="replace"))
        return "".join(texts)

    def wait_log(self, text: str, timeout_s: float = 15.0) -> None:
        """Wait until the pilot's log holds a text."""
        try:
            wait_until(lambda: text in self.log(), timeout_s, f"no {text!r} in")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None

    def wait_call(self, call: str, timeout_s: float = 15.0, **fields: object) -> dict:
        """Return the first request of a kind, waiting for it."""

        def fits(entry: dict) -> bool:
            body = entry["body"] if isinstance(entry["body"], dict) else {}
            return entry["call"] == call and all(body.get(name) == value for name, value in fields.items())

        try:
            return self.sandbox.wait_for(fits, timeout_s, self.since)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None

    def updates(self, job_id: int) -> list[dict]:
        """Return the requests with updates of a job."""
        entries = self.sandbox.record("update_job")
        return [entry for entry in entries if isinstance(entry["body"], dict) and entry["body"].get("job_id") == job_id]

    def story(self) -> str:
        """Return what happened, for whoever has to find out why a test failed."""
        lines = [f"-- {row.pid} {row.ppid} {row.state} {command_line(row.pid)[:100]}" for row in self.family()]
        for entry in self.sandbox.record():
            body = entry["body"] if isinstance(entry["body"], dict) else {}
            what = [body.get(name) for name in ("job_id", "job_status", "pilot_error_code", "pilot_error_diag")]
            lines.append(f"{entry['wall']:.3f} {entry['call']} {entry['status']} {entry['fault'] or ''} {what}")
        output = self.out.read_text(errors="replace") if self.out.exists() else ""
        return "\n".join([*lines, self.log()[-6000:], "-- output:", output[-3000:]])

    # ------------------------------------------------------------ what must hold at the end
    def assert_final(self, job_id: int, state: str, code: int | None = None, *, rejected: int | None = None) -> dict:
        """Assert that the server took exactly one final update of a job, with this outcome; return the job."""
        job = self.sandbox.job(job_id)
        why = f"job {job_id} should be {state} ({code}): {job['state']} {job['verdict']}\n"
        assert (job["finals_accepted"], job["state"]) == (1, state), why + self.story()
        if code is not None:
            assert abs(job["final"].get("pilot_error_code") or 0) == code, why + self.story()
        if rejected is not None:
            assert job["finals_rejected"] == rejected, self.story()
        return job

    def assert_clean(self, *, keep_main: bool = False, timeout_s: float = 10.0) -> None:
        """Assert that nothing of the pilot is left: process, socket, temporary or partial file, job directory."""
        try:
            wait_until(lambda: not self.family(), timeout_s, "processes are left")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.story()}") from None
        self._reap()
        assert not list(self.tmp.iterdir()), f"left in the temporary directory: {list(self.tmp.iterdir())}"
        assert not self.strange_files(), self.story()
        if not keep_main:
            assert not self.unpromised(), f"{self.unpromised()}\n{self.story()}"

    def strange_files(self) -> list[str]:
        """Return files in the storage that no job has by name: partial ones, say."""
        known = set()
        for job in self.sandbox.jobs():
            for field in ("inFiles", "outFiles", "logFile"):
                known.update(str(job["definition"].get(field, "")).split(","))
            known.update(job["events"]["zips"])
        return [str(path) for path in self.sandbox.storage.rglob("*") if path.is_file() and path.name not in known]

    def unpromised(self) -> list[str]:
        """Return what lies in the main directories besides the log and the journal."""
        left = []
        for main in self.main_dirs():
            for path in main.rglob("*"):
                inner = str(path.relative_to(main))
                if main == self.home and not inner.startswith((".bulkhead", "PanDA_Pilot-")):
                    continue  # the test's own
                if not inner.startswith(".bulkhead/journal.sqlite") and inner not in _PROMISED:
                    left.append(inner)
        return left


def _session(rows: Sequence[ProcessRow], pid: int) -> int:
    return next((row.session for row in rows if row.pid == pid), 0)


def report_of(job: dict) -> dict:
    """Return the file report of a job's final update."""
    return json.loads(job["final"].get("job_output_report") or "{}")
