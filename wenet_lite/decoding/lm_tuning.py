"""Tuning of a language model's weights on n-best lists of a dev set."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.lm_rescoring import LanguageModel, Nbest
from wenet_lite.decoding.ngram import Floats
from wenet_lite.decoding.weight_files import LmWeights, read_weights, write_weights
from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import abridged, align

_LOG = logging.getLogger(__name__)

LM_WEIGHTS = tuple(round(0.05 * step, 2) for step in range(41))
"""From 0 to 2: twenty weights a unit."""
WORD_BONUSES = tuple(round(0.25 * step, 2) for step in range(-12, 33))
"""From -3 to 8: four bonuses a unit."""


@dataclass(frozen=True)
class RescoringWeights(LmWeights):
    """The best weights on a dev set.

    Attributes:
        wer: word error rate with them, per cent.
        wer_without: of the first readings, without a language model.
        best_wer: of the best readings in the lists: no weights can do better.
        num_utterances: utterances of the dev set.
    """

    wer: float
    wer_without: float
    best_wer: float
    num_utterances: int

    def write(self, path: PathLike) -> None:
        """Write JSON; see `write_weights`."""
        write_weights(self, path)

    @classmethod
    def read(cls, path: PathLike) -> RescoringWeights:
        """Read what `write` wrote; see `read_weights`."""
        return read_weights(cls, path, cure="tune the weights again")


def tune_weights(
    nbests: Sequence[Nbest],
    refs: Mapping[str, str],
    lm: LanguageModel,
    lm_weights: Sequence[float] = LM_WEIGHTS,
    word_bonuses: Sequence[float] = WORD_BONUSES,
) -> RescoringWeights:
    """Try all weights of a grid; the fewest word errors win, then the smaller weight, then the smaller bonus.

    Args:
        nbests: lists of the dev set.
        refs: reference of each of their utterances; others are left aside.
        lm: the language model.
        lm_weights, word_bonuses: the grid.
    Raises:
        DataError: if an utterance has no reference, or there are no utterances.
    """
    missing = [nbest.key for nbest in nbests if nbest.key not in refs]
    if missing or not nbests:
        message = f"{len(missing)} utterances have no reference: {abridged(missing)}" if missing else "no n-best lists"
        raise DataError(message, cure="give the n-best lists and the text of one dev set")
    readings = _Readings(nbests, refs, lm)
    grid = [LmWeights(lm_weight, word_bonus) for lm_weight in lm_weights for word_bonus in word_bonuses]
    best = min(grid, key=lambda each: (readings.errors(each), each.lm_weight, abs(each.word_bonus), each.word_bonus))
    limits = (max(lm_weights), min(word_bonuses), max(word_bonuses))
    if len(grid) > 1 and (best.lm_weight == limits[0] or best.word_bonus in limits[1:]):
        _LOG.warning("the best weights lie at the edge of the grid: %s", best)
    words = sum(len(refs[nbest.key].split()) for nbest in nbests)
    percent = 100 / max(words, 1)
    return RescoringWeights(
        best.lm_weight,
        best.word_bonus,
        wer=percent * readings.errors(best),
        wer_without=percent * readings.errors(LmWeights(0.0, 0.0)),
        best_wer=percent * int(readings.word_errors.min(axis=1).sum()),
        num_utterances=len(nbests),
    )


class _Readings:
    """All readings as arrays (utterances, readings), so that weights are tried quickly.

    Lists that are shorter than the longest one are filled up with readings that are never chosen.
    """

    def __init__(self, nbests: Sequence[Nbest], refs: Mapping[str, str], lm: LanguageModel) -> None:
        flat = [(nbest.key, text.split()) for nbest in nbests for text in nbest.texts]
        log_probs = lm.score([text for nbest in nbests for text in nbest.texts])
        aligned = align([key for key, _ in flat], [refs[key].split() for key, _ in flat], [words for _, words in flat])
        lens = np.array([len(nbest.texts) for nbest in nbests])
        self._there = np.arange(lens.max()) < lens[:, None]
        self._scores = self._table([score for nbest in nbests for score in nbest.scores], -np.inf)
        self._log_probs = self._table(log_probs, 0.0)
        self._num_words = self._table([len(words) for _, words in flat], 0.0)
        self.word_errors = self._table([utterance.counts.errors for utterance in aligned], np.inf)

    def errors(self, weights: LmWeights) -> int:
        """Word errors of the readings that these weights choose."""
        totals = self._scores + weights.lm_weight * self._log_probs + weights.word_bonus * self._num_words
        return int(self.word_errors[np.arange(len(totals)), totals.argmax(axis=1)].sum())

    def _table(self, values: Sequence[float] | Floats, filler: float) -> Floats:
        table = np.full(self._there.shape, filler)
        table[self._there] = values
        return table
