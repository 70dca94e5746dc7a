"""Hotwords and a word language model as one thing that scores units, in tables that any search can walk."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wenet_lite.decoding.hotwords import Hotword, HotwordGraph
from wenet_lite.decoding.ngram import SENTENCE_END, NgramLm
from wenet_lite.text.ideographs import begins_with_ideograph
from wenet_lite.text.tokenizer import SPECIAL_UNITS, WORD_START

PRIME = 1_099_511_628_211
"""Factor of the hashes (FNV's)."""


_UNIT = np.dtype([("starts_word", np.bool_), ("in_hotwords", np.bool_)] + [(n, np.int64) for n in ("digest", "factor")])
"""A unit: whether it begins a word, and is in any phrase; the hash of its characters, and what that of the characters
before them is multiplied with."""


class WordTables(NamedTuple):
    """A language model of words.

    Attributes:
        digests, ids: hashes of its words, ascending, and their ids.
        unknown, end_of_text: ids of `<unk>` and `</s>`.
        start: state at the beginning of a text.
        size: number of words; 0 where there is no model.
        keys, log_probs, backoffs, suffixes: of `NgramLm`.
        weight: factor of its log probabilities.
        bonus: earned by each word.
    """

    digests: np.ndarray
    ids: np.ndarray
    unknown: int
    end_of_text: int
    start: int
    size: int
    keys: np.ndarray
    log_probs: np.ndarray
    backoffs: np.ndarray
    suffixes: np.ndarray
    weight: float
    bonus: float


class FusionTables(NamedTuple):
    """Attributes:
    active: whether there is anything to score.
    most_gain: the most that a unit of a hotword earns, what is due to the end of a word before it left out.
    at_boundary: whether a phrase is complete only where the next word begins, or the text ends.
    units: (vocab,) _UNIT.
    nodes: NODE of `HotwordGraph`.
    begins: of `HotwordGraph`.
    hotword_start: state of the hotwords at the beginning of a text.
    words: language model.
    """

    active: bool
    most_gain: float
    at_boundary: bool
    units: np.ndarray
    nodes: np.ndarray
    begins: np.ndarray
    hotword_start: int
    words: WordTables


@dataclass(frozen=True)
class WordLm:
    """A language model of words, and how much it counts.

    Attributes:
        lm: the model.
        weight: factor of its log probabilities.
        word_bonus: added for each word, natural log: a language model alone likes short texts.
    """

    lm: NgramLm
    weight: float = 0.5
    word_bonus: float = 0.0

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ValueError("the weight of a language model cannot be negative")


class Fusion:
    """What is added to the score of a hypothesis while it is searched (shallow fusion).

    A word is scored where the next one begins, and at the end, whatever units spell it: there is no lexicon. The word
    that units spell is known by a hash of its characters. A word begins at a unit with sentencepiece's word mark or an
    ideograph at its beginning; where no unit has that mark, every unit is a word.

    Args:
        units: of units.txt, by id.
        hotwords: phrases to listen for.
        word_lm: language model of words, or None.
    Attributes:
        graph: of the hotwords.
        tables: the same as arrays.
    """

    def __init__(self, units: Sequence[str], hotwords: Sequence[Hotword] = (), word_lm: WordLm | None = None) -> None:
        self.word_lm = word_lm
        self.graph = HotwordGraph(hotwords, len(units))
        marked = [unit not in SPECIAL_UNITS and unit.startswith(WORD_START) for unit in units]
        at_boundary = any(marked)
        table = np.zeros(len(units), _UNIT)
        table["starts_word"] = marked if at_boundary else True
        table["in_hotwords"][[token for hotword in hotwords for token in hotword.tokens]] = True
        for row, unit in zip(table, units):
            text = "" if unit in SPECIAL_UNITS[::2] else unit.removeprefix(WORD_START)
            row["starts_word"] |= begins_with_ideograph(text)
            row["digest"], row["factor"] = _digest(text), _wrapped(pow(PRIME, len(text), 2**64))
        most_gain = max([0.0, *(hotword.score for hotword in hotwords)])
        self.tables = FusionTables(
            active=bool(hotwords) or word_lm is not None,
            most_gain=most_gain + (0.0 if at_boundary else float(self.graph.nodes["credit"].max())),
            at_boundary=at_boundary,
            units=table,
            nodes=self.graph.nodes,
            begins=self.graph.begins,
            # A text begins a word, so that a phrase of characters matches there as it does after a blank.
            hotword_start=self.graph.step(0, units.index(WORD_START)) if WORD_START in units else 0,
            words=_word_tables(word_lm) if word_lm else _NO_WORDS,
        )


_NO_WORDS = WordTables(
    np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 0, 0, 0, np.zeros(0, np.int64), np.zeros(1, np.float32),
    np.zeros(1, np.float32), np.zeros(1, np.int32), 0.0, 0.0,
)  # fmt: skip


def _word_tables(word_lm: WordLm) -> WordTables:
    lm = word_lm.lm
    digests, ids = _word_digests(lm)
    return WordTables(
        digests=digests,
        ids=ids,
        unknown=lm.unknown,
        end_of_text=lm.words[SENTENCE_END],
        start=lm.start,
        size=lm.vocab_size,
        keys=lm.keys,
        log_probs=lm.log_probs,
        backoffs=lm.backoffs,
        suffixes=lm.suffixes,
        weight=word_lm.weight,
        bonus=word_lm.word_bonus,
    )


@functools.lru_cache(maxsize=2)
def _word_digests(lm: NgramLm) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of a model's words, ascending, and their ids; the same whatever the model weighs."""
    digests = np.array([_digest(word) for word in lm.words], np.int64)
    order = np.argsort(digests)
    return digests[order], np.array(list(lm.words.values()), np.int64)[order]


def _digest(text: str) -> int:
    """Polynomial of the characters in PRIME, modulo 2 ** 64, as a signed number; 0 for none."""
    digest = 0
    for character in text:
        digest = (digest * PRIME + ord(character)) & 0xFFFF_FFFF_FFFF_FFFF
    return _wrapped(digest)


def _wrapped(number: int) -> int:
    return number - 2**64 if number >= 2**63 else number


NO_FUSION = Fusion(())
"""Nothing is added."""
