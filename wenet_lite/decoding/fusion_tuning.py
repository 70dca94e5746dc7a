"""Weights of a language model in prefix beam search, found on a dev set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wenet_lite.data.kaldi import PathLike
from wenet_lite.decoding.ctc_prefix_beam import CtcPrefixBeamSearch, Tried
from wenet_lite.decoding.fusion import Fusion, WordLm
from wenet_lite.decoding.ngram import NgramLm
from wenet_lite.decoding.weight_files import LmWeights, read_weights, write_weights
from wenet_lite.errors import DataError
from wenet_lite.scoring.wer import align
from wenet_lite.text.tokenizer import Tokenizer, word_splitter

_LOG = logging.getLogger(__name__)

_START = (0.5, 0.5)
_STEPS = ((0.3, 1.0), (0.15, 0.5), (0.05, 0.25))
"""Of weight and bonus: coarse ones first."""


@dataclass(frozen=True)
class FusionWeights(LmWeights):
    """The best weights on a dev set.

    Attributes:
        wer: word error rate with them, per cent.
        wer_without: without the language model.
        num_utterances: of the dev set.
    """

    wer: float
    wer_without: float
    num_utterances: int

    def write(self, path: PathLike) -> None:
        """Write JSON; see `write_weights`."""
        write_weights(self, path)

    @classmethod
    def read(cls, path: PathLike) -> FusionWeights:
        """Read what `write` wrote; see `read_weights`."""
        return read_weights(cls, path, cure="tune_lm writes it")


def tune_fusion(
    search: CtcPrefixBeamSearch,
    portions: Sequence[tuple[Tried, Sequence[str]]],
    lm: NgramLm,
    tokenizer: Tokenizer,
) -> FusionWeights:
    """Decode with one pair of weights after the other, each next to the best so far, in ever smaller steps.

    Args:
        search: to be tuned for.
        portions: posteriors of the dev set, and the references of their utterances.
        lm: the language model.
        tokenizer: of the model.
    Returns:
        the pair with the fewest word errors; of several the one that was met first.
    Raises:
        DataError: if there is no reference word, or nothing to be heard.
    """
    units, split = list(tokenizer.units), word_splitter(tokenizer.units)
    refs = [split(ref) for _, texts in portions for ref in texts]
    words = sum(map(len, refs))
    if not any(len(tried.lens) and int(tried.lens.max()) for tried, _ in portions):
        raise DataError("nothing can be heard in the dev set", cure="look at its audio")
    if not words:
        raise DataError("the dev set has no words to tune on", cure="give a list with transcripts")

    def errors(fusion: Fusion) -> int:
        hyps = [
            split(tokenizer.decode(found[0].tokens if found else ()))
            for tried, _ in portions
            for found in search.search(tried, fusion)
        ]
        return sum(utterance.counts.errors for utterance in align([""] * len(refs), refs, hyps))

    def with_weights(weight: float, bonus: float) -> int:
        found = errors(Fusion(units, word_lm=WordLm(lm, weight, bonus)))
        _LOG.info("lm_weight %.2f, word_bonus %.2f: WER %.2f %%", weight, bonus, 100 * found / words)
        return found

    (weight, bonus), fewest = _descend(with_weights)
    without = errors(Fusion(units))
    return FusionWeights(weight, bonus, 100 * fewest / words, 100 * without / words, len(refs))


def _descend(errors: Callable[[float, float], int]) -> tuple[tuple[float, float], int]:
    """The lowest of the points that are tried, and its errors."""
    tried = {_START: errors(*_START)}
    best = _START
    for step_of_weight, step_of_bonus in _STEPS:
        while True:
            weight, bonus = best
            beside = [(round(max(weight + sign * step_of_weight, 0.0), 2), bonus) for sign in (1, -1)] + [
                (weight, round(bonus + sign * step_of_bonus, 2)) for sign in (1, -1)
            ]
            for point in beside:
                if point not in tried:
                    tried[point] = errors(*point)
            lowest = min(beside, key=tried.__getitem__)
            if tried[lowest] >= tried[best]:
                break
            best = lowest
    return best, tried[best]
