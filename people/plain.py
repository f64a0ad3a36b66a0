"""Plain text: for files, pipes, batch logs and terminals without rich."""

from typing import TextIO

from people.sheet import Row, Section


def write_sections(sections: list[Section], stream: TextIO) -> None:
    """Write the sheet with aligned columns."""
    for section in sections:
        stream.write(f"{section.title}\n")
        rows = [section.columns, *section.rows] if section.columns else list(section.rows)
        widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows)))]
        stream.writelines(f"  {_line(row, widths, section.right)}\n" for row in rows)
        stream.write("\n")
    stream.flush()


def _line(row: Row, widths: list[int], right: frozenset[int]) -> str:
    cells = [
        cell.rjust(width) if i in right else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=False))
    ]
    return "  ".join(cells).rstrip()
