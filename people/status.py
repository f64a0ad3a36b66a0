"""`bulkhead status`: what a pilot is doing, or did. It only reads: the pilot does not notice."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from people.plain import write_sections
from people.reader import NoJournalError, find_main_dir
from people.screens import can_draw
from people.sheet import Section, sections_of
from people.snapshot import Snapshot, take_snapshot
from people.watching import snapshots

_DESCRIPTION = """\
Show a pilot's processes, jobs, waiting updates and last events: while it runs, after it has ended, after it was killed.
It reads the journal and listens to what the running pilot publishes; the pilot is not disturbed and nothing is changed.
"""
_EPILOG = """\
DIR is a pilot's main directory (the one with pilotlog.txt) or the directory given to the pilot with -a, of which the
newest PanDA_Pilot3_* is taken. What `bulkhead run` made in ./bulkhead-run is found without any DIR.

examples:
  bulkhead status                         the pilot of this directory, once
  bulkhead status /scratch/pilots -w      live, until it has ended or Ctrl-C
  bulkhead status --json | jq .jobs       for machines

exit codes: 0 shown, 1 there is no journal to read, 2 wrong use
"""
_NO_JOURNAL_EXIT = 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of all options."""
    made = argparse.ArgumentParser(
        prog="bulkhead status",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("dir", nargs="?", type=Path, default=Path(), metavar="DIR", help="where the pilot lives (this directory)")
    add("-w", "--watch", action="store_true", help="go on showing it until the pilot has ended")
    add("--interval", type=float, default=1.0, metavar="S", help="with --watch: seconds between looks (%(default)s)")
    add("--events", type=int, default=10, metavar="N", help="how many of the last events to show (%(default)s)")
    add("--timeout", type=float, default=1.0, metavar="S", help="longest wait for a running pilot (%(default)s s)")
    add("--json", action="store_true", help="one JSON object; with --watch one a line")
    add("--plain", action="store_true", help="plain text on a terminal too")
    return made


def main(argv: Sequence[str]) -> int:
    """Show it; return the exit code."""
    options = parser().parse_args(argv)
    try:
        main_dir = find_main_dir(options.dir)
        if options.watch:
            return _watch(main_dir, options)
        _show(take_snapshot(main_dir, options.events, options.timeout), options)
    except NoJournalError as error:
        sys.stderr.write(f"bulkhead status: {error}\n")
        return _NO_JOURNAL_EXIT
    except BrokenPipeError:
        sys.stderr.close()  # whoever reads us has seen enough; the interpreter need not complain
    return 0


def _show(snapshot: Snapshot, options: argparse.Namespace) -> None:
    if options.json:
        sys.stdout.write(json.dumps(snapshot.as_json(), indent=None if options.watch else 1) + "\n")
        sys.stdout.flush()
    elif can_draw(plain=options.plain):
        from rich.console import Console  # noqa: PLC0415 - rich is optional

        from people import terminal  # noqa: PLC0415

        terminal.write_sections(sections_of(snapshot), Console())
    else:
        write_sections(sections_of(snapshot), sys.stdout)


def _watch(main_dir: Path, options: argparse.Namespace) -> int:
    if not options.json and can_draw(plain=options.plain):
        from people.live_status import LiveStatus  # noqa: PLC0415 - rich is optional

        with LiveStatus() as screen:
            for snapshot in snapshots(main_dir, options.events, options.interval):
                screen.show(sections_of(snapshot))
        return 0
    shown: list[Section] = []
    for snapshot in snapshots(main_dir, options.events, options.interval):
        sections = sections_of(snapshot)
        if options.json or sections != shown:
            _show(snapshot, options)
        shown = sections
    return 0
