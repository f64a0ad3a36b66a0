"""`bulkhead run`: real jobs through the embedded server with a real pilot, shown as they happen, checked afterwards."""

import argparse
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from host import kernel
from jobs.states import JobState
from people.feed import Feed, Interrupted, PictureCame, PilotEnded, SupervisorLost, SupervisorSeen
from people.outcome import check_job, sections_of
from people.pilot_process import PilotProcess, command_line
from people.processes import payload_use
from people.run_view import Order, PlainView, RunView
from people.screens import can_draw
from people.story import News, Story
from people.words import size_text
from people.workarea import WorkArea, WorkAreaError
from sandbox.client import Sandbox, SandboxError
from supervision.place import Place

_DESCRIPTION = """\
Run real jobs with a real pilot against the embedded PanDA-compatible server, and watch them: input files are staged in
with checksums, a payload reads them and writes outputs, outputs and log are staged out, the server is told.
"""
_EPILOG = """\
examples:
  bulkhead run                                   one job, two inputs (1 MiB and 200 MiB)
  bulkhead run --jobs 5 --inputs 10M,10M --payload-seconds 1
  bulkhead run --payload-seconds 60              time to look around in another terminal:
      bulkhead status -w                         ... everything the pilot knows, live
      kill -9 PID                                ... any process shown: the job goes on

exit codes: 0 all jobs finished and every file agrees, 1 they did not, 2 wrong use, 130 ended by Ctrl-C
"""
_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_RESERVE_BYTES = 3 << 30
_TIMEFLOOR_MIN = 1440
_QUEUE = "SANDBOX"
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_USAGE_EXIT, _BAD_EXIT, _INTERRUPTED_EXIT = 2, 1, 130


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(_size(item) for item in text.split(",") if item)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes such as 1M,200M") from None


def _size(text: str) -> int:
    factor = _UNITS.get(text[-1].lower(), 1)
    return int(text[:-1] if factor > 1 else text) * factor


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return the parser of all options."""
    made = argparse.ArgumentParser(
        prog="bulkhead run",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--dir", type=Path, default=Path("bulkhead-run"), metavar="DIR", help="where to work (./%(default)s)")
    add("--jobs", type=_at_least_one, default=1, metavar="N", help="number of jobs (%(default)s)")
    add("--inputs", type=_sizes, default="1M,200M", metavar="SIZES", help="input files of each job (%(default)s)")
    add("--outputs", type=_sizes, default="1M,20M", metavar="SIZES", help="output files of each job (%(default)s)")
    add("--payload-seconds", type=float, default=3.0, metavar="S", help="how long a payload takes (%(default)s)")
    add("--keep", action="store_true", help="have the pilot keep the jobs' directories")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for the pilot, as its own --set")
    add("--plain", action="store_true", help="plain lines on a terminal too")
    return made


def main(argv: Sequence[str]) -> int:
    """Run it; return the exit code."""
    options = parser().parse_args(argv)
    view = _view(plain=options.plain)
    try:
        area = WorkArea(options.dir)
    except WorkAreaError as error:
        sys.stderr.write(f"bulkhead run: {error}\n")
        return _USAGE_EXIT
    try:
        need = 2 * (sum(options.inputs) + options.jobs * sum(options.outputs)) + _RESERVE_BYTES
        if area.free_bytes() < need:
            sys.stderr.write(
                f"bulkhead run: {area.root} has {size_text(area.free_bytes())} free, {size_text(need)} are needed; "
                "name another directory with --dir, or smaller files with --inputs and --outputs\n"
            )
            return _USAGE_EXIT
        return _run(area, options, view)
    except SandboxError as error:
        sys.stderr.write(f"bulkhead run: {error} (the server needs the extra sandbox: make setup)\n")
        return _USAGE_EXIT
    finally:
        area.close()


def _view(*, plain: bool) -> RunView:
    if can_draw(plain=plain):
        from people.run_terminal import TerminalView  # noqa: PLC0415 - rich is optional

        return TerminalView()
    return PlainView(sys.stdout)


def _run(area: WorkArea, options: argparse.Namespace, view: RunView) -> int:
    floor = str(_TIMEFLOOR_MIN if options.jobs > 1 else 0)
    with Sandbox(area.storage, "--queue", _QUEUE, "--record", str(area.record), "--timefloor", floor) as server:
        job_ids = server.make_jobs(
            options.jobs,
            inputs=list(options.inputs),
            outputs=list(options.outputs),
            shared_inputs=True,
            payload={"sleep": options.payload_seconds},
        )
        command = command_line(server.url, _QUEUE, area.pilot, keep=options.keep, tuning=options.set)
        view.begin(_order(options, area, server.url))
        with _ending_signals() as signal_fd:
            story, interrupted, exit_code, main_dir = _follow(command, area, signal_fd, view)
        checks = [check_job(server, job_id) for job_id in job_ids]
    durations = {job.job_id: job.over_wall - job.began_wall for job in story.jobs.values()}
    good = exit_code == 0 and all(check.good for check in checks)
    ended = sum(check.good for check in checks)
    verdict = f"{ended} of {len(checks)} job(s) finished with every file in agreement; pilot's exit code {exit_code}"
    view.end(sections_of(checks, _places(area, main_dir), durations), verdict, good=good)
    if interrupted:
        return _INTERRUPTED_EXIT
    return 0 if good else _BAD_EXIT


def _follow(
    command: Sequence[str], area: WorkArea, signal_fd: int, view: RunView
) -> tuple[Story, bool, int, Path | None]:
    """Start the pilot and show it until it has ended; return story, whether it was interrupted, exit code, home."""
    interrupted = False
    pilot = PilotProcess(command, area.pilot_output)
    try:
        story = Story(pilot.pid, time.time())
        with Feed(pilot.pid, area.pilot, signal_fd, view.tick_s) as feed:
            for event in feed.events():
                news: list[News] = []
                match event:
                    case PictureCame():
                        news = story.see(event.picture)
                    case SupervisorSeen():
                        news = story.supervisor_seen(event.pid, event.wall)
                    case SupervisorLost():
                        news = story.supervisor_lost(event.pid, event.wall)
                    case Interrupted():
                        interrupted = True
                        news = story.tell(time.time(), pilot.end())
                    case PilotEnded():
                        story.pilot_ended(time.time())
                _measure(story)
                view.show(story, news)
            main_dir = feed.main_dir()
        return story, interrupted, pilot.exit_code(), main_dir
    finally:
        view.pause()
        pilot.close()


def _measure(story: Story) -> None:
    """Have the story know what the running payload uses."""
    for job in story.jobs.values():
        if not job.over_wall and job.phases[-1].state == JobState.RUNNING.value:
            job.payload_use = payload_use(job.payload_pid) or job.payload_use


@contextmanager
def _ending_signals() -> Iterator[int]:
    """Give a descriptor that delivers Ctrl-C and its like; they are as before afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING_SIGNALS)
    descriptor = kernel.open_signalfd(_ENDING_SIGNALS)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _order(options: argparse.Namespace, area: WorkArea, url: str) -> Order:
    inputs = ", ".join(size_text(size) for size in options.inputs) or "none"
    outputs = ", ".join(size_text(size) for size in options.outputs) or "none"
    return Order(
        title=f"bulkhead run: {options.jobs} job(s) through the embedded server",
        lines=(
            f"inputs {inputs}; outputs {outputs}; payload {options.payload_seconds:g} s",
            f"server {url}, queue {_QUEUE}",
            f"work area {area.root}",
        ),
        jobs=options.jobs,
        input_sizes=options.inputs,
        output_sizes=options.outputs,
    )


def _places(area: WorkArea, main_dir: Path | None) -> dict[str, Path]:
    places = {"storage (inputs, outputs, logs)": area.storage}
    if main_dir is not None:
        place = Place(main_dir)
        places |= {"pilot's log": place.log, "journal": place.journal}
    return {**places, "pilot's standard output": area.pilot_output, "server's record": area.record}
