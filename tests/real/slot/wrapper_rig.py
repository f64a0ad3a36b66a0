"""Starts the production wrapper, unchanged, around a tarball of this tree: fake CVMFS, no word to any real host."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from slot_rig import save_queue

from tests.chaos.pilotrun import ROOT

SOURCE = os.environ.get("BULKHEAD_WRAPPER_SOURCE", "")
needs_wrapper = pytest.mark.skipif(
    not SOURCE, reason="set BULKHEAD_WRAPPER_SOURCE to a checkout of the wrapper (with runpilot2-wrapper.sh)"
)
_CVMFS = "atlas.cern.ch/repo"
#: The wrapper tells servers of its start; nothing but files and this machine may be asked in a test.
_CURL = """#!/bin/sh
case "$*" in *file://*|*127.0.0.1*) exec {curl} "$@" ;; esac
echo "curl $*" >> {log}; exit 6
"""
_ALRB = """lsetup() {{ echo "lsetup $*" >> {log}; PATH={python}:$PATH; }}
"""


class Wrapper:
    """One start of the wrapper in a directory of its own, in a process group of its own.

    Attributes:
        place: where the batch system starts it.
        asked: what it asked of hosts and of the software set-up.
    """

    def __init__(self, place: Path) -> None:
        self.place = place
        self.asked = place.parent / "asked.txt"
        self.out = place.parent / "wrapper.out"
        self.process: subprocess.Popen | None = None
        tools = place.parent / "tools"
        self._cvmfs = place.parent / "cvmfs"
        for folder in (place, tools, self._cvmfs / _CVMFS / "ATLASLocalRootBase" / "user"):
            folder.mkdir(parents=True)
        curl = tools / "curl"
        curl.write_text(_CURL.format(curl=shutil.which("curl"), log=self.asked))
        curl.chmod(0o755)
        setup = self._cvmfs / _CVMFS / "ATLASLocalRootBase" / "user" / "atlasLocalSetup.sh"
        setup.write_text(_ALRB.format(log=self.asked, python=Path(sys.executable).parent))
        local = self._cvmfs / _CVMFS / "sw" / "local" / "setup.sh"
        local.parent.mkdir(parents=True)
        local.write_text("export SITE_SETUP_WAS_READ=$*\n")
        self._path = f"{tools}:{os.environ['PATH']}"

    def __enter__(self):
        return self

    def __exit__(self, *_error):
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(10)

    def tarball(self, path: Path) -> Path:
        """Pack the files of this tree that a release would have, below pilot3/."""
        names = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        kept = [name for name in names.stdout.splitlines() if not name.startswith(("tests/", "benchmarks/"))]
        words = ["tar", "-czf", str(path), "--transform", "s,^,pilot3/,", "--no-recursion", *kept]
        subprocess.run(words, cwd=ROOT, check=True)
        return path

    def start(self, run, *options: str, environment: dict[str, str] | None = None) -> None:
        """Start it as a batch system does; options that the wrapper does not know go to the pilot."""
        if not (self.place / "queuedata.json").exists():
            save_queue(run, self.place)
        command = ["bash", str(Path(SOURCE) / "runpilot2-wrapper.sh"), "-q", "SANDBOX", "-i", "PR", "-j", "test"]
        command += ["--cvmfsbase", str(self._cvmfs), "--mute", "-t", *options]
        environ = {name: value for name, value in os.environ.items() if name != "XDG_RUNTIME_DIR"}
        environ.update({"PATH": self._path, "TMPDIR": str(run.tmp), **(environment or {})})
        with self.out.open("ab") as out:
            self.process = subprocess.Popen(
                command, cwd=self.place, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                start_new_session=True,
            )  # fmt: skip

    def said(self) -> str:
        """Return all that wrapper and pilot printed."""
        return self.out.read_text(errors="replace") if self.out.exists() else ""


def pilot_options(run, *, without: tuple[str, ...] = ()) -> list[str]:
    """Return the pilot's own options of a test run, without those that the wrapper gives itself."""
    words = run.command()[2:]
    for option in ("-q", "-j", "-a", "--input-destination-dir", *without):
        at = words.index(option)
        del words[at : at + 2]
    words.remove("-t")
    return words
