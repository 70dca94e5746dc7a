"""Chinese characters and kana: written without blanks, each stands for a word of its own."""

from __future__ import annotations

import re

_IDEOGRAPH = "[\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
_BEGINS = re.compile(_IDEOGRAPH)
_ENDS = re.compile(f"{_IDEOGRAPH}$")
_WORD = re.compile(f"{_IDEOGRAPH}|(?:(?!{_IDEOGRAPH})\\S)+")


def begins_with_ideograph(text: str) -> bool:
    """Whether the first character is one; false of an empty text."""
    return _BEGINS.match(text) is not None


def ends_with_ideograph(text: str) -> bool:
    """Whether the last character is one; false of an empty text."""
    return _ENDS.search(text) is not None


def split_words(line: str) -> list[str]:
    """Words of a line of text; each Chinese character or kana is one."""
    return _WORD.findall(line)
