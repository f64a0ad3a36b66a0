"""The sheet on a terminal, with rich; nothing but people/screens.py imports this, as rich is optional."""

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from people.sheet import Section

_STYLES = {
    "finished": "bold green",
    "failed": "bold red",
    "running": "cyan",
    "guardian": "bold",
    "supervisor": "bold",
    "payload": "magenta",
}


def sheet(sections: list[Section]) -> RenderableType:
    """Return the whole sheet, to print or to show live."""
    parts: list[RenderableType] = []
    for section in sections:
        parts.append(Text(f"\n{section.title}", style="bold blue"))
        parts.append(_table(section))
    return Group(*parts)


def write_sections(sections: list[Section], console: Console) -> None:
    """Print the sheet once."""
    console.print(sheet(sections))


def _table(section: Section) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD if section.columns else None,
        show_header=bool(section.columns),
        header_style="dim",
        pad_edge=True,
        padding=(0, 1),
        show_edge=False,
    )
    width = max(len(row) for row in (section.columns, *section.rows))
    for number in range(width):
        name = section.columns[number] if section.columns else ""
        last = number == width - 1
        justify = "right" if number in section.right else "left"
        style = "dim" if not section.columns and number == 0 else ""
        if justify == "right":
            table.add_column(name, justify="right", style=style, no_wrap=True)
        else:
            table.add_column(name, style=style, no_wrap=not last, overflow="fold" if last else "ellipsis")
    for row in section.rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    return table
