import io

import pytest

from people.screens import can_draw


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("encoding", "term", "plain", "drawn"),
    [
        ("utf-8", "xterm", False, True),
        ("ascii", "xterm", False, False),
        ("utf-8", "dumb", False, False),
        ("utf-8", "xterm", True, False),
    ],
)
def test_drawing_needs_a_terminal_that_can(monkeypatch, encoding, term, plain, drawn):
    pytest.importorskip("rich")
    monkeypatch.setenv("TERM", term)
    assert can_draw(Terminal(io.BytesIO(), encoding=encoding), plain=plain) is drawn


def test_a_file_is_not_drawn_on():
    assert not can_draw(io.StringIO())
