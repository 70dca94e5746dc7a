"""Sentences for a language model, from transcripts and from plain text."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.gzip_files import read_any_lines
from wenet_lite.errors import DataError

Rules = Callable[[str], str]


def transcripts(path: PathLike, rules: Rules) -> Iterator[str]:
    """Sentences of a Kaldi `text`, `<utterance> <words>` a line, after `rules`; those without words are left out.

    Raises:
        DataError: if the file cannot be read, is not UTF-8, or has an utterance twice, as plain text soon has.
    """
    seen = set()
    for number, line in _lines(path):
        key, *words = line.split(None, 1)
        if key in seen:
            cure = "is it plain text, without utterance ids?"
            raise DataError(f"has the utterance '{key}' a second time", path=path, line=number, cure=cure)
        seen.add(key)
        if words and (sentence := rules(words[0])):
            yield sentence


def plain_sentences(path: PathLike, rules: Rules) -> Iterator[str]:
    """Sentences of a text file, one a line, after `rules`; empty ones are left out.

    Raises:
        DataError: if the file cannot be read or is not UTF-8.
    """
    for _, line in _lines(path):
        if sentence := rules(line):
            yield sentence


def _lines(path: PathLike) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, with their numbers from 1."""
    for number, line in enumerate(read_any_lines(path), 1):
        try:
            text = line.decode().strip()
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error
        if text:
            yield number, text
