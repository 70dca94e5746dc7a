"""Hotwords and a word language model as one thing that scores units, in tables that any search can walk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wenet_lite.decoding.hotwords import Hotword, HotwordGraph
from wenet_lite.decoding.ngram import SENTENCE_END, NgramLm
from wenet_lite.text.tokenizer import SPECIAL_UNITS, WORD_START

PRIME = 1_099_511_628_211
"""Factor of the hashes (FNV's)."""


class FusionTables(NamedTuple):
    """Attributes:
    active: whether there is anything to score.
    most_gain: upper bound of what one unit can earn.
    starts_word: (vocab,) whether a unit begins a word.
    at_boundary: whether a phrase is complete only where the next word begins, or the text ends.
    hotword_start: state of the hotwords at the beginning of a text.
    in_hotwords, hotword_keys, hotword_suffixes, hotword_potentials, hotword_credits: of `HotwordGraph`.
    unit_digests, unit_factors: (vocab,) hash of a unit's characters, and what that of the characters before it is
        multiplied with.
    word_digests, word_ids: hashes of the language model's words, ascending, and their ids.
    num_words: of the language model; 0 where there is none.
    unknown_word, end_of_text: ids of `<unk>` and `</s>`.
    lm_start: state at the beginning of a text.
    lm_keys, lm_log_probs, lm_backoffs, lm_suffixes: of `NgramLm`.
    lm_weight: factor of its log probabilities.
    word_bonus: earned by each word.
    """

    active: bool
    most_gain: float
    starts_word: np.ndarray
    at_boundary: bool
    hotword_start: int
    in_hotwords: np.ndarray
    hotword_keys: np.ndarray
    hotword_suffixes: np.ndarray
    hotword_potentials: np.ndarray
    hotword_credits: np.ndarray
    unit_digests: np.ndarray
    unit_factors: np.ndarray
    word_digests: np.ndarray
    word_ids: np.ndarray
    num_words: int
    unknown_word: int
    end_of_text: int
    lm_start: int
    lm_keys: np.ndarray
    lm_log_probs: np.ndarray
    lm_backoffs: np.ndarray
    lm_suffixes: np.ndarray
    lm_weight: float
    word_bonus: float


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
    """What is added to the CTC score of a prefix while it is searched (shallow fusion).

    A word is scored where the next one begins, and at the end, whatever units spell it: there is no lexicon. The word
    that units spell is known by a hash of its characters. Where no unit begins with sentencepiece's word mark, every
    unit is a word.

    Args:
        units: of units.txt, by id.
        hotwords: phrases to listen for.
        word_lm: language model of words, or None.
    Attributes:
        tables: the same as arrays.
        longest_hotword: units of the longest phrase.
    """

    def __init__(self, units: Sequence[str], hotwords: Sequence[Hotword] = (), word_lm: WordLm | None = None) -> None:
        self.word_lm = word_lm
        self.longest_hotword = max((len(hotword.tokens) for hotword in hotwords), default=0)
        marked = [unit not in SPECIAL_UNITS and unit.startswith(WORD_START) for unit in units]
        graph = HotwordGraph(hotwords, len(units))
        texts = ["" if unit in SPECIAL_UNITS[::2] else unit.removeprefix(WORD_START) for unit in units]
        lm = word_lm.lm if word_lm else None
        digests, ids = _sorted_digests(lm.words if lm else {})
        most_gain = float(np.max([0.0, *(hotword.score for hotword in hotwords)]) + graph.credits.max())
        self.tables = FusionTables(
            active=bool(hotwords) or lm is not None,
            most_gain=most_gain + max(word_lm.word_bonus if word_lm else 0.0, 0.0),
            starts_word=np.array(marked if any(marked) else [True] * len(units), np.bool_),
            at_boundary=any(marked),
            # A text begins a word, so that a phrase of characters matches there as it does after a blank.
            hotword_start=graph.step(0, units.index(WORD_START)) if WORD_START in units else 0,
            in_hotwords=graph.in_hotwords,
            hotword_keys=graph.keys,
            hotword_suffixes=graph.suffixes,
            hotword_potentials=graph.potentials,
            hotword_credits=graph.credits,
            unit_digests=np.array([_digest(text) for text in texts], np.int64),
            unit_factors=np.array([_wrapped(pow(PRIME, len(text), 2**64)) for text in texts], np.int64),
            word_digests=digests,
            word_ids=ids,
            num_words=lm.vocab_size if lm else 0,
            unknown_word=lm.unknown if lm else 0,
            end_of_text=lm.words[SENTENCE_END] if lm else 0,
            lm_start=lm.start if lm else 0,
            lm_keys=lm.keys if lm else np.zeros(0, np.int64),
            lm_log_probs=lm.log_probs if lm else np.zeros(1, np.float32),
            lm_backoffs=lm.backoffs if lm else np.zeros(1, np.float32),
            lm_suffixes=lm.suffixes if lm else np.zeros(1, np.int32),
            lm_weight=word_lm.weight if word_lm else 0.0,
            word_bonus=word_lm.word_bonus if word_lm else 0.0,
        )


def _sorted_digests(words: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    digests = np.array([_digest(word) for word in words], np.int64)
    order = np.argsort(digests)
    return digests[order], np.array(list(words.values()), np.int64)[order]


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
