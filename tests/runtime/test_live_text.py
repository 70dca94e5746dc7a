"""Partial results on a terminal stay in one line."""

import io

import pytest

from wenet_lite.runtime.transcribing.live_text import LiveText, end_of_line


@pytest.mark.parametrize(
    ("text", "columns", "seen"),
    [
        ("WHAT A LINE", 11, "WHAT A LINE"),
        ("WHAT A LINE", 10, "…AT A LINE"),
        ("今天天气", 8, "今天天气"),
        ("今天天气", 7, "…天天气"),
        ("今天天气", 6, "…天气"),
        ("cafe\u0301s", 5, "cafe\u0301s"),
    ],
)
def test_the_end_of_a_text_fits_the_terminal(text: str, columns: int, seen: str) -> None:
    assert end_of_line(text, columns) == seen


def test_without_a_terminal_each_change_is_a_line() -> None:
    stream = io.StringIO()
    shown = LiveText(stream)
    for seconds, text in ((0.32, ""), (0.64, "DO"), (0.96, "DO"), (1.28, "DO RE")):
        shown.show(seconds, text)
    shown.clear()
    shown.show(2.0, "MI")
    assert stream.getvalue() == "   0.64 s  DO\n   1.28 s  DO RE\n   2.00 s  MI\n"
