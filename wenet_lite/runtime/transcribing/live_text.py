"""Partial results while somebody speaks."""

from __future__ import annotations

import os
import unicodedata
from typing import TextIO

_ERASE_LINE = "\r\x1b[K"
_COLUMNS = 80
"""Of a terminal that does not tell, such as a serial one."""


class LiveText:
    """Shows the newest partial result: on a terminal in one line that is rewritten, else as a line for each change.

    Args:
        stream: such as `sys.stderr`.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._is_terminal = stream, stream.isatty()
        self._shown = ""

    def show(self, heard_s: float, text: str) -> None:
        """Show a text, unless it is there already.

        Args:
            heard_s: seconds of audio so far.
            text: of the utterance that is spoken.
        """
        if text == self._shown:
            return
        self._shown = text
        if self._is_terminal:
            columns = os.get_terminal_size(self._stream.fileno()).columns or _COLUMNS
            self._write(_ERASE_LINE + end_of_line(text, columns - 1))
        elif text:
            self._write(f"{heard_s:7.2f} s  {text}\n")

    def clear(self) -> None:
        """Make room for a final text."""
        if self._is_terminal and self._shown:
            self._write(_ERASE_LINE)
        self._shown = ""

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def end_of_line(text: str, columns: int) -> str:
    """The end of a text that fits so many columns of a terminal, where Chinese characters and kana take two."""
    if _width(text) <= columns:
        return text
    while text and 1 + _width(text) > columns:
        text = text[1:]
    return f"…{text}"


def _width(text: str) -> int:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    marks = sum(unicodedata.combining(character) > 0 for character in text)
    return len(text) + wide - marks
