"""What a view of `bulkhead run` is, and the plain one: a line for each thing that happens."""

from dataclasses import dataclass
from typing import Protocol, TextIO

from people.plain import write_sections
from people.sheet import Section
from people.story import News, Story
from people.words import clock_text, duration_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What was ordered: for the head of the view and for the totals of its bars."""

    title: str
    lines: tuple[str, ...]
    jobs: int
    input_sizes: tuple[int, ...]
    output_sizes: tuple[int, ...]


class RunView(Protocol):
    """How a run is shown."""

    #: Longest time in seconds after which `show` wants to be called.
    tick_s: float

    def begin(self, order: Order) -> None:
        """Say what is going to happen."""

    def show(self, story: Story, news: list[News]) -> None:
        """Show how it is now; `news` are the lines since the last call."""

    def pause(self) -> None:
        """Stop drawing: the run is over."""

    def end(self, sections: list[Section], verdict: str, *, good: bool) -> None:
        """Show how it ended."""


class PlainView:
    """One line for each phase and each death, with the time of day and since the start."""

    tick_s = 10.0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def begin(self, order: Order) -> None:
        """Write the head."""
        self._stream.write(f"{order.title}\n")
        self._stream.writelines(f"  {line}\n" for line in order.lines)
        self._stream.flush()

    def show(self, story: Story, news: list[News]) -> None:
        """Write the news."""
        for item in news:
            since = f"+{item.wall - story.began_wall:.2f} s"
            self._stream.write(f"{clock_text(item.wall, thousandths=True)}  {since:>9}  {item.text}\n")
        self._stream.flush()

    def pause(self) -> None:
        """Write how long each phase of each job took: nothing is left to say."""

    def end(self, sections: list[Section], verdict: str, *, good: bool) -> None:
        """Write the tables and the verdict."""
        self._stream.write("\n")
        write_sections(sections, self._stream)
        self._stream.write(f"{'OK' if good else 'NOT OK'}: {verdict}\n")
        self._stream.flush()


def took_text(began_wall: float, ended_wall: float, now_wall: float) -> str:
    """Return how long something took, or has taken until now."""
    return duration_text((ended_wall or now_wall) - began_wall)
