"""Lists of hotwords, as a user writes them, spelled in a model's units."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence

from wenet_lite.data.kaldi import PathLike, read_lines
from wenet_lite.decoding.hotwords import DEFAULT_SCORE, Hotword
from wenet_lite.errors import DataError
from wenet_lite.text.ideographs import begins_with_ideograph
from wenet_lite.text.tokenizer import SPECIAL_UNITS, WORD_START, Tokenizer

_LOG = logging.getLogger(__name__)


Phrase = str | tuple[str, float]
"""A hotword as a user writes it: alone, or with the score of each of its units."""


def read_hotwords(path: PathLike, tokenizer: Tokenizer, score: float = DEFAULT_SCORE) -> list[Hotword]:
    """Read phrases, one a line, each with a score of its own after a tab where it has one.

    Args:
        path: the file.
        tokenizer: of the model.
        score: of phrases without one.
    Raises:
        DataError: if the file cannot be read, a score is no number, or there is no phrase that can be spelled.
    """
    hotwords = spell_hotwords(read_phrases(path), tokenizer, score)
    if not hotwords:
        raise DataError("holds no phrase that the model's units can spell", path=path)
    return hotwords


def read_phrases(path: PathLike) -> list[Phrase]:
    """What `read_hotwords` reads, not spelled yet.

    Raises:
        DataError: if the file cannot be read, or a score is no number.
    """
    phrases: list[Phrase] = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            text, tab, given = line.decode("utf-8-sig" if number == 1 else "utf-8").partition("\t")
        except UnicodeDecodeError as error:
            raise DataError("is not UTF-8", path=path, line=number, cure="convert the file with iconv") from error
        try:
            score = float(given) if tab else 0.0
        except ValueError:
            score = math.nan
        if not 0 <= score < math.inf:
            raise DataError(f"{given.strip()!r} after the tab is no score from 0", path=path, line=number)
        phrases.append((text, score) if tab else text)
    return phrases


def spell_hotwords(phrases: Iterable[Phrase], tokenizer: Tokenizer, score: float = DEFAULT_SCORE) -> list[Hotword]:
    """Phrases in units, with `score` where they have none; what cannot be spelled is named in the log and left out."""
    hotwords = []
    for each in phrases:
        phrase, own = (each, score) if isinstance(each, str) else each
        text = tokenizer.rules(phrase)
        if not text:
            continue
        try:
            hotwords.append(Hotword(text, tuple(spell(text, tokenizer)), own))
        except DataError as error:
            _LOG.warning("hotword %r is left out: %s", phrase.strip(), error)
    return hotwords


def spell(text: str, tokenizer: Tokenizer) -> list[int]:
    """Unit ids of a phrase: as the tokenizer cuts it, or where a piece is no unit, in the fewest units.

    Where `▁` is a unit of its own, as among characters, it comes first: the phrase begins a word. An ideograph begins
    one without it.

    Raises:
        DataError: if no units spell it; the characters that are in none are named.
    """
    pieces = tokenizer.split(text)
    if not pieces:
        raise DataError("nothing of it is written in units")
    if begins_with_ideograph(text):
        pieces = [piece for piece in (pieces[0].removeprefix(WORD_START), *pieces[1:]) if piece]
    elif WORD_START in tokenizer.units and not pieces[0].startswith(WORD_START):
        pieces = [WORD_START, *pieces]
    if not all(piece in tokenizer.units for piece in pieces):
        pieces = _fewest_units("".join(pieces), [unit for unit in tokenizer.units if unit not in SPECIAL_UNITS])
    return [tokenizer.units[piece] for piece in pieces]


def _fewest_units(text: str, units: Sequence[str]) -> list[str]:
    known, longest = set(units), max(map(len, units), default=0)
    best: list[list[str] | None] = [[]]
    for end in range(1, len(text) + 1):
        ways = []
        for start in range(max(0, end - longest), end):
            before = best[start]
            if before is not None and text[start:end] in known:
                ways.append([*before, text[start:end]])
        best.append(min(ways, key=len, default=None))
    if best[-1] is None:
        characters = {character for unit in units for character in unit}
        missing = sorted({character for character in text if character not in characters})
        reason = f"the model has no unit with {' '.join(missing)}" if missing else "no units of the model spell it"
        raise DataError(reason, cure="write it as the model's transcripts do")
    return best[-1]
