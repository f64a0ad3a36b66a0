"""`bulkhead status --watch` on a terminal; rich is needed here."""

from types import TracebackType

from rich.console import Console
from rich.live import Live

from people import terminal
from people.sheet import Section


class LiveStatus:
    """A full screen that is drawn anew at each look; the last sheet stays in the terminal afterwards."""

    def __init__(self) -> None:
        self._console = Console()
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._last: list[Section] = []

    def __enter__(self) -> "LiveStatus":
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, err: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        if self._last:
            terminal.write_sections(self._last, self._console)

    def show(self, sections: list[Section]) -> None:
        """Draw the sheet."""
        self._last = sections
        self._live.update(terminal.sheet(sections), refresh=True)
