"""Makes foreign text fit to be reported: one line, printable, without the time at which it was written."""

import re
from functools import cache

MAX_DIAGNOSTICS = 256
_LOOK_AT = 8192

_DATE_TIMES = r"""
    \d{4}[-/]\d\d[-/]\d\d [T ]\s* \d\d:\d\d (?: :\d\d (?: [.,]\d+ )? )? (?: \s?Z\b | \s?[+-]\d\d:?\d\d\b | \sUTC\b )?
  | \d\d/[A-Z][a-z]{2}/\d{4} [: ] \d\d:\d\d:\d\d (?: \s[+-]\d{4}\b )?
  | (?: \b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)\s )?
    \b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \s{1,2} \d{1,2} \s \d\d:\d\d:\d\d
    (?: \s[A-Z]{3,4}\b )? (?: \s\d{4}\b(?![-/]) )?
"""


@cache
def _date_times() -> re.Pattern[str]:
    return re.compile(_DATE_TIMES, re.VERBOSE)


def plain_lines(text: str) -> list[str]:
    """Return a text's lines without what a terminal or a page would obey: control and formatting characters."""
    return ["".join(char for char in line if char.isprintable() or char == "\t") for line in text.splitlines()]


def one_line(text: object) -> str:
    """Return a text on one line: no date-times, no control or formatting characters, blanks squeezed.

    Only the first 8,192 characters are looked at, so that a payload's gigabyte costs nothing.
    """
    head = str(text)[:_LOOK_AT]
    printable = "".join(char if char.isprintable() else " " for char in head)
    return " ".join(_date_times().sub("", printable).split()).strip(" :")
