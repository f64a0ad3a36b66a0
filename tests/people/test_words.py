import pytest

from people.words import duration_text, size_text, state_text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (200 << 20, "200.0 MiB"), (3 << 40, "3.0 TiB")]
)
def test_sizes(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0.00 s"), (0.04, "0.04 s"), (12.34, "12.3 s"), (125, "2 min 05 s"), (7_800, "2 h 10 min")],
)
def test_durations(seconds, text):
    assert duration_text(seconds) == text


def test_states():
    assert state_text("transferring_log") == "transferring log"
